//! `kill`

use super::stop::at_once;
use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::Cli;
use crate::connect::{Query, Request};
use crate::error::Error;

pub static COMMAND: Command = Command {
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Kill one or more running containers",
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[Flag::string("signal", "Signal to send (default KILL)").short('s')]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let client = cli.client()?;
    let query = Query::new().non_empty("signal", &args.text("signal"));
    at_once(&args.args, async |name| {
        client.run(Request::post(super::path(name, "/kill")).query(query.clone())).await
    })
    .await
}
