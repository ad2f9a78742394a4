//! `ps`

use api_types::{ContainerSummary, Port};

use crate::args::{Action, Arity, Command, FORMAT, Flag, Parsed};
use crate::cli::{Cli, print};
use crate::connect::{Query, Request};
use crate::error::Error;
use crate::format::table::{Column, Format, Layout, any, lookup, text};
use crate::format::text::{ellipsis, labels, short_id};
use crate::format::{time, units};
use crate::opts;
use crate::template::{Value, go_quote};

pub static COMMAND: Command = Command {
    usage: "[OPTIONS]",
    about: "List containers",
    arity: Arity::None,
    interspersed: true,
    flags: &[&[
        Flag::bool("all", "Show all containers, not only running ones").short('a'),
        Flag::filter("Show only what matches").short('f'),
        FORMAT,
        Flag::int("last", "Show the last n created, in whatever state").short('n').default("-1"),
        Flag::bool("latest", "Show the last created, in whatever state").short('l'),
        Flag::bool("no-trunc", "Show long values whole"),
        Flag::bool("quiet", "Show IDs only").short('q'),
        Flag::bool("size", "Show how much disk each uses").short('s'),
    ]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

const TABLE: &str =
    r"{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";
const RAW: &str = "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\ncreated_at: {{.CreatedAt}}\nstate: {{- pad .State 1 0}}\nstatus: {{- pad .Status 1 0}}\nnames: {{.Names}}\nlabels: {{- pad .Labels 1 0}}\nports: {{- pad .Ports 1 0}}\n";

/// A container as listed.
pub struct Row {
    pub container: ContainerSummary,
    pub trunc: bool,
}

pub static LAYOUT: Layout<Row> = Layout { columns: COLUMNS, go_type: "*formatter.ContainerContext" };

static COLUMNS: &[Column<Row>] = &[
    text("ID", "CONTAINER ID", |row| {
        if row.trunc { short_id(&row.container.id).to_owned() } else { row.container.id.clone() }
    }),
    text("Names", "NAMES", names),
    text("Image", "IMAGE", image),
    text("Command", "COMMAND", |row| {
        let command =
            if row.trunc { ellipsis(&row.container.command, 20) } else { row.container.command.clone() };
        // go_quote escapes what is not ASCII punctuation as little as Go does.
        go_quote(&command)
    }),
    text("CreatedAt", "CREATED AT", |row| time::go_string(row.container.created)),
    text("RunningFor", "CREATED", |row| {
        format!("{} ago", units::human_duration(time::now() - row.container.created))
    }),
    text("Ports", "PORTS", |row| ports(&row.container.ports)),
    text("State", "STATE", |row| row.container.state.clone()),
    text("Status", "STATUS", |row| row.container.status.clone()),
    text("Size", "SIZE", size),
    text("Labels", "LABELS", |row| labels(&row.container.labels)),
    lookup("Label", |row, key| row.container.labels.get(key).cloned().unwrap_or_default()),
    text("Mounts", "MOUNTS", mounts),
    text("LocalVolumes", "LOCAL VOLUMES", |row| {
        row.container.mounts.iter().filter(|mount| mount.driver == "local").count().to_string()
    }),
    text("Networks", "NETWORKS", |row| {
        row.container.network_settings.networks.keys().cloned().collect::<Vec<_>>().join(",")
    }),
    any("Platform", "PLATFORM", |_| Value::Nil),
];

fn names(row: &Row) -> String {
    let names = row.container.names.iter().map(|name| name.trim_start_matches('/'));
    match row.trunc {
        // Names with a slash are those that links gave it.
        true => names.filter(|name| !name.contains('/')).take(1).collect(),
        false => names.collect::<Vec<_>>().join(","),
    }
}

fn image(row: &Row) -> String {
    let container = &row.container;
    if container.image.is_empty() {
        return "<no image>".into();
    }
    if !row.trunc {
        return container.image.clone();
    }
    let short = short_id(&container.image_id);
    if short == short_id(&container.image) {
        return short.to_owned();
    }
    container.image.split_once('@').map_or(container.image.as_str(), |(name, _)| name).to_owned()
}

fn size(row: &Row) -> String {
    let own = units::human_size_with(row.container.size_rw as f64, 3);
    match row.container.size_root_fs {
        0 => own,
        whole => format!("{own} (virtual {})", units::human_size_with(whole as f64, 3)),
    }
}

fn mounts(row: &Row) -> String {
    let name = |mount: &api_types::MountPoint| {
        let name = if mount.name.is_empty() { &mount.source } else { &mount.name };
        if row.trunc { ellipsis(name, 15) } else { name.clone() }
    };
    row.container.mounts.iter().map(name).collect::<Vec<_>>().join(",")
}

/// Ports in one line, neighbours joined: `0.0.0.0:80-81->80-81/tcp, 9988/tcp`.
pub fn ports(ports: &[Port]) -> String {
    let mut ports = ports.to_vec();
    ports.sort_by(|a, b| {
        (a.private_port, &a.ip, a.public_port, &a.r#type).cmp(&(
            b.private_port,
            &b.ip,
            b.public_port,
            &b.r#type,
        ))
    });
    // (address, protocol) and the run of ports that is open there.
    let mut groups: Vec<(String, String, u16, u16)> = Vec::new();
    let (mut shown, mut moved) = (Vec::new(), Vec::new());
    for port in &ports {
        let (ip, kind, number) = (port.ip.clone(), port.r#type.clone(), port.private_port);
        if !ip.is_empty() && port.public_port != number {
            moved.push(format!("{}->{number}/{kind}", join_host(&ip, &port.public_port.to_string())));
            continue;
        }
        match groups.iter_mut().find(|group| group.0 == ip && group.1 == kind) {
            None => groups.push((ip, kind, number, number)),
            Some(group) if number == group.3 + 1 => group.3 = number,
            Some(group) => {
                let done = std::mem::replace(group, (ip, kind, number, number));
                shown.push(run_of_ports(&done));
            }
        }
    }
    shown.extend(groups.iter().map(run_of_ports));
    shown.extend(moved);
    shown.join(", ")
}

fn run_of_ports((ip, kind, first, last): &(String, String, u16, u16)) -> String {
    let ports = if first == last { first.to_string() } else { format!("{first}-{last}") };
    match ip.as_str() {
        "" => format!("{ports}/{kind}"),
        ip => format!("{}->{ports}/{kind}", join_host(ip, &ports)),
    }
}

fn join_host(ip: &str, port: &str) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let source = cli.format(args.get("format"), "psFormat")?;
    let sized = args.bool("size");
    let default = if sized { format!(r"{TABLE}\t{{{{.Size}}}}") } else { TABLE.to_owned() };
    let quiet = args.bool("quiet").then_some("{{.ID}}");
    let format = match (source.as_str(), args.bool("quiet")) {
        ("raw", true) => Format::new("container_id: {{.ID}}", "", None),
        ("raw", false) => Format::new(RAW, "", None),
        (_, true) => Format::new("", &default, quiet),
        (source, false) => Format::new(source, &default, None),
    };
    let last = if args.bool("latest") { 1 } else { args.int("last").unwrap_or(-1) };
    let query = Query::new()
        .flag("all", args.bool("all") || last > 0)
        .opt("limit", (last > 0).then(|| last.to_string()))
        .flag("size", sized || (!args.bool("quiet") && format.mentions("Size")))
        .non_empty("filters", &opts::filters(&args.all("filter")).to_json());
    let containers: Vec<ContainerSummary> =
        cli.client()?.json(Request::get("/containers/json").query(query)).await?;
    let trunc = !args.bool("no-trunc");
    let rows = containers.into_iter().map(|container| Row { container, trunc }).collect();
    print(format.render(LAYOUT, rows)?).map(|()| 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(ip: &str, public: u16, private: u16, kind: &str) -> Port {
        Port { ip: ip.into(), private_port: private, public_port: public, r#type: kind.into() }
    }

    #[test]
    fn ranges_of_ports() {
        let list = [port("", 0, 9988, "tcp"), port("", 0, 9989, "tcp"), port("", 0, 9989, "udp")];
        assert_eq!(ports(&list), "9988-9989/tcp, 9989/udp");
        let list =
            [port("0.0.0.0", 80, 80, "tcp"), port("0.0.0.0", 81, 81, "tcp"), port("::", 80, 80, "tcp")];
        assert_eq!(ports(&list), "0.0.0.0:80-81->80-81/tcp, [::]:80->80/tcp");
        assert_eq!(ports(&[port("0.0.0.0", 8080, 80, "tcp")]), "0.0.0.0:8080->80/tcp");
        assert_eq!(ports(&[port("", 0, 1, "tcp"), port("", 0, 3, "tcp")]), "1/tcp, 3/tcp");
    }
}
