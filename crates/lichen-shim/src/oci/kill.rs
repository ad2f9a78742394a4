//! `kill`, `delete`, `pause`, `resume`.

use super::{
    args::{Args, Global, unknown},
    container::Container,
};
use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use oci_spec::runtime::ContainerState;
use std::{process::ExitCode, time::Duration};

pub(super) fn main(global: &Global, mut args: Args) -> Result<ExitCode> {
    let mut all = false;
    while let Some((flag, given)) = args.flag() {
        match flag.as_str() {
            "all" | "a" => all = Args::switch(&flag, given)?,
            _ => return unknown(&flag),
        }
    }
    let id = args.positional().context("which container?")?;
    let signal = number(args.positional().as_deref().unwrap_or("SIGTERM"))?;
    args.none_left()?;
    let container = Container::open(global, &id)?;
    if container.status() == ContainerState::Stopped {
        bail!("container not running");
    }
    if !all {
        send(container.state.init, signal)?;
        return Ok(ExitCode::SUCCESS);
    }
    for pid in container.pids()? {
        if let Some(process) =
            rustix::process::Pid::from_raw(pid as i32).and_then(|p| sys::process::reference(p).ok())
        {
            send(process, signal)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A process that ended a moment ago needs no signal any more.
fn send(process: model::ProcessRef, signal: i32) -> Result<()> {
    match sys::pidfd::open(process).and_then(|pidfd| sys::pidfd::signal(&pidfd, signal)) {
        Err(e) if e.errno != rustix::io::Errno::SRCH => Err(e.into()),
        _ => Ok(()),
    }
}

/// `9`, `KILL`, `SIGKILL`, `RTMIN+3`.
fn number(name: &str) -> Result<i32> {
    if let Ok(number) = name.parse() {
        if (0..=64).contains(&number) {
            return Ok(number);
        }
        bail!("unknown signal {name:?}");
    }
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |from: i32, rest: &str| {
        if rest.is_empty() { Some(from) } else { rest.parse::<i32>().ok().map(|n| from + n) }
    };
    let real_time = short.strip_prefix("RTMIN").and_then(|rest| offset(34, rest));
    let real_time = real_time.or_else(|| short.strip_prefix("RTMAX").and_then(|rest| offset(64, rest)));
    match (real_time, format!("SIG{short}").parse::<Signal>()) {
        (Some(number @ 34..=64), _) => Ok(number),
        (None, Ok(signal)) => Ok(signal as i32),
        _ => bail!("unknown signal {name:?}"),
    }
}

pub(super) fn delete(global: &Global, mut args: Args) -> Result<ExitCode> {
    let mut force = false;
    while let Some((flag, given)) = args.flag() {
        match flag.as_str() {
            "force" | "f" => force = Args::switch(&flag, given)?,
            _ => return unknown(&flag),
        }
    }
    let id = args.only_id()?;
    let container = match Container::open(global, &id) {
        Err(_) if force => return Ok(ExitCode::SUCCESS),
        other => other?,
    };
    match container.status() {
        ContainerState::Stopped => {}
        ContainerState::Created => end(&container)?,
        _ if force => end(&container)?,
        status => bail!("cannot delete container {id} that is not stopped: {status}"),
    }
    remove(global, &id)?;
    Ok(ExitCode::SUCCESS)
}

fn end(container: &Container) -> Result<()> {
    let cgroup = container.cgroup()?;
    if cgroup.path().is_some() {
        cgroup.kill()?;
    }
    let pidfd = match sys::pidfd::open(container.state.init) {
        Err(e) if e.errno == rustix::io::Errno::SRCH => return Ok(()),
        other => other?,
    };
    sys::pidfd::signal(&pidfd, 9)?;
    if !sys::pidfd::poll_exit(&pidfd, Some(Duration::from_secs(10)))? {
        bail!("container init still running");
    }
    Ok(())
}

/// Forgets a container that has ended, and runs its last hooks.
pub(super) fn remove(global: &Global, id: &str) -> Result<()> {
    let container = Container::open(global, id)?;
    // Its own processes end with its PID namespace, but the kernel empties the cgroup a moment later.
    remove_cgroup(&container)?;
    container.directory.remove()?;
    if let Err(e) = runtime::run_poststop(&container.spec, id, &container.state.bundle) {
        eprintln!("lichen-shim oci: warning: {e}");
    }
    Ok(())
}

fn remove_cgroup(container: &Container) -> Result<()> {
    let Some(path) = &container.state.cgroup else { return Ok(()) };
    if !path.exists() {
        return Ok(());
    }
    let cgroup = container.cgroup()?;
    cgroup.kill()?;
    let mut wait = Duration::from_millis(1);
    loop {
        match cgroup.remove() {
            Err(runtime::Error::Cgroup { source, .. })
                if source.kind() == std::io::ErrorKind::ResourceBusy && wait < Duration::from_secs(2) =>
            {
                std::thread::sleep(wait);
                wait *= 2;
            }
            other => return Ok(other?),
        }
    }
}

pub(super) fn freeze(global: &Global, args: Args, frozen: bool) -> Result<ExitCode> {
    let container = Container::open(global, &args.only_id()?)?;
    if !matches!(container.status(), ContainerState::Running | ContainerState::Created) {
        bail!("container not running");
    }
    let cgroup = container.cgroup()?;
    if frozen {
        cgroup.freeze()?
    } else {
        cgroup.thaw()?
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_known_by_number_and_name() {
        for (name, expected) in
            [("9", 9), ("KILL", 9), ("sigterm", 15), ("RTMIN+3", 37), ("SIGRTMAX-1", 63), ("0", 0)]
        {
            assert_eq!(number(name).unwrap(), expected, "{name}");
        }
        for name in ["NONSENSE", "65", "-1", "RTMIN+40"] {
            assert!(number(name).is_err(), "{name}");
        }
    }
}
