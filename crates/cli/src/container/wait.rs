//! `wait`

use super::run::{exit_code, wait_for};
use crate::args::{Action, Arity, Command, Parsed};
use crate::cli::{Cli, each};
use crate::error::Error;

pub static COMMAND: Command = Command {
    usage: "CONTAINER [CONTAINER...]",
    about: "Wait until containers stop, then print their exit codes",
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let client = cli.client()?;
    each(&args.args, async |name| {
        exit_code(wait_for(client, name, "").await?).await.map(|code| code.to_string())
    })
    .await
}
