//! `lichen nsenter [--net] [CMD…]`: a program in the engine's namespaces, as their root; with `--net` also in the router
//! network namespace, where the containers' bridges are.
//!
//! Where no engine runs, namespaces with the same IDs are made for as long as the program runs: what containers left
//! behind belongs to subordinate IDs, and only root of such a namespace can remove it.

use crate::daemon::config::Config;
use crate::daemon::error::Error;
use crate::daemon::{config, end_holder, paths, refuse_root, settings, shim_program};
use model::RunLayout;
use rootless::{Ensure, HolderState};
use rustix::thread::LinkNameSpaceType;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode};

/// Where the process that runs in temporary namespaces finds them.
const STATE_DIR: &str = "DOCKERD_ROOTLESS_ROOTLESSKIT_STATE_DIR";

/// Set for that process: it must not make namespaces once more.
const TEMPORARY: &str = "LICHEN_NSENTER_TEMPORARY";

/// Does not return when the program could be run in the namespaces of an engine.
pub(crate) fn main(arguments: &[String]) -> ExitCode {
    let (router, arguments) = match arguments.split_first() {
        Some((first, rest)) if first == "--net" => (true, rest),
        _ => (false, arguments),
    };
    let entered = configuration().and_then(|config| match running(&config)? {
        Some(state) => {
            enter(&state)?;
            if router { enter_router(&config.run) } else { Ok(()) }.map(|()| None)
        }
        // Namespaces made for the occasion have no router among them.
        None if router || std::env::var_os(TEMPORARY).is_some() => {
            Err(Error::NotRunning { state: config.run.holder_state() })
        }
        None => temporarily(config, arguments).map(Some),
    });
    match entered {
        Ok(None) => execute(arguments),
        Ok(Some(code)) => code,
        Err(error) => {
            eprintln!("lichen: {error}");
            ExitCode::from(125)
        }
    }
}

fn configuration() -> Result<Config, Error> {
    refuse_root()?;
    config::load(&settings::parse(&[])?)
}

fn running(config: &Config) -> Result<Option<HolderState>, Error> {
    Ok(HolderState::read(&config.run)?.filter(HolderState::is_current))
}

fn enter(state: &HolderState) -> Result<(), Error> {
    let directory = std::env::current_dir();
    rootless::enter::enter(state)?;
    // Joining a mount namespace moves to its root.
    if let Ok(directory) = directory
        && std::env::set_current_dir(&directory).is_err()
    {
        eprintln!("lichen: {} does not exist in there; in / instead", directory.display());
    }
    Ok(())
}

/// To be called in the holder's mount namespace, the only one where the router namespace is bound.
fn enter_router(run: &RunLayout) -> Result<(), Error> {
    let path = run.router_netns();
    let namespace = std::fs::File::open(&path).map_err(Error::io("open", &path))?;
    rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|errno| Error::io("enter", &path)(errno.into()))
}

fn execute(arguments: &[String]) -> ExitCode {
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

/// A run directory of its own keeps this apart from an engine that starts meanwhile.
fn temporarily(mut config: Config, arguments: &[String]) -> Result<ExitCode, Error> {
    let directory = config.places.runtime.join(format!("lichen-nsenter-{}", std::process::id()));
    config.run = RunLayout::new(&directory);
    paths::make_private(&directory, "exec-root")?;
    let code = in_holder(&config, arguments);
    let ended = end_holder(&config, false);
    let removed = std::fs::remove_dir_all(&directory).map_err(Error::io("remove", &directory));
    let code = code?;
    ended?;
    removed?;
    Ok(code)
}

fn in_holder(config: &Config, arguments: &[String]) -> Result<ExitCode, Error> {
    let program = shim_program()?;
    let holder = rootless::ensure(&Ensure { run: &config.run, program: program.as_fd() })?;
    for warning in &holder.warnings {
        eprintln!("lichen: {warning}");
    }
    let this = std::env::current_exe().map_err(Error::io("find", "this program"))?;
    // It joins the namespaces as a process of one thread, and this one stays to end them.
    let status = Command::new(&this)
        .arg("nsenter")
        .args(arguments)
        .env(STATE_DIR, config.run.root())
        .env(TEMPORARY, "1")
        .status()
        .map_err(Error::io("run", &this))?;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(125);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(125)))
}
