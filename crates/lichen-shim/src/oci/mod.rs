//! The OCI runtime command line: `lichen-shim oci VERB …`, with the flags of runc(8).
//!
//! A thin layer over crate `runtime`: arguments, the state directory, and nothing that the shim would not do as well.

mod args;
mod container;
mod create;
mod exec;
mod features;
mod kill;
mod list;
mod run;
mod spec;
mod store;

use anyhow::{Context, Result, bail};
use args::{Args, Global};
use std::{io::Write, process::ExitCode};

const USAGE: &str = "\
usage: lichen-shim oci [--root DIR] [--log FILE] [--log-format text|json] [--debug] VERB

  create   [--bundle DIR] [--console-socket PATH] [--pid-file PATH] [--preserve-fds N] ID
  start    ID
  run      the flags of create, and [--detach] [--keep] ID
  state    ID
  kill     [--all] ID [SIGNAL]
  delete   [--force] ID
  exec     [--detach] [--tty] [--process FILE] [--user UID[:GID]] [--cwd DIR] [--env K=V] [--cap CAP]
           [--additional-gids GID] [--no-new-privs] [--console-socket PATH] [--pid-file PATH] [--preserve-fds N]
           ID [COMMAND [ARG…]]
  ps       [--format table|json] ID
  list     [--format table|json] [--quiet]
  pause | resume   ID
  spec     [--bundle DIR] [--rootless]
  features";

/// Runs one verb. The exit code is that of the program for `run` and `exec`, 1 for any failure of ours.
pub fn main(arguments: &[String]) -> ExitCode {
    let mut args = Args::new(arguments);
    let global = match Global::take(&mut args) {
        Ok(global) => global,
        Err(error) => {
            eprintln!("lichen-shim oci: {error}\n{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    match dispatch(&global, args) {
        Ok(code) => code,
        Err(error) => {
            global.log_error(&error);
            eprintln!("lichen-shim oci: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// One line or more on standard output, where a reader that has gone is an error like any other.
fn print(text: impl std::fmt::Display) -> Result<()> {
    writeln!(std::io::stdout(), "{text}").context("write to standard output")
}

fn dispatch(global: &Global, mut args: Args) -> Result<ExitCode> {
    let Some(verb) = args.positional() else { bail!("which verb?\n{USAGE}") };
    match verb.as_str() {
        "create" => create::main(global, args),
        "start" => create::start(global, args),
        "run" => run::main(global, args),
        "state" => list::state(global, args),
        "list" => list::main(global, args),
        "ps" => list::processes(global, args),
        "kill" => kill::main(global, args),
        "delete" => kill::delete(global, args),
        "pause" => kill::freeze(global, args, true),
        "resume" => kill::freeze(global, args, false),
        "exec" => exec::main(global, args),
        "spec" => spec::main(args),
        "features" => features::main(args),
        "help" | "--help" | "-h" => {
            print(USAGE)?;
            Ok(ExitCode::SUCCESS)
        }
        "--version" | "-v" => {
            print(format_args!(
                "lichen-shim oci version {}\nspec: {}",
                env!("CARGO_PKG_VERSION"),
                spec::VERSION
            ))?;
            Ok(ExitCode::SUCCESS)
        }
        other => bail!("unknown verb {other:?}\n{USAGE}"),
    }
}
