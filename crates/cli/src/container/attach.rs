//! `attach`

use api_types::ContainerInspect;

use super::run::{attach, supervise, wait_for};
use super::session::{Signals, Streams, detach_keys};
use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::Cli;
use crate::connect::Request;
use crate::error::Error;

pub static COMMAND: Command = Command {
    usage: "[OPTIONS] CONTAINER",
    about: "Attach to the input and output of a running container",
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[&[
        Flag::string("detach-keys", "Keys that detach from the container"),
        Flag::bool("no-stdin", "Do not attach standard input"),
        Flag::bool("sig-proxy", "Send signals on to the process").default("true"),
    ]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let client = cli.client()?;
    let keys = args.text("detach-keys");
    let container: ContainerInspect = client.json(Request::get(super::path(&args.args[0], "/json"))).await?;
    let state = &container.state;
    if !state.running {
        return Err(Error::invalid("You cannot attach to a stopped container, start it first"));
    }
    if state.paused {
        return Err(Error::invalid("You cannot attach to a paused container, unpause it first"));
    }
    if state.restarting {
        return Err(Error::invalid("You cannot attach to a restarting container, wait until it is running"));
    }
    let config = &container.config;
    let stdin = !args.bool("no-stdin") && config.open_stdin;
    if config.tty && stdin && !crate::cli::stdin_is_terminal() {
        return Err(Error::invalid("the input device is not a TTY"));
    }
    let streams = Streams {
        tty: config.tty,
        stdin,
        stdout: true,
        stderr: true,
        detach_keys: detach_keys(&keys, cli.config()?, config.tty)?,
    };
    let mut signals = (args.bool_or_true("sig-proxy") && !config.tty).then(Signals::catch);
    let id = container.id.as_str();
    let (stream, wait) = tokio::try_join!(attach(client, id, &streams, &keys), wait_for(client, id, ""))?;
    supervise(client, id, Some(stream), wait, &streams, signals.as_mut()).await
}
