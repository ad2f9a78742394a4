//! Orphans that were reaped here: a list, and a file for each.

use crate::state::write_whole;
use model::{RunLayout, Timestamp};
use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use shim_proto::OrphanExit;
use std::collections::{HashSet, VecDeque};
use std::fs;
use std::io;
use std::path::PathBuf;

/// Enough for every container of a busy host; a program that makes orphans in the engine's own PID namespace
/// (`--pid host`) must not fill the run directory.
const KEPT: usize = 4096;

/// What the holder remembers of ended processes.
#[derive(Debug)]
pub(super) struct Exits {
    dir: PathBuf,
    list: VecDeque<OrphanExit>,
    /// Programs started here that still run.
    children: HashSet<u32>,
}

impl Exits {
    /// Continues the list of an earlier holder.
    pub(super) fn open(run: &RunLayout) -> Self {
        let dir = run.holder_exits();
        let files = fs::read_dir(&dir).into_iter().flatten().flatten();
        let mut list: Vec<OrphanExit> =
            files.filter_map(|f| serde_json::from_slice(&fs::read(f.path()).ok()?).ok()).collect();
        list.sort_by_key(|e| e.at);
        Self { dir, list: list.into(), children: HashSet::new() }
    }

    pub(super) fn adopt(&mut self, pid: u32) {
        self.children.insert(pid);
    }

    pub(super) fn children(&self) -> usize {
        self.children.len()
    }

    pub(super) fn list(&self) -> Vec<OrphanExit> {
        self.list.iter().copied().collect()
    }

    /// Reap whatever has ended. The process is recorded before it is reaped, so that its PID cannot be reused before.
    pub(super) fn reap(&mut self) -> io::Result<()> {
        loop {
            let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
            let (pid, code) = match waitid(Id::All, peek) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, code),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, 128 + signal as i32),
                Ok(_) | Err(Errno::ECHILD) => return Ok(()),
                Err(Errno::EINTR) => continue,
                Err(e) => return Err(e.into()),
            };
            let number = pid.as_raw().unsigned_abs();
            // A shim that ended well has told its engine everything.
            if !self.children.remove(&number) || code != 0 {
                self.record(OrphanExit { pid: number, code, at: Timestamp::now() })?;
            }
            bury(pid)?;
        }
    }

    pub(super) fn forget(&mut self, pids: &[u32]) -> io::Result<()> {
        self.list.retain(|e| !pids.contains(&e.pid));
        pids.iter().try_for_each(|pid| self.remove_file(*pid))
    }

    fn record(&mut self, exit: OrphanExit) -> io::Result<()> {
        self.list.retain(|e| e.pid != exit.pid);
        if self.list.len() >= KEPT
            && let Some(oldest) = self.list.pop_front()
        {
            self.remove_file(oldest.pid)?;
        }
        write_whole(&self.dir.join(exit.pid.to_string()), &serde_json::to_vec(&exit)?)?;
        self.list.push_back(exit);
        Ok(())
    }

    fn remove_file(&self, pid: u32) -> io::Result<()> {
        match fs::remove_file(self.dir.join(pid.to_string())) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}

fn bury(pid: Pid) -> io::Result<()> {
    waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG).map(drop).map_err(Into::into)
}
