//! `rm`

use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::{Cli, complain, println};
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
    let one = async |name: &str| {
        let name = name.trim_matches('/');
        if name.is_empty() {
            return Err(Error::invalid("container name cannot be empty"));
        }
        client.run(Request::delete(super::path(name, "")).query(query.clone())).await
    };
    let results = futures_util::future::join_all(args.args.iter().map(|name| one(name))).await;
    let mut code = 0;
    for (name, result) in args.args.iter().zip(results) {
        match result {
            Ok(()) => println(name)?,
            Err(error) => {
                complain(&error);
                // With --force, gone already is as good as removed.
                code = if force && error.is_not_found() { code } else { 1 };
            }
        }
    }
    Ok(code)
}
