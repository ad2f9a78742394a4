//! The supervisor of a container that connects by sockets of the host's (crate `bypass`): made, given listeners, made
//! again.
//!
//! It is a fork of the shim, so that whatever a container keeps it busy with holds up nobody else, and it goes on when the
//! shim is killed. The shim has duplicates of what it needs, and the holder others: with the last listener closed the
//! container's calls would fail with ENOSYS.

use super::create::write_record;
use super::failed;
use super::kept;
use super::serve::Shim;
use anyhow::Context;
use bypass::{Hello, Notes};
use model::{ProcessRef, RunLayout};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use serde::{Deserialize, Serialize};
use shim_proto::{Failure, FailureClass};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How soon a supervisor that ended by itself is followed by another, at first and at last.
const SOON: Duration = Duration::from_millis(10);
const LATE: Duration = Duration::from_secs(5);

/// As many listeners, two descriptors each, as one message to the holder takes; of more the oldest are kept.
const KEPT: usize = 32;

/// The descriptor of a supervisor's control socket.
const CONTROL: i32 = 3;

/// What a replacement of the shim needs to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    /// The file that says where the container may connect to: see [`bypass::policy`].
    pub(super) policy: PathBuf,
    pub(super) supervisor: Option<ProcessRef>,
}

#[derive(Debug)]
pub(super) struct Connections {
    policy: PathBuf,
    /// Of init and of exec processes.
    listeners: Vec<Listener>,
    supervisor: Option<Supervisor>,
    pause: Duration,
    retry_at: Option<Instant>,
}

#[derive(Debug)]
struct Listener {
    fd: OwnedFd,
    notes: Notes,
    /// No process is left whose calls it gets.
    ended: bool,
}

#[derive(Debug)]
struct Supervisor {
    process: ProcessRef,
    control: OwnedFd,
    since: Instant,
}

impl Connections {
    pub(super) fn new(policy: PathBuf) -> Self {
        Self { policy, listeners: Vec::new(), supervisor: None, pause: SOON, retry_at: None }
    }

    /// In the place of a shim that was killed. Its supervisor is ended first, so that no call is taken twice.
    pub(super) fn adopt(run: &RunLayout, key: &str, record: &Record) -> anyhow::Result<Self> {
        if let Some(earlier) = record.supervisor {
            end(run, earlier).context("end the supervisor of the earlier shim")?;
        }
        let mut connections = Self::new(record.policy.clone());
        let mut fds = kept::take(run, key).context("take the listeners from the holder")?.into_iter();
        while let (Some(fd), Some(notes)) = (fds.next(), fds.next()) {
            connections.listeners.push(Listener { fd, notes: Notes::from_fd(notes), ended: false });
        }
        connections.start_again();
        Ok(connections)
    }

    /// The kernel must be able to do all that is needed: a container that waits for ever is worse than none.
    pub(super) fn check() -> Result<(), Failure> {
        if sys::notify::is_known() {
            return Ok(());
        }
        Err(unsupported("the kernel's seccomp notifications are not those of Linux 5.9"))
    }

    /// Has the calls that come from one more filter answered.
    pub(super) fn add(&mut self, fd: OwnedFd) -> Result<(), Failure> {
        if !sys::notify::can_install(&fd) {
            return Err(unsupported("it needs SECCOMP_IOCTL_NOTIF_ADDFD of Linux 5.9"));
        }
        let notes = Notes::new().map_err(failed("make notes for the supervisor of connections"))?;
        let listener = Listener { fd, notes, ended: false };
        if self.supervisor.is_none() {
            self.start().map_err(failed("start the supervisor of connections"))?;
        }
        // One that ended at this moment is followed by another, which is told of all.
        if let Some(supervisor) = &self.supervisor
            && let Err(error) =
                bypass::send_listener(&supervisor.control, Hello::New, listener.fd.as_fd(), &listener.notes)
        {
            eprintln!("lichen-shim: tell the supervisor of connections: {error}");
        }
        self.listeners.push(listener);
        Ok(())
    }

    fn start(&mut self) -> io::Result<()> {
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let arguments = ["lichen-shim".to_owned(), "bypass".to_owned(), utf8(&self.policy)?];
        let child = sys::spawn::fork_into(&[(theirs.as_fd(), CONTROL)], supervise, &arguments)?;
        let process = sys::process::reference(child.pid)?;
        self.supervisor = Some(Supervisor { process, control: ours, since: Instant::now() });
        Ok(())
    }

    /// After the end of a supervisor, for the listeners that there are.
    pub(super) fn start_again(&mut self) {
        self.retry_at = None;
        if self.listeners.is_empty() || self.supervisor.is_some() {
            return;
        }
        let started =
            self.start().and_then(|()| self.supervisor.as_ref().map_or(Ok(()), |new| self.brief(new)));
        if let Err(error) = started {
            eprintln!("lichen-shim: start the supervisor of connections again: {error}");
            self.retry();
        }
    }

