//! Taking the place of a shim that was killed.

use super::create::{open_cgroup, open_log};
use super::kept;
use super::process::Process;
use super::record::Record;
use super::requests::LOST;
use super::serve::Shim;
use super::streams::{Ends, Streams};
use anyhow::{Context, bail};
use shim_proto::{Io, Stage, Target};
use std::os::fd::OwnedFd;

/// Go on where the earlier shim stopped: its streams come from the holder, its log is appended to, and how the
/// container's init ends will be known from the holder, whose child it has become.
pub(super) fn adopt(shim: &mut Shim) -> anyhow::Result<()> {
    let mut record = Record::read(&shim.run, &shim.id).context("read shim.json of the earlier shim")?;
    if sys::process::is_alive(record.shim) {
        bail!("the earlier shim, process {}, still runs", record.shim.pid);
    }
    let log = open_log(&record.log)?;
    let fds = kept::take(&shim.run, shim.id.as_str()).context("take the streams from the holder")?;
    let streams = Streams::new(record.io.clone(), ends(&record.io, fds)?, Some(log))?;
    shim.cgroup = open_cgroup(&record.cgroup, false)?;
    shim.stage = if record.stage == Stage::Created { Stage::Running } else { record.stage };
    record.shim = shim.own;
    let (pidfd, running) = match sys::pidfd::open(record.init) {
        Ok(pidfd) => (pidfd, true),
        // Ended between the two shims. The descriptor is only a place-holder: nothing is asked of an ended process.
        Err(_) => (std::fs::File::open("/dev/null")?.into(), false),
    };
    let mut init = Process {
        target: Target::Init,
        process: record.init,
        pidfd,
        adopted: true,
        streams,
        exit: None,
        announced: false,
    };
    if !running {
        let exit = kept::exit_of(&shim.run, record.init.pid)?;
        init.ended(exit.map_or(LOST, |e| e.code));
        kept::forget_exit(&shim.run, record.init.pid)?;
    }
    shim.processes.push(init);
    record.write(&shim.run, &shim.id).context("write shim.json")?;
    shim.record = Some(record);
    Ok(())
}

/// In the order in which `Create` had them kept.
fn ends(io: &Io, fds: Vec<OwnedFd>) -> anyhow::Result<Ends> {
    let expected = if io.tty || !io.open_stdin { 2 } else { 3 };
    if fds.len() != expected {
        bail!("the holder keeps {} streams: expected {expected}", fds.len());
    }
    let mut fds = fds.into_iter();
    Ok(match (io.tty, io.open_stdin) {
        (true, _) => Ends { stdin: fds.next(), stdout: fds.next(), stderr: None },
        (false, true) => Ends { stdin: fds.next(), stdout: fds.next(), stderr: fds.next() },
        (false, false) => Ends { stdin: None, stdout: fds.next(), stderr: fds.next() },
    })
}
