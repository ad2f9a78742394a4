//! `rename`

use crate::args::{Action, Arity, Command, Parsed};
use crate::cli::Cli;
use crate::connect::{Query, Request};
use crate::error::Error;

pub static COMMAND: Command = Command {
    usage: "CONTAINER NEW_NAME",
    about: "Rename a container",
    arity: Arity::Exactly(2),
    interspersed: true,
    flags: &[],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let (old, new) = (args.args[0].trim(), args.args[1].trim());
    if old.is_empty() || new.is_empty() {
        return Err(Error::invalid("Error: Neither old nor new names may be empty"));
    }
    let request = Request::post(super::path(old, "/rename")).query(Query::new().with("name", new));
    cli.client()?.run(request).await.map(|()| 0)
}