    fn brief(&self, new: &Supervisor) -> io::Result<()> {
        let tell = |l: &Listener| bypass::send_listener(&new.control, Hello::Again, l.fd.as_fd(), &l.notes);
        self.listeners.iter().try_for_each(tell)
    }

    fn retry(&mut self) {
        self.retry_at = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(LATE);
    }

    /// A child of the shim's has ended.
    pub(super) fn reaped(&mut self, pid: u32) {
        if let Some(ended) = self.supervisor.take_if(|s| s.process.pid == pid) {
            if ended.since.elapsed() > LATE {
                self.pause = SOON;
            }
            self.retry();
        }
    }

    /// The listeners, which hang up when no process is left whose calls they get.
    pub(super) fn listeners(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.listeners.iter().map(|listener| listener.fd.as_fd())
    }

    /// A listener has hung up.
    pub(super) fn ended(&mut self, index: usize) {
        self.listeners[index].ended = true;
    }

    /// Lets go of listeners that have hung up; tells whether there were any.
    fn bury(&mut self) -> bool {
        let before = self.listeners.len();
        self.listeners.retain(|listener| !listener.ended);
        self.listeners.len() < before
    }

    pub(super) fn is_due(&self) -> bool {
        self.retry_at.is_some_and(|at| at <= Instant::now())
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.retry_at
    }

    /// What the holder is to keep.
    pub(super) fn to_keep(&self) -> Vec<BorrowedFd<'_>> {
        self.listeners.iter().take(KEPT).flat_map(|l| [l.fd.as_fd(), l.notes.as_fd()]).collect()
    }

    pub(super) fn record(&self) -> Record {
        let supervisor = self.supervisor.as_ref().map(|s| s.process);
        Record { policy: self.policy.clone(), supervisor }
    }
}

impl Shim {
    /// Under which the holder keeps what connections are answered by.
    pub(super) fn connections_key(&self) -> String {
        format!("{}.connections", self.id)
    }

    /// Has the connections of processes answered that have just been made.
    pub(super) fn supervise(&mut self, listener: OwnedFd) -> Result<(), Failure> {
        let Some(connections) = &mut self.connections else { return Ok(()) };
        connections.add(listener)?;
        self.note_connections()?;
        self.keep().map_err(failed("have the holder keep the listeners"))
    }

    /// A supervisor that ended is followed by another when it is time.
    pub(super) fn tidy_connections(&mut self) {
        let Some(connections) = &mut self.connections else { return };
        if connections.bury()
            && self.exit.is_none()
            && let Err(error) = self.keep()
        {
            eprintln!("lichen-shim: have the holder keep the listeners: {error}");
        }
        let Some(connections) = self.connections.as_mut().filter(|c| c.is_due()) else { return };
        connections.start_again();
        if let Err(failure) = self.note_connections() {
            eprintln!("lichen-shim: {failure}");
        }
    }

    fn note_connections(&mut self) -> Result<(), Failure> {
        let (Some(record), Some(connections)) = (&mut self.record, &self.connections) else { return Ok(()) };
        record.connections = Some(connections.record());
        let stage = record.stage;
        write_record(self, stage)
    }
}

fn unsupported(reason: &str) -> Failure {
    Failure::new(FailureClass::Unsupported, "bypass4netns", reason)
}

fn utf8(path: &Path) -> io::Result<String> {
    let text = path.to_str().ok_or_else(|| io::Error::other(format!("{} is not UTF-8", path.display())));
    text.map(str::to_owned)
}

/// Kills the supervisor of a shim that was killed, and has the holder, whose child it is now, forget it.
fn end(run: &RunLayout, supervisor: ProcessRef) -> anyhow::Result<()> {
    if let Ok(pidfd) = sys::pidfd::open(supervisor) {
        // It may end by itself at this moment.
        drop(sys::pidfd::signal(&pidfd, 9));
        sys::pidfd::poll_exit(&pidfd, None)?;
    }
    if kept::exit_of(run, supervisor.pid)?.is_some() {
        kept::forget_exit(run, supervisor.pid)?;
    }
    Ok(())
}

/// A supervisor, in a fork of the shim.
fn supervise(arguments: &[String]) -> i32 {
    let run = || -> anyhow::Result<()> {
        let policy = arguments.last().context("no policy was given")?;
        let title: Vec<&str> = arguments.iter().map(String::as_str).collect();
        sys::process::set_title(c"lichen-bypass", &title)?;
        bypass::run(sys::fds::take_inherited(CONTROL)?, PathBuf::from(policy))?;
        Ok(())
    };
    match run() {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("lichen-shim bypass: {error:#}");
            1
        }
    }
}
