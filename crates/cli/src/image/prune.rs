//! `image prune`

use api_types::ImagesPruneReport;

use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::{Cli, confirm, print};
use crate::connect::{Query, Request};
use crate::error::Error;
use crate::format::units::human_size;
use crate::opts;

pub static COMMAND: Command = Command {
    usage: "[OPTIONS]",
    about: "Remove unused images",
    arity: Arity::None,
    interspersed: true,
    flags: &[&[
        Flag::bool("all", "Remove all images that no container uses, not only those without a name")
            .short('a'),
        Flag::filter("Remove only what matches (e.g. \"until=<timestamp>\")"),
        Flag::bool("force", "Do not ask").short('f'),
    ]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let what = match args.bool("all") {
        true => "all images without at least one container associated to them",
        false => "all dangling images",
    };
    if !args.bool("force")
        && !confirm(&format!("WARNING! This will remove {what}.\nAre you sure you want to continue?"))?
    {
        return Err(Error::invalid("image prune has been cancelled"));
    }
    let (list, space) = prune(cli, args.bool("all"), &args.all("filter")).await?;
    print(format!("{list}Total reclaimed space: {}\n", human_size(space as f64))).map(|()| 0)
}

/// Removes unused images; returns what to show and the bytes freed.
pub async fn prune(cli: &Cli, all: bool, filters: &[String]) -> Result<(String, u64), Error> {
    let mut filters = opts::filters(filters);
    filters.add("dangling", if all { "false" } else { "true" });
    let query = Query::new().with("filters", filters.to_json());
    let report: ImagesPruneReport = cli.client()?.json(Request::post("/images/prune").query(query)).await?;
    if report.images_deleted.is_empty() {
        return Ok((String::new(), report.space_reclaimed));
    }
    let lines: String = report
        .images_deleted
        .iter()
        .map(|item| match item.untagged.as_str() {
            "" => format!("deleted: {}\n", item.deleted),
            name => format!("untagged: {name}\n"),
        })
        .collect();
    Ok((format!("Deleted Images:\n{lines}\n"), report.space_reclaimed))
}
