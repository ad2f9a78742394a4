//! `volume prune`

use api_types::VolumesPruneReport;

use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::{Cli, confirm, print};
use crate::connect::{Query, Request};
use crate::error::Error;
use crate::format::units::human_size;
use crate::opts;

pub static COMMAND: Command = Command {
    usage: "[OPTIONS]",
    about: "Remove unused volumes",
    arity: Arity::None,
    interspersed: true,
    flags: &[&[
        Flag::bool("all", "Remove volumes with a name, too, not only anonymous ones").short('a'),
        Flag::filter("Remove only what matches (e.g. \"label=<label>\")"),
        Flag::bool("force", "Do not ask").short('f'),
    ]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let what = match args.bool("all") {
        true => "all local volumes not used by at least one container",
        false => "anonymous local volumes not used by at least one container",
    };
    if !args.bool("force")
        && !confirm(&format!("WARNING! This will remove {what}.\nAre you sure you want to continue?"))?
    {
        return Err(Error::invalid("volume prune has been cancelled"));
    }
    let (list, space) = prune(cli, args.bool("all"), &args.all("filter")).await?;
    print(format!("{list}Total reclaimed space: {}\n", human_size(space as f64))).map(|()| 0)
}

/// Removes unused volumes; returns what to show and the bytes freed.
pub async fn prune(cli: &Cli, all: bool, filters: &[String]) -> Result<(String, u64), Error> {
    let given = filters.iter().any(|filter| filter.starts_with("all="));
    let mut filters = opts::filters(filters);
    if all {
        if given {
            return Err(Error::invalid("conflicting options: cannot specify both --all and --filter all=1"));
        }
        filters.add("all", "true");
    }
    let query = Query::new().non_empty("filters", &filters.to_json());
    let report: VolumesPruneReport = cli.client()?.json(Request::post("/volumes/prune").query(query)).await?;
    let mut text = String::new();
    if !report.volumes_deleted.is_empty() {
        text = format!("Deleted Volumes:\n{}\n\n", report.volumes_deleted.join("\n"));
    }
    Ok((text, report.space_reclaimed))
}
