//! `system prune`

use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::{Cli, confirm, print};
use crate::connect::Request;
use crate::error::Error;
use crate::format::units::human_size;
use crate::{container, image, network, volume};

pub static COMMAND: Command = Command {
    usage: "[OPTIONS]",
    about: "Remove unused data",
    arity: Arity::None,
    interspersed: true,
    flags: &[&[
        Flag::bool("all", "Remove all images that no container uses, not only those without a name")
            .short('a'),
        Flag::filter("Remove only what matches (e.g. \"label=<key>=<value>\")"),
        Flag::bool("force", "Do not ask").short('f'),
        Flag::bool("volumes", "Remove anonymous volumes, too"),
    ]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

fn question(all: bool, volumes: bool, filters: &[String]) -> String {
    let mut items = vec!["all stopped containers", "all networks not used by at least one container"];
    if volumes {
        items.push("all anonymous volumes not used by at least one container");
    }
    items.push(match all {
        true => "all images without at least one container associated to them",
        false => "all dangling images",
    });
    items.push(if all { "all build cache" } else { "unused build cache" });
    let list = |items: Vec<String>| items.into_iter().map(|item| format!("  - {item}\n")).collect::<String>();
    let mut text =
        format!("WARNING! This will remove:\n{}\n", list(items.into_iter().map(str::to_owned).collect()));
    if !filters.is_empty() {
        let mut filters = filters.to_vec();
        filters.sort();
        text.push_str(&format!("  Items to be pruned will be filtered with:\n{}\n", list(filters)));
    }
    text + "Are you sure you want to continue?"
}

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let (all, volumes, filters) = (args.bool("all"), args.bool("volumes"), args.all("filter"));
    if volumes && filters.iter().any(|filter| filter.starts_with("until=")) {
        return Err(Error::invalid("ERROR: The \"until\" filter is not supported with \"--volumes\""));
    }
    if !args.bool("force") && !confirm(&question(all, volumes, &filters))? {
        return Err(Error::invalid("system prune has been cancelled"));
    }
    let (text, mut space) = container::prune::prune(cli, &filters).await?;
    print(text)?;
    print(network::prune::prune(cli, &filters).await?)?;
    if volumes {
        let (text, bytes) = volume::prune::prune(cli, false, &filters).await?;
        print(text)?;
        space += bytes;
    }
    let (text, bytes) = image::prune::prune(cli, all, &filters).await?;
    print(text)?;
    space += bytes + prune_build_cache(cli, all).await?;
    print(format!("Total reclaimed space: {}\n", human_size(space as f64))).map(|()| 0)
}

/// An engine that builds nothing has no cache to prune: that is no failure.
async fn prune_build_cache(cli: &Cli, all: bool) -> Result<u64, Error> {
    let query = crate::connect::Query::new().flag("all", all);
    match cli.client()?.json::<api_types::BuildPruneReport>(Request::post("/build/prune").query(query)).await
    {
        Ok(report) => Ok(report.space_reclaimed),
        Err(error) if matches!(error.status(), Some(404 | 501)) => Ok(0),
        Err(error) => Err(error),
    }
}
