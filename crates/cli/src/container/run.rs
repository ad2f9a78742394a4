//! `run`: create, attach, start, and stay until the container ends.

use api_types::WaitResponse;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;

use super::create::{create_container, failed};
use super::flags::CREATE;
use super::request::{self, CreateSpec};
use super::session::{Ended, Signals, Streams, detach_keys, follow_size, leave_on_signal, relay};
use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::{Cli, complain, println};
use crate::connect::client::Response;
use crate::connect::stream::JsonStream;
use crate::connect::{Client, Query, Request};
use crate::error::Error;
use crate::tty;

pub static COMMAND: Command = Command {
    usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    about: "Create and run a new container from an image",
    arity: Arity::AtLeast(1),
    interspersed: false,
    flags: &[CREATE, FLAGS],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

static FLAGS: &[Flag] = &[
    Flag::bool("detach", "Run in the background and print the container's ID").short('d'),
    Flag::string("detach-keys", "Keys that detach from the container"),
    Flag::bool("sig-proxy", "Send signals on to the process").default("true"),
];

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    run_container(cli, args).await.map_err(|error| failed(cli, args, &error))
}

async fn run_container(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let mut spec = request::resolve(args)?;
    let detached = args.bool("detach");
    arrange_streams(args, &mut spec, detached)?;
    let config = &spec.request.config;
    let streams = Streams {
        tty: config.tty,
        stdin: config.attach_stdin,
        stdout: config.attach_stdout,
        stderr: config.attach_stderr,
        detach_keys: detach_keys(&args.text("detach-keys"), cli.config()?, config.tty)?,
    };
    let auto_remove = spec.request.host_config.as_ref().is_some_and(|host| host.auto_remove);
    // Caught before the container exists, so that none is lost.
    let mut signals = (!detached && args.bool_or_true("sig-proxy")).then(Signals::catch);
    let id = create_container(cli, args, spec).await?.id;
    let client = cli.client()?;
    if detached {
        client.run(Request::post(super::path(&id, "/start"))).await?;
        return println(id).map(|()| 0);
    }
    let attached = streams.stdin || streams.stdout || streams.stderr;
    let keys = args.text("detach-keys");
    let (stream, wait) = tokio::try_join!(
        async {
            match attached {
                true => attach(client, &id, &streams, &keys).await.map(Some),
                false => Ok(None),
            }
        },
        wait_for(client, &id, if auto_remove { "removed" } else { "next-exit" }),
    )?;
    if let Err(error) = client.run(Request::post(super::path(&id, "/start"))).await {
        if auto_remove {
            // The engine removes what could not start; leave when it is gone.
            let removal = exit_code(wait);
            drop(tokio::time::timeout(std::time::Duration::from_secs(10), removal).await);
        }
        return Err(error);
    }
    supervise(client, &id, stream, wait, &streams, signals.as_mut()).await
}

/// Settles what the flags leave open: streams of a detached container, and the terminal's size.
fn arrange_streams(args: &Parsed, spec: &mut CreateSpec, detached: bool) -> Result<(), Error> {
    let config = &mut spec.request.config;
    if detached {
        if !args.all("attach").is_empty() {
            complain("conflicting options: cannot specify both --attach and --detach");
            return Err(Error::Printed(1));
        }
        config.attach_stdin = false;
        config.attach_stdout = false;
        config.attach_stderr = false;
        config.stdin_once = false;
    } else {
        if config.tty && config.attach_stdin && !crate::cli::stdin_is_terminal() {
            complain("the input device is not a TTY");
            return Err(Error::Printed(1));
        }
        config.stdin_once = config.open_stdin && config.attach_stdin;
    }
    if config.tty
        && let (Some((rows, columns)), Some(host)) = (tty::size(), &mut spec.request.host_config)
    {
        host.console_size = [rows.into(), columns.into()];
    }
    Ok(())
}

/// Opens the container's streams.
pub async fn attach(
    client: &Client,
    id: &str,
    streams: &Streams,
    detach_keys: &str,
) -> Result<TokioIo<Upgraded>, Error> {
    let query = Query::new()
        .with("stream", "1")
        .flag("stdin", streams.stdin)
        .flag("stdout", streams.stdout)
        .flag("stderr", streams.stderr)
        .non_empty("detachKeys", detach_keys);
    client.upgrade(Request::post(super::path(id, "/attach")).query(query)).await
}

/// Asks to be told when the container ends; returns as soon as the engine has noted it.
pub async fn wait_for(client: &Client, id: &str, condition: &str) -> Result<Response, Error> {
    client
        .send(Request::post(super::path(id, "/wait")).query(Query::new().non_empty("condition", condition)))
        .await
}

/// The exit code in the answer to [`wait_for`].
pub async fn exit_code(wait: Response) -> Result<i32, Error> {
    let answer: Option<WaitResponse> = JsonStream::new(wait, "/wait").next().await?;
    let answer = answer.unwrap_or_default();
    match answer.error.filter(|error| !error.message.is_empty()) {
        Some(error) => {
            complain(format!("Error waiting for container: {}", error.message));
            Ok(125)
        }
        None => Ok(i32::try_from(answer.status_code).unwrap_or(255)),
    }
}

/// Stays with a started container until it ends or the user detaches.
pub async fn supervise(
    client: &Client,
    id: &str,
    stream: Option<TokioIo<Upgraded>>,
    wait: Response,
    streams: &Streams,
    signals: Option<&mut Signals>,
) -> Result<i32, Error> {
    let path = super::path(id, "");
    let session = async {
        if let Some(stream) = stream
            && relay(stream, streams).await? == Ended::Detached
        {
            return Ok(0);
        }
        exit_code(wait).await
    };
    let signalled = async {
        match signals {
            Some(signals) => match signals.forward(client, id).await {},
            None => leave_on_signal().await,
        }
    };
    let resizing = async {
        match streams.tty && crate::cli::stdout_is_terminal() {
            true => match follow_size(client, &path).await {},
            false => std::future::pending::<()>().await,
        }
    };
    tokio::select! {
        biased;
        result = session => result,
        code = signalled => Ok(code),
        () = resizing => Ok(0),
    }
}
