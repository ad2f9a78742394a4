//! `network prune`

use api_types::NetworksPruneReport;

use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::{Cli, confirm, print};
use crate::connect::{Query, Request};
use crate::error::Error;
use crate::opts;

pub static COMMAND: Command = Command {
    usage: "[OPTIONS]",
    about: "Remove all unused networks",
    arity: Arity::None,
    interspersed: true,
    flags: &[&[
        Flag::filter("Remove only what matches (e.g. \"until=<timestamp>\")"),
        Flag::bool("force", "Do not ask").short('f'),
    ]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let question = "WARNING! This will remove all custom networks not used by at least one container.\nAre you sure you want to continue?";
    if !args.bool("force") && !confirm(question)? {
        return Err(Error::invalid("network prune has been cancelled"));
    }
    print(prune(cli, &args.all("filter")).await?).map(|()| 0)
}

/// Removes unused networks; returns what to show.
pub async fn prune(cli: &Cli, filters: &[String]) -> Result<String, Error> {
    let query = Query::new().non_empty("filters", &opts::filters(filters).to_json());
    let report: NetworksPruneReport =
        cli.client()?.json(Request::post("/networks/prune").query(query)).await?;
    if report.networks_deleted.is_empty() {
        return Ok(String::new());
    }
    Ok(format!("Deleted Networks:\n{}\n\n", report.networks_deleted.join("\n")))
}
