//! `lichen engine`: the engine's process, inside the namespaces. Started by the launcher only.

use crate::daemon::config::{self, Config};
use crate::daemon::engine_process::LAUNCHER;
use crate::daemon::{error::Error, logging, settings};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

/// Run the engine with the arguments of `daemon`.
pub(crate) fn main(arguments: &[String]) -> ExitCode {
    match prepare(arguments) {
        Ok((_config, launcher)) => serve(launcher),
        Err(error) => {
            eprintln!("lichen engine: {error}");
            ExitCode::FAILURE
        }
    }
}

fn prepare(arguments: &[String]) -> Result<(Config, UnixStream), Error> {
    let launcher = UnixStream::from(sys::fds::take_inherited(LAUNCHER)?);
    let config = config::load(&settings::parse(arguments)?)?;
    logging::start(&config.log);
    Ok((config, launcher))
}

fn serve(mut launcher: UnixStream) -> ExitCode {
    if let Err(e) = launcher.write_all(b"!") {
        eprintln!("lichen engine: the launcher is gone: {e}");
        return ExitCode::FAILURE;
    }
    // The end of the stream is the end of the launcher.
    match launcher.read(&mut [0]) {
        Ok(_) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("lichen engine: {e}");
            ExitCode::FAILURE
        }
    }
}
