//! `container prune`

use api_types::ContainersPruneReport;

use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::{Cli, confirm, print};
use crate::connect::{Query, Request};
use crate::error::Error;
use crate::format::units::human_size;
use crate::opts;

pub static COMMAND: Command = Command {
    usage: "[OPTIONS]",
    about: "Remove all stopped containers",
    arity: Arity::None,
    interspersed: true,
    flags: &[&[
        Flag::filter("Remove only what matches (e.g. \"until=<timestamp>\")"),
        Flag::bool("force", "Do not ask").short('f'),
    ]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    if !args.bool("force")
        && !confirm("WARNING! This will remove all stopped containers.\nAre you sure you want to continue?")?
    {
        return Err(Error::invalid("container prune has been cancelled"));
    }
    let (list, space) = prune(cli, &args.all("filter")).await?;
    print(format!("{list}Total reclaimed space: {}\n", human_size(space as f64))).map(|()| 0)
}

/// Removes stopped containers; returns what to show and the bytes freed.
pub async fn prune(cli: &Cli, filters: &[String]) -> Result<(String, u64), Error> {
    let query = Query::new().non_empty("filters", &opts::filters(filters).to_json());
    let report: ContainersPruneReport =
        cli.client()?.json(Request::post("/containers/prune").query(query)).await?;
    let mut text = String::new();
    if !report.containers_deleted.is_empty() {
        text = format!("Deleted Containers:\n{}\n\n", report.containers_deleted.join("\n"));
    }
    Ok((text, report.space_reclaimed))
}
