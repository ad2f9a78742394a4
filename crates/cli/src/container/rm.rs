//! `rm`

use super::stop::at_once;
use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::Cli;
use crate::connect::{Query, Request};
use crate::error::Error;

pub static COMMAND: Command = Command {
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Remove one or more containers",
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[
        Flag::bool("force", "Remove a running container, killing it first").short('f'),
        Flag::bool("link", "Remove the link of this name").short('l'),
        Flag::bool("volumes", "Remove its anonymous volumes, too").short('v'),
    ]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let client = cli.client()?;
    let force = args.bool("force");
    let query =
        Query::new().flag("v", args.bool("volumes")).flag("link", args.bool("link")).flag("force", force);
    at_once(&args.args, async |name| {
        if name.trim_matches('/').is_empty() {
            return Err(Error::invalid("container name cannot be empty"));
        }
        match client.run(Request::delete(super::path(name.trim_matches('/'), "")).query(query.clone())).await
        {
            // With --force, gone already is as good as removed; docker says so, but succeeds.
            Err(error) if force && error.is_not_found() => {
                crate::cli::complain(&error);
                Ok(())
            }
            other => other,
        }
    })
    .await
}
