//! `pause` and `unpause`

use super::stop::at_once;
use crate::args::{Action, Arity, Command, Parsed};
use crate::cli::Cli;
use crate::connect::Request;
use crate::error::Error;

pub static PAUSE: Command = Command {
    usage: "CONTAINER [CONTAINER...]",
    about: "Pause all processes within one or more containers",
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[],
    action: Action::Run(|cli, args| Box::pin(run(cli, args, "/pause"))),
};

pub static UNPAUSE: Command = Command {
    usage: "CONTAINER [CONTAINER...]",
    about: "Unpause all processes within one or more containers",
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[],
    action: Action::Run(|cli, args| Box::pin(run(cli, args, "/unpause"))),
};

async fn run(cli: &Cli, args: &Parsed, verb: &str) -> Result<i32, Error> {
    let client = cli.client()?;
    at_once(&args.args, async |name| client.run(Request::post(super::path(name, verb))).await).await
}
