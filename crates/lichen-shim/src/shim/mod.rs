//! The shim: parent of one container's processes, keeper of their streams, writer of their log.
//!
//! # Theory of operation
//! One thread and one poll(2) over everything: engines' connections and the socket that new ones come to, a signalfd for
//! SIGCHLD, both sides of every process's streams. Requests are carried out one after another, in [`requests`]; crate
//! `runtime` clones containers and exec processes straight from here, which is why no second thread may exist.
//!
//! The shim is a subreaper: an external OCI runtime leaves the container's init to it. When the shim itself is killed,
//! init goes to the holder, which also keeps copies of our ends of init's streams ([`kept`]); a replacement
//! ([`adopt`]) goes on from there.
//!
//! # Invariants
//! * An end is announced after the output is complete (or [`streams`] has waited long enough), and init's after
//!   `exit.json` is written.
//! * Nothing a client does stops the loop: every descriptor is non-blocking, every queue bounded.

mod adopt;
mod announce;
mod attacher;
mod connections;
mod create;
mod delivery;
mod detach_keys;
mod ends;
mod engines;
mod exec;
mod kept;
mod log;
mod pids;
mod process;
mod record;
mod requests;
mod sender;
mod serve;
mod streams;

use model::{Id, RunLayout};
use shim_proto::{Failure, FailureClass};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

const USAGE: &str = "lichen-shim shim --run-dir DIR --id ID --holder FD [--connection FD] [--replace]";

/// What the holder gives a shim.
#[derive(Debug, PartialEq, Eq)]
struct Arguments {
    run: RunLayout,
    id: Id,
    /// The descriptor of a connection to the holder.
    holder: i32,
    /// The descriptor of the first engine's connection.
    connection: Option<i32>,
    /// Take the place of a shim that died.
    replace: bool,
}

/// A shim, in a fork of the holder. Returns the exit status.
pub(crate) fn entry(arguments: &[String]) -> i32 {
    let outcome = match parse(arguments) {
        Some(arguments) => main(arguments).map_err(|e| format!("{e:#}")),
        None => Err(format!("{arguments:?} are no arguments: {USAGE}")),
    };
    match outcome {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("lichen-shim shim: {error}");
            1
        }
    }
}

/// None when the arguments are not understood.
fn parse(arguments: &[String]) -> Option<Arguments> {
    let (mut run, mut id, mut holder, mut connection, mut replace) = (None, None, None, None, false);
    let mut rest = arguments.iter();
    if rest.next()? != "shim" {
        return None;
    }
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--run-dir" => run = Some(RunLayout::new(PathBuf::from(rest.next()?))),
            "--id" => id = Some(rest.next()?.parse().ok()?),
            "--holder" => holder = Some(rest.next()?.parse().ok()?),
            "--connection" => connection = Some(rest.next()?.parse().ok()?),
            "--replace" => replace = true,
            _ => return None,
        }
    }
    Some(Arguments { run: run?, id: id?, holder: holder?, connection, replace })
}

/// Be a container's shim until it is told to end, or has nothing left to do.
fn main(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { run, id, holder, connection, replace } = arguments;
    let root = run.root().to_string_lossy().into_owned();
    sys::process::set_title(
        c"lichen-shim",
        &["lichen-shim", "shim", "--run-dir", &root, "--id", id.short()],
    )?;
    let holder = UnixStream::from(sys::fds::take_inherited(holder)?);
    let connection = connection.map(sys::fds::take_inherited).transpose()?;
    let earlier = if replace { Some(adopt::record(&run, &id)?) } else { None };
    let mut shim = serve::Shim::new(run, id, holder)?;
    if let Some(record) = earlier {
        adopt::adopt(&mut shim, record)?;
    }
    if let Some(connection) = connection {
        shim.engines.push(engines::Engine::new(UnixStream::from(connection))?);
    }
    serve::serve(shim)
}

/// For `map_err`: a step that failed for the host's reasons.
fn failed<E: ToString>(step: &'static str) -> impl FnOnce(E) -> Failure {
    move |error| Failure::new(FailureClass::Other, step, error.to_string())
}
