//! `search`

use api_types::SearchResult;

use crate::args::{Action, Arity, Command, FORMAT, Flag, Parsed};
use crate::cli::{Cli, print};
use crate::config::credentials::registry_of;
use crate::connect::{Query, Request};
use crate::error::Error;
use crate::format::table::{Column, Format, Layout, text};
use crate::format::text::ellipsis;
use crate::opts;

pub static COMMAND: Command = Command {
    usage: "[OPTIONS] TERM",
    about: "Search Docker Hub for images",
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[&[
        Flag::filter("Show only what matches").short('f'),
        FORMAT,
        Flag::int("limit", "Number of results at most"),
        Flag::bool("no-trunc", "Show long values whole"),
    ]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

struct Row {
    result: SearchResult,
    trunc: bool,
    json: bool,
}

static COLUMNS: &[Column<Row>] = &[
    text("Name", "NAME", |row| row.result.name.clone()),
    text("Description", "DESCRIPTION", |row| {
        let line = row.result.description.replace(['\n', '\r'], " ");
        if row.trunc { ellipsis(&line, 45) } else { line }
    }),
    text("StarCount", "STARS", |row| row.result.star_count.to_string()),
    text("IsOfficial", "OFFICIAL", |row| mark(row, row.result.is_official)),
    text("IsAutomated", "AUTOMATED", |row| mark(row, row.result.is_automated)),
];

fn mark(row: &Row, value: bool) -> String {
    match (row.json, value) {
        (true, value) => value.to_string(),
        (false, true) => "[OK]".into(),
        (false, false) => String::new(),
    }
}

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let source = args.get("format").unwrap_or_default();
    let format = Format::new(source, r"{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}", None);
    let term = args.args[0].as_str();
    let auth = cli.config()?.credentials(&registry_of(term))?;
    let query = Query::new()
        .with("term", term)
        .opt("limit", args.int("limit").filter(|limit| *limit > 0).map(|limit| limit.to_string()))
        .non_empty("filters", &opts::filters(&args.all("filter")).to_json());
    let request = Request::get("/images/search")
        .query(query)
        .header("X-Registry-Auth", crate::config::credentials::encode(&auth));
    let results: Vec<SearchResult> = cli.client()?.json(request).await?;
    let (trunc, json) = (!args.bool("no-trunc"), source == "json" || source.contains("json ."));
    let rows = results.into_iter().map(|result| Row { result, trunc, json }).collect();
    print(format.render(Layout { columns: COLUMNS, go_type: "*registry.searchContext" }, rows)?).map(|()| 0)
}
