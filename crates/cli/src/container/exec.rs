//! `exec`

use api_types::{ExecCreateRequest, ExecInspect, ExecStartRequest, IdResponse};

use super::create::exit_code;
use super::session::{Streams, detach_keys, follow_size, leave_on_signal, relay};
use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::{Cli, complain};
use crate::connect::{Client, Request};
use crate::error::Error;
use crate::opts::env;
use crate::tty;

pub static COMMAND: Command = Command {
    usage: "[OPTIONS] CONTAINER COMMAND [ARG...]",
    about: "Execute a command in a running container",
    arity: Arity::AtLeast(2),
    interspersed: false,
    flags: &[&[
        Flag::bool("detach", "Run the command in the background").short('d'),
        Flag::string("detach-keys", "Keys that detach from the command"),
        Flag::list("env", "Set an environment variable").short('e').check(env::check),
        Flag::list("env-file", "Read environment variables from a file"),
        Flag::bool("interactive", "Keep standard input open").short('i'),
        Flag::bool("privileged", "Give the command all privileges the engine has"),
        Flag::bool("tty", "Give it a terminal").short('t'),
        Flag::string("user", "User name or ID, and group (user[:group])").short('u'),
        Flag::string("workdir", "Working directory").short('w'),
    ]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let detached = args.bool("detach");
    let request = request(cli, args, detached)?;
    if request.tty && request.attach_stdin && !crate::cli::stdin_is_terminal() {
        return Err(Error::invalid("the input device is not a TTY"));
    }
    let client = cli.client()?;
    let path = super::path(&args.args[0], "/exec");
    let created: IdResponse = client.json(Request::post(path).json(&request)?).await?;
    let path = format!("/exec/{}", created.id);
    let start = ExecStartRequest { detach: detached, tty: request.tty, console_size: request.console_size };
    let start = Request::post(format!("{path}/start")).json(&start)?;
    if detached {
        return client.run(start).await.map(|()| 0).map_err(not_started);
    }
    let streams = Streams {
        tty: request.tty,
        stdin: request.attach_stdin,
        stdout: true,
        stderr: true,
        detach_keys: detach_keys(&request.detach_keys, cli.config()?, request.tty)?,
    };
    attached(client, &path, start, &streams).await
}

fn request(cli: &Cli, args: &Parsed, detached: bool) -> Result<ExecCreateRequest, Error> {
    let tty = args.bool("tty");
    let size = tty.then(tty::size).flatten().map(|(rows, columns)| [rows.into(), columns.into()]);
    let keys = args.non_empty("detach-keys").unwrap_or(&cli.config()?.file.detach_keys).to_owned();
    Ok(ExecCreateRequest {
        user: args.text("user"),
        privileged: args.bool("privileged"),
        tty,
        console_size: size,
        attach_stdin: args.bool("interactive") && !detached,
        attach_stdout: !detached,
        attach_stderr: !detached,
        detach_keys: keys,
        env: env::environment(&args.all("env-file"), &args.all("env"))?,
        working_dir: args.text("workdir"),
        cmd: args.args[1..].to_vec(),
        detach: detached,
    })
}

/// A command that cannot be run ends with 126 or 127, like one that a shell cannot run.
fn not_started(error: Error) -> Error {
    match exit_code(&error) {
        125 => error,
        code => {
            complain(&error);
            Error::Printed(code)
        }
    }
}

async fn attached(client: &Client, path: &str, start: Request, streams: &Streams) -> Result<i32, Error> {
    let stream = client.upgrade(start).await.map_err(not_started)?;
    let session = async {
        relay(stream, streams).await?;
        let state: ExecInspect = client.json(Request::get(format!("{path}/json"))).await?;
        Ok(state.exit_code.map_or(0, |code| i32::try_from(code).unwrap_or(255)))
    };
    let resizing = async {
        match streams.tty && crate::cli::stdout_is_terminal() {
            true => match follow_size(client, path).await {},
            false => std::future::pending::<()>().await,
        }
    };
    // Only with a raw terminal is there something to put in order before a signal is obeyed.
    let signalled = async {
        match streams.tty {
            true => leave_on_signal().await,
            false => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        result = session => result,
        code = signalled => Ok(code),
        () = resizing => Ok(0),
    }
}
