//! `network ls`

use api_types::Network;

use crate::args::{Action, Arity, Command, FORMAT, Flag, Parsed};
use crate::cli::{Cli, print};
use crate::connect::{Query, Request};
use crate::error::Error;
use crate::format::table::{Column, Format, Layout, lookup, text};
use crate::format::text::{labels, short_id};
use crate::opts;
use crate::volume::list::natural;

pub static COMMAND: Command = Command {
    usage: "[OPTIONS]",
    about: "List networks",
    arity: Arity::None,
    interspersed: true,
    flags: &[&[
        Flag::filter("Show only what matches (e.g. \"driver=bridge\")").short('f'),
        FORMAT,
        Flag::bool("no-trunc", "Show long values whole"),
        Flag::bool("quiet", "Show IDs only").short('q'),
    ]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

struct Row {
    network: Network,
    trunc: bool,
}

static COLUMNS: &[Column<Row>] = &[
    text("ID", "NETWORK ID", |row| {
        if row.trunc { short_id(&row.network.id).to_owned() } else { row.network.id.clone() }
    }),
    text("Name", "NAME", |row| row.network.name.clone()),
    text("Driver", "DRIVER", |row| row.network.driver.clone()),
    text("Scope", "SCOPE", |row| row.network.scope.clone()),
    text("IPv4", "IPV4", |row| row.network.enable_ipv4.to_string()),
    text("IPv6", "IPV6", |row| row.network.enable_ipv6.to_string()),
    text("Internal", "INTERNAL", |row| row.network.internal.to_string()),
    text("Labels", "LABELS", |row| labels(&row.network.labels)),
    lookup("Label", |row, key| row.network.labels.get(key).cloned().unwrap_or_default()),
    text("CreatedAt", "CREATED AT", |row| crate::format::time::go_string_of(&row.network.created)),
];

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let source = cli.format(args.get("format"), "networksFormat")?;
    let quiet = args.bool("quiet").then_some("{{.ID}}");
    let format = match source.as_str() {
        "raw" => Format::new(
            "network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n",
            "",
            None,
        ),
        source => Format::new(source, r"{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}", quiet),
    };
    let query = Query::new().non_empty("filters", &opts::filters(&args.all("filter")).to_json());
    let mut networks: Vec<Network> = cli.client()?.json(Request::get("/networks").query(query)).await?;
    networks.sort_by(|a, b| natural(&a.name, &b.name));
    let trunc = !args.bool("no-trunc");
    let rows = networks.into_iter().map(|network| Row { network, trunc }).collect();
    print(format.render(Layout { columns: COLUMNS, go_type: "*network.networkContext" }, rows)?).map(|()| 0)
}
