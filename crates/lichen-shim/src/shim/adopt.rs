//! Taking the place of a shim that was killed.

use super::connections::Connections;
use super::create::{open_cgroup, open_log};
use super::kept;
use super::log::Demand;
use super::process::Process;
use super::record::Record;
use super::serve::Shim;
use super::streams::{Ends, Streams};
use anyhow::{Context, bail};
use model::{Id, ProcessRef, RunLayout};
use shim_proto::{Io, Target};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// A process that was killed closes its descriptors, by which others learn of it, before it has ended (exit(2) in the
/// kernel: `exit_files` comes before `exit_notify`). This is how long it may take from the one to the other.
const ENDS: Duration = Duration::from_secs(10);

/// What the earlier shim wrote down; refused while it still runs.
pub(super) fn record(run: &RunLayout, id: &Id) -> anyhow::Result<Record> {
    let record = Record::read(run, id).context("read shim.json of the earlier shim")?;
    // One that was killed may be a zombie for a while.
    let runs = |pidfd| sys::pidfd::poll_exit(pidfd, Some(ENDS)).is_ok_and(|ended| !ended);
    if sys::pidfd::open(record.shim).is_ok_and(runs) {
        bail!("the earlier shim, process {}, still runs", record.shim.pid);
    }
    Ok(record)
}

/// Go on where the earlier shim stopped: its streams come from the holder, its log is appended to, and how the
/// container's init ends will be known from the holder, whose child it has become.
pub(super) fn adopt(shim: &mut Shim, mut record: Record) -> anyhow::Result<()> {
    let log = open_log(shim, &record.log, Demand::Eventually)?;
    let mut fds = kept::take(&shim.run, shim.id.as_str()).context("take the streams from the holder")?;
    let pidfd = fds.pop().context("the holder keeps nothing for this container")?;
    let streams = Streams::new(record.io.clone(), ends(&record.io, fds)?, Some(log))?;
    shim.watch_memory(open_cgroup(&record.cgroup, false)?);
    shim.stage = record.stage;
    record.shim = shim.own;
    shim.processes.push(Process {
        target: Target::Init,
        process: record.init,
        pidfd,
        adopted: true,
        unreaped_since: None,
        streams,
        exit: None,
        announced: false,
    });
    if let Some(connections) = &record.connections {
        let key = shim.connections_key();
        let adopted = Connections::adopt(&shim.run, &key, connections).context("adopt connections")?;
        record.connections = Some(adopted.record());
        shim.connections = Some(adopted);
    }
    shim.keep().and_then(|()| Ok(shim.kept.confirm()?)).context("have the holder keep the streams")?;
    record.write(&shim.run, &shim.id).context("write shim.json")?;
    shim.record = Some(record);
    Ok(())
}

/// How a process ended that is not our child: from the holder, which reaped it, or from the kernel. None when it is
/// not known, or not yet.
pub(super) fn exit_code(run: &RunLayout, process: ProcessRef, pidfd: &OwnedFd) -> Option<i32> {
    let pid = process.pid;
    let reaped =
        kept::exit_of(run, pid).inspect_err(|e| eprintln!("lichen-shim: ask the holder for an exit: {e}"));
    if let Ok(Some(exit)) = reaped {
        if let Err(e) = kept::forget_exit(run, pid) {
            eprintln!("lichen-shim: forget an exit: {e}");
        }
        return Some(exit.code);
    }
    // The holder was killed as well, and the process went to somebody who has not reaped it yet, or has.
    zombie_code(process).or_else(|| sys::pidfd_info::exit(pidfd).ok().flatten().map(sys::pidfd::Exit::code))
}

/// The wait status of a process that has ended and was not reaped: the last field of /proc/PID/stat
/// (proc_pid_stat(5), `exit_code`).
fn zombie_code(process: ProcessRef) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid)).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let status: i32 = fields.starts_with('Z').then(|| fields.split_whitespace().last()?.parse().ok())??;
    // The number still means the same process, so what was read was about it.
    sys::process::is_alive(process).then(|| match status & 0x7f {
        0 => status >> 8 & 0xff,
        signal => 128 + signal,
    })
}

/// In the order in which they were given to the holder; see [`Streams::copies`].
fn ends(io: &Io, fds: Vec<OwnedFd>) -> anyhow::Result<Ends> {
    let count = fds.len();
    let mut fds = fds.into_iter();
    Ok(match (io.tty, count) {
        (true, 2) => Ends { stdin: fds.next(), stdout: fds.next(), stderr: None },
        (true, 1) => Ends { stdin: None, stdout: fds.next(), stderr: None },
        (false, 3) => Ends { stdin: fds.next(), stdout: fds.next(), stderr: fds.next() },
        (false, 2) => Ends { stdin: None, stdout: fds.next(), stderr: fds.next() },
        _ => bail!("the holder keeps {count} streams: expected 2 or 3, or 1 or 2 of a terminal"),
    })
}
