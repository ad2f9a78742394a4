//! `stats`: a screen that is redrawn, or one reading.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use api_types::{ContainerSummary, EventMessage, Filters, Stats};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use crate::args::{Action, Arity, Command, FORMAT, Flag, Parsed};
use crate::cli::{Cli, print};
use crate::connect::stream::JsonStream;
use crate::connect::{Client, Query, Request};
use crate::error::Error;
use crate::format::table::{Column, Format, Layout, text};
use crate::format::text::short_id;
use crate::format::units::{bytes_size, human_size_with};

pub static COMMAND: Command = Command {
    usage: "[OPTIONS] [CONTAINER...]",
    about: "Display a live stream of container(s) resource usage statistics",
    arity: Arity::AtLeast(0),
    interspersed: true,
    flags: &[&[
        Flag::bool("all", "Show all containers, not only running ones").short('a'),
        FORMAT,
        Flag::bool("no-stream", "Show one reading and stop"),
        Flag::bool("no-trunc", "Show long values whole"),
    ]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

const TABLE: &str =
    r"{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";

/// The latest reading of one container; none until there is one.
#[derive(Clone)]
struct Row {
    container: String,
    trunc: bool,
    stats: Option<Stats>,
}

static COLUMNS: &[Column<Row>] = &[
    text("Container", "CONTAINER", |row| row.container.clone()),
    text("Name", "NAME", |row| match row.stats.as_ref().map(|stats| stats.name.trim_start_matches('/')) {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => "--".into(),
    }),
    text("ID", "CONTAINER ID", |row| {
        let id = row.stats.as_ref().map_or("", |stats| stats.id.as_str());
        if row.trunc { short_id(id).to_owned() } else { id.to_owned() }
    }),
    text("CPUPerc", "CPU %", |row| show(row, |stats| format!("{:.2}%", cpu_percent(stats)))),
    text("MemUsage", "MEM USAGE / LIMIT", |row| match &row.stats {
        Some(stats) => {
            format!("{} / {}", bytes_size(memory(stats)), bytes_size(stats.memory_stats.limit as f64))
        }
        None => "-- / --".into(),
    }),
    text("MemPerc", "MEM %", |row| {
        show(row, |stats| match stats.memory_stats.limit {
            0 => "0.00%".into(),
            limit => format!("{:.2}%", memory(stats) / limit as f64 * 100.0),
        })
    }),
    text("NetIO", "NET I/O", |row| {
        show(row, |stats| {
            let sum =
                |get: fn(&api_types::NetworkStats) -> u64| stats.networks.values().map(get).sum::<u64>();
            pair(sum(|n| n.rx_bytes), sum(|n| n.tx_bytes))
        })
    }),
    text("BlockIO", "BLOCK I/O", |row| {
        show(row, |stats| {
            let sum = |letter: char| {
                let entries = stats.blkio_stats.io_service_bytes_recursive.iter();
                entries
                    .filter(|entry| entry.op.to_lowercase().starts_with(letter))
                    .map(|entry| entry.value)
                    .sum()
            };
            pair(sum('r'), sum('w'))
        })
    }),
    text("PIDs", "PIDS", |row| show(row, |stats| stats.pids_stats.current.to_string())),
];

fn show(row: &Row, get: impl Fn(&Stats) -> String) -> String {
    row.stats.as_ref().map_or_else(|| "--".into(), get)
}

fn pair(a: u64, b: u64) -> String {
    format!("{} / {}", human_size_with(a as f64, 3), human_size_with(b as f64, 3))
}

fn cpu_percent(stats: &Stats) -> f64 {
    let (now, before) = (&stats.cpu_stats, &stats.precpu_stats);
    let own = now.cpu_usage.total_usage as f64 - before.cpu_usage.total_usage as f64;
    let whole = now.system_cpu_usage as f64 - before.system_cpu_usage as f64;
    let cpus = match now.online_cpus {
        0 => now.cpu_usage.percpu_usage.len() as f64,
        online => f64::from(online),
    };
    if own > 0.0 && whole > 0.0 { own / whole * cpus * 100.0 } else { 0.0 }
}

/// Memory without the page cache that could be given back: cgroup v1 and v2 name it differently.
fn memory(stats: &Stats) -> f64 {
    let memory = &stats.memory_stats;
    let inactive = memory.stats.get("total_inactive_file").or_else(|| memory.stats.get("inactive_file"));
    let cache = inactive.copied().filter(|cache| *cache < memory.usage).unwrap_or(0);
    (memory.usage - cache) as f64
}

/// The containers shown, in the order they appeared.
type Rows = RefCell<BTreeMap<usize, Row>>;

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let client = cli.client()?;
    let (trunc, stream) = (!args.bool("no-trunc"), !args.bool("no-stream"));
    let source = cli.format(args.get("format"), "statsFormat")?;
    let format = Format::new(&source, TABLE, None);
    let names = match args.args.is_empty() {
        true => running(client, args.bool("all")).await?,
        false => args.args.clone(),
    };
    let rows: Rows = RefCell::default();
    let add = |name: String| {
        let index = rows.borrow().keys().next_back().map_or(0, |last| last + 1);
        rows.borrow_mut().insert(index, Row { container: name.clone(), trunc, stats: None });
        watch(client, &rows, index, name, stream)
    };
    if !stream {
        let results: Vec<_> = names.into_iter().map(add).collect();
        let failed =
            futures_util::future::join_all(results).await.into_iter().filter_map(Result::err).collect();
        print(draw(&format, &rows, false)?)?;
        return Error::collect(failed).map(|()| 0);
    }
    let follow_all = args.args.is_empty();
    let mut watchers: FuturesUnordered<_> = names.into_iter().map(add).collect();
    let mut events = if follow_all { Some(start_events(client, args.bool("all")).await?) } else { None };
    let started = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    loop {
        let event = async {
            match &mut events {
                Some(events) => events.next::<EventMessage>().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = tick.tick() => {
                // The first screen waits for the first readings, but not for ever.
                let waiting = rows.borrow().values().any(|row| row.stats.is_none());
                if waiting && started.elapsed() < Duration::from_secs(2) {
                    continue;
                }
                print(draw(&format, &rows, true)?)?;
                if !follow_all && rows.borrow().is_empty() {
                    return Ok(0);
                }
            }
            Some(result) = watchers.next() => match result {
                Err(error) if !follow_all => return Err(error),
                _ => {}
            },
            event = event => match event? {
                Some(event) => appear(&event, &rows, |name| watchers.push(add(name))),
                None => return Ok(0),
            },
        }
    }
}

async fn running(client: &Client, all: bool) -> Result<Vec<String>, Error> {
    let query = Query::new().flag("all", all);
    let containers: Vec<ContainerSummary> =
        client.json(Request::get("/containers/json").query(query)).await?;
    Ok(containers.iter().map(|container| short_id(&container.id).to_owned()).collect())
}

/// Containers that come and go while the screen is shown.
async fn start_events(client: &Client, all: bool) -> Result<JsonStream, Error> {
    let mut filters = Filters::default();
    filters.add("type", "container");
    for action in if all { &["create", "destroy"] } else { &["start", "die"] } {
        filters.add("event", *action);
    }
    let query = Query::new().with("filters", filters.to_json());
    Ok(JsonStream::new(client.send(Request::get("/events").query(query)).await?, "/events"))
}

fn appear(event: &EventMessage, rows: &Rows, add: impl FnOnce(String)) {
    let id = short_id(&event.actor.id).to_owned();
    match event.action.as_str() {
        "start" | "create" if !rows.borrow().values().any(|row| row.container == id) => add(id),
        "die" | "destroy" => rows.borrow_mut().retain(|_, row| row.container != id),
        _ => {}
    }
}

/// Keeps one container's row up to date until it ends.
async fn watch(client: &Client, rows: &Rows, index: usize, name: String, stream: bool) -> Result<(), Error> {
    let path = super::path(&name, "/stats");
    let query = Query::new().with("stream", if stream { "1" } else { "0" });
    let result = async {
        let mut readings = JsonStream::new(client.send(Request::get(&path).query(query)).await?, &path);
        while let Some(stats) = readings.next::<Stats>().await? {
            if let Some(row) = rows.borrow_mut().get_mut(&index) {
                row.stats = Some(stats);
            }
            if !stream {
                break;
            }
        }
        Ok(())
    }
    .await;
    if stream || result.is_err() {
        rows.borrow_mut().remove(&index);
    }
    result
}

/// The table; on a screen, over the last one: each line cleared to its end, and what is below it.
fn draw(format: &Format, rows: &Rows, screen: bool) -> Result<String, Error> {
    let rows = rows.borrow().values().cloned().collect();
    let layout = Layout { columns: COLUMNS, go_type: "*container.statsContext" };
    let text = format.render(layout, rows)?;
    if !screen {
        return Ok(text);
    }
    Ok(format!("\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n")))
}
