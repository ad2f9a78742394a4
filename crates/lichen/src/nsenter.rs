//! `lichen nsenter [CMD…]`: a program in the engine's namespaces, as their root.

use crate::daemon::error::Error;
use crate::daemon::{config, settings};
use rootless::HolderState;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// Does not return when the program could be run.
pub(crate) fn main(arguments: &[String]) -> ExitCode {
    match enter() {
        Ok(()) => {}
        Err(error) => {
            eprintln!("lichen: {error}");
            return ExitCode::from(125);
        }
    }
    let shell = std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".to_owned());
    let (program, rest) = match arguments.split_first() {
        Some((first, rest)) if first == "--" => rest.split_first().map_or((&shell, rest), |(p, r)| (p, r)),
        Some((program, rest)) => (program, rest),
        None => (&shell, arguments),
    };
    let error = Command::new(program).args(rest).exec();
    eprintln!("lichen: {program}: {error}");
    ExitCode::from(if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 })
}

fn enter() -> Result<(), Error> {
    let config = config::load(&settings::parse(&[])?)?;
    let state = HolderState::read(&config.run)?.filter(HolderState::is_current);
    let state = state.ok_or_else(|| Error::NotRunning { state: config.run.holder_state() })?;
    let directory = std::env::current_dir();
    rootless::enter::enter(&state)?;
    // Joining a mount namespace moves to its root.
    if let Ok(directory) = directory
        && std::env::set_current_dir(&directory).is_err()
    {
        eprintln!("lichen: {} does not exist in there; in / instead", directory.display());
    }
    Ok(())
}
