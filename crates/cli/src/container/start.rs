//! `start`

use api_types::ContainerInspect;

use super::run::{attach, supervise, wait_for};
use super::session::{Signals, Streams, detach_keys};
use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::{Cli, complain, println};
use crate::connect::{Client, Query, Request};
use crate::error::Error;

pub static COMMAND: Command = Command {
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Start one or more stopped containers",
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[
        Flag::bool("attach", "Attach to the output and send signals on").short('a'),
        Flag::string("checkpoint", "Checkpoint to restore").hidden(),
        Flag::string("checkpoint-dir", "Where checkpoints are").hidden(),
        Flag::string("detach-keys", "Keys that detach from the container"),
        Flag::bool("interactive", "Attach standard input").short('i'),
    ]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    if args.bool("attach") || args.bool("interactive") {
        return attached(cli, args).await;
    }
    let client = cli.client()?;
    let mut failures = Vec::new();
    for name in &args.args {
        match start(client, name, args).await {
            Ok(()) => println(name)?,
            Err(error) => {
                complain(&error);
                failures.push(name.as_str());
            }
        }
    }
    match failures.is_empty() {
        true => Ok(0),
        false => Err(Error::invalid(format!("Error: failed to start containers: {}", failures.join(", ")))),
    }
}

async fn start(client: &Client, name: &str, args: &Parsed) -> Result<(), Error> {
    let query = Query::new()
        .non_empty("checkpoint", &args.text("checkpoint"))
        .non_empty("checkpoint-dir", &args.text("checkpoint-dir"));
    client.run(Request::post(super::path(name, "/start")).query(query)).await
}

async fn attached(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let [name] = args.args.as_slice() else {
        return Err(Error::invalid("you cannot start and attach multiple containers at once"));
    };
    let client = cli.client()?;
    let container: ContainerInspect = client.json(Request::get(super::path(name, "/json"))).await?;
    let config = &container.config;
    let keys = args.text("detach-keys");
    let streams = Streams {
        tty: config.tty,
        stdin: args.bool("interactive") && config.open_stdin,
        stdout: true,
        stderr: true,
        detach_keys: detach_keys(&keys, cli.config()?, config.tty)?,
    };
    if streams.tty && streams.stdin && !crate::cli::stdin_is_terminal() {
        return Err(Error::invalid("the input device is not a TTY"));
    }
    let mut signals = (!config.tty).then(Signals::catch);
    let auto_remove = container.host_config.auto_remove;
    let id = container.id.as_str();
    let condition = if auto_remove { "removed" } else { "next-exit" };
    let (stream, wait) =
        tokio::try_join!(attach(client, id, &streams, &keys), wait_for(client, id, condition))?;
    start(client, id, args).await?;
    supervise(client, id, Some(stream), wait, &streams, signals.as_mut()).await
}
