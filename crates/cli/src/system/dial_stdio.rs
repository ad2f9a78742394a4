//! `system dial-stdio`: standard input and output joined to the engine's socket. `ssh://` addresses use it on the
//! other side.

use tokio::io::{AsyncWriteExt as _, copy};

use crate::args::{Action, Arity, Command, Parsed};
use crate::cli::Cli;
use crate::error::Error;

pub static COMMAND: Command = Command {
    usage: "",
    about: "Join standard input and output to the engine's socket",
    arity: Arity::None,
    interspersed: true,
    flags: &[],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

async fn run(cli: &Cli, _args: &Parsed) -> Result<i32, Error> {
    let (mut from_engine, mut to_engine) = tokio::io::split(cli.client()?.raw().await?);
    let (mut stdin, mut stdout) = (tokio::io::stdin(), tokio::io::stdout());
    let upward = async {
        copy(&mut stdin, &mut to_engine).await?;
        to_engine.shutdown().await
    };
    let downward = async {
        copy(&mut from_engine, &mut stdout).await?;
        stdout.flush().await
    };
    tokio::pin!(downward);
    let result = tokio::select! {
        result = &mut downward => result,
        // The client has said all; what the engine still says is for it to hear.
        result = upward => match result {
            Ok(()) => downward.await,
            Err(error) => Err(error),
        },
    };
    result.map(|()| 0).map_err(Error::io("dial-stdio"))
}
