//! `state`, `list`, `ps`.

use super::{
    args::{Args, Global, unknown},
    container::Container,
    print, store,
};
use anyhow::{Context, Result, bail};
use oci_spec::runtime::ContainerState;
use serde_json::{Value, json};
use std::process::ExitCode;

/// The state of the specification, and what runc adds to it.
fn describe(container: &Container) -> Result<Value> {
    let (state, status) = (&container.state, container.status());
    let pid = if status == ContainerState::Stopped { 0 } else { state.init.pid };
    let status = if container.is_paused()? { "paused".to_owned() } else { status.to_string() };
    let mut described = json!({
        "ociVersion": container.spec.version(),
        "id": state.id,
        "pid": pid,
        "status": status,
        "bundle": state.bundle,
        "rootfs": state.rootfs,
        "created": state.created,
        "owner": state.owner.to_string(),
    });
    if let Some(annotations) = container.spec.annotations().as_ref().filter(|a| !a.is_empty()) {
        described["annotations"] = json!(annotations);
    }
    Ok(described)
}

pub(super) fn state(global: &Global, args: Args) -> Result<ExitCode> {
    let container = Container::open(global, &args.only_id()?)?;
    print(serde_json::to_string_pretty(&describe(&container)?)?)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn main(global: &Global, mut args: Args) -> Result<ExitCode> {
    let (mut format, mut quiet) = ("table".to_owned(), false);
    while let Some((flag, given)) = args.flag() {
        match flag.as_str() {
            "format" | "f" => format = args.value(&flag, given)?,
            "quiet" | "q" => quiet = Args::switch(&flag, given)?,
            _ => return unknown(&flag),
        }
    }
    args.none_left()?;
    let mut all = Vec::new();
    for id in store::ids(global)? {
        // Another command may be removing it just now.
        if let Ok(container) = Container::open(global, &id) {
            all.push(describe(&container)?);
        }
    }
    match format.as_str() {
        _ if quiet => all.iter().try_for_each(|c| print(text(&c["id"])))?,
        "json" => print(Value::from(all))?,
        "table" => print_table(&all)?,
        other => bail!("flag --format is table or json, not {other:?}"),
    }
    Ok(ExitCode::SUCCESS)
}

fn print_table(all: &[Value]) -> Result<()> {
    let columns = ["id", "pid", "status", "bundle", "created", "owner"];
    let mut rows: Vec<Vec<String>> = vec![columns.iter().map(|c| c.to_uppercase()).collect()];
    rows.extend(all.iter().map(|c| columns.iter().map(|name| text(&c[*name])).collect()));
    let widths: Vec<usize> =
        (0..columns.len()).map(|i| rows.iter().map(|r| r[i].len()).max().unwrap_or(0)).collect();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        print(cells.join("   ").trim_end())?;
    }
    Ok(())
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

pub(super) fn processes(global: &Global, mut args: Args) -> Result<ExitCode> {
    let mut format = "table".to_owned();
    while let Some((flag, given)) = args.flag() {
        match flag.as_str() {
            "format" | "f" => format = args.value(&flag, given)?,
            _ => return unknown(&flag),
        }
    }
    let container = Container::open(global, &args.only_id()?)?;
    if container.status() == ContainerState::Stopped {
        bail!("container not running");
    }
    let pids = container.pids()?;
    match format.as_str() {
        "json" => print(json!(pids))?,
        "table" => {
            print("PID     CMD")?;
            for pid in pids {
                print(format_args!("{pid:<7} {}", command_line(pid).unwrap_or_default()))?;
            }
        }
        other => bail!("flag --format is table or json, not {other:?}"),
    }
    Ok(ExitCode::SUCCESS)
}

fn command_line(pid: u32) -> Result<String> {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).context("read cmdline")?;
    Ok(String::from_utf8_lossy(&bytes).replace('\0', " ").trim_end().to_owned())
}
