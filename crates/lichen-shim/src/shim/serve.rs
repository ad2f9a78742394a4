//! The loop.

use super::connections::Connections;
use super::engines::Engine;
use super::process::Process;
use super::record::Record;
use super::streams::Place;
use super::{adopt, kept, requests};
use anyhow::Context;
use model::{Id, ProcessRef, RunLayout};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id as WaitFor, WaitPidFlag, WaitStatus, waitid};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use shim_proto::{ExecExit, ExitRecord, FromShim, Stage, Target, ToShim};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

/// How long a shim without an engine stays after its container's exit; the exit is in `exit.json` anyway.
const ALONE: Duration = Duration::from_secs(30);

pub(super) struct Shim {
    pub(super) run: RunLayout,
    pub(super) id: Id,
    pub(super) stage: Stage,
    pub(super) own: ProcessRef,
    listener: UnixListener,
    signals: SignalFd,
    pub(super) engines: Vec<Engine>,
    pub(super) kept: kept::Watch,
    /// What a replacement would need; from `Create` on.
    pub(super) record: Option<Record>,
    pub(super) cgroup: runtime::Cgroup,
    /// Tells when the kernel kills in the cgroup for lack of memory.
    pub(super) oom: Option<runtime::cgroup::OomWatch>,
    pub(super) pending: Option<runtime::Pending>,
    /// With connections that are made by sockets of the host's.
    pub(super) connections: Option<Connections>,
    /// Init first, then exec processes.
    pub(super) processes: Vec<Process>,
    pub(super) exit: Option<ExitRecord>,
    pub(super) exec_exits: Vec<ExecExit>,
    /// The process that compresses a rotated log file.
    pub(super) compressor: Option<u32>,
    pub(super) ending: bool,
    alone_since: Option<Instant>,
}

/// Something to poll.
#[derive(Debug, Clone, Copy)]
enum Source {
    Listener,
    Signals,
    /// The end of the holder.
    Holder,
    Engine(usize),
    /// A change of the cgroup's memory events.
    OutOfMemory,
    /// The end of all processes of one listener.
    Connections(usize),
    /// The end of an adopted process.
    Pidfd(usize),
    Stream(usize, Place),
}

impl Shim {
    pub(super) fn new(run: RunLayout, id: Id, holder: UnixStream) -> anyhow::Result<Self> {
        let dir = run.shim(&id);
        std::fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
        let path = run.shim_socket(&id);
        if path.exists() {
            std::fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
        }
        let listener = UnixListener::bind(&path).with_context(|| format!("bind {}", path.display()))?;
        listener.set_nonblocking(true)?;
        sys::process::become_subreaper()?;
        let mut child = SigSet::empty();
        child.add(Signal::SIGCHLD);
        child.thread_block()?;
        let signals = SignalFd::with_flags(&child, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self {
            own: sys::process::reference(rustix::process::getpid())?,
            run,
            id,
            stage: Stage::Empty,
            listener,
            signals,
            engines: Vec::new(),
            kept: kept::Watch::new(holder),
            record: None,
            cgroup: runtime::Cgroup::none("the container has not been created"),
            oom: None,
            pending: None,
            connections: None,
            processes: Vec::new(),
            exit: None,
            exec_exits: Vec::new(),
            compressor: None,
            ending: false,
            alone_since: None,
        })
    }

    /// The container's cgroup; kills in it are told from now on.
    pub(super) fn watch_memory(&mut self, cgroup: runtime::Cgroup) {
        self.oom = cgroup.watch_oom().unwrap_or_else(|e| {
            eprintln!("lichen-shim: watch for kills for memory: {e}");
            None
        });
        self.cgroup = cgroup;
    }

    pub(super) fn find(&mut self, target: &Target) -> Option<&mut Process> {
        self.processes.iter_mut().find(|p| p.is(target))
    }

    pub(super) fn init(&self) -> Option<&Process> {
        self.processes.first().filter(|p| p.is(&Target::Init))
    }

    pub(super) fn event(&mut self, event: &FromShim) {
        for engine in &mut self.engines {
            engine.send(0, event);
        }
    }
}

/// Serve until told to end.
pub(super) fn serve(mut shim: Shim) -> anyhow::Result<()> {
    loop {
        settle(&mut shim);
        if shim.is_finished() {
            return shim.leave();
        }
        let ready = shim.wait()?;
        for (source, flags) in ready {
            shim.handle(source, flags);
        }
    }
}

/// Everything that follows from what was handled.
fn settle(shim: &mut Shim) {
    let mut was_large = false;
    for index in 0..shim.engines.len() {
        while let Some(request) = shim.engines[index].request() {
            let seq = request.seq;
            // These carry a whole specification or process.
            was_large |= matches!(request.msg, ToShim::Create(_) | ToShim::Exec(_));
            let reply = requests::carry_out(shim, request).unwrap_or_else(FromShim::Failed);
            shim.engines[index].send(seq, &reply);
        }
    }
    if was_large {
        sys::heap::trim();
    }
    shim.engines.retain(|e| !e.is_gone());
    for index in 0..shim.processes.len() {
        if shim.processes[index].is_overdue() {
            shim.adopted_ended(index);
        }
        shim.processes[index].streams.tidy();
    }
    let stdin_ended = shim.processes.first_mut().is_some_and(|init| init.streams.take_stdin_ended());
    if shim.kept.is_due() || (stdin_ended && shim.exit.is_none() && shim.stage != Stage::Empty) {
        shim.keep_again();
    }
    shim.tidy_connections();
    shim.compress_logs();
    shim.announce();
    shim.processes.retain(|p| !p.announced || !p.streams.is_idle() || p.is(&Target::Init));
    let alone = shim.engines.is_empty() && matches!(shim.stage, Stage::Exited | Stage::Empty);
    shim.alone_since = if alone { shim.alone_since.or_else(|| Some(Instant::now())) } else { None };
}

impl Shim {
    fn is_finished(&self) -> bool {
        let idle = self.processes.iter().all(|p| p.streams.is_idle());
        if self.ending {
            return idle && self.engines.iter().all(|e| !e.has_output());
        }
        match self.stage {
            // Nobody will ever ask: the engine that wanted a container has gone.
            Stage::Empty => self.alone_since.is_some(),
            Stage::Exited => idle && self.alone_since.is_some_and(|since| since.elapsed() >= ALONE),
            _ => false,
        }
    }

    /// With nothing ever made, nothing is left behind; `Shutdown` has removed everything; otherwise the exit record stays.
    fn leave(&self) -> anyhow::Result<()> {
        if self.ending {
            return Ok(());
        }
        let dir = self.run.shim(&self.id);
        let outcome = if self.stage == Stage::Empty {
            std::fs::remove_dir_all(&dir)
        } else {
            std::fs::remove_file(self.run.shim_socket(&self.id))
        };
        outcome.with_context(|| format!("remove {}", dir.display()))
    }

    fn wait(&self) -> anyhow::Result<Vec<(Source, PollFlags)>> {
        let (mut fds, mut sources) = (Vec::new(), Vec::new());
        let mut add = |fd, flags, source| {
            fds.push(PollFd::from_borrowed_fd(fd, flags));
            sources.push(source);
        };
        add(self.listener.as_fd(), PollFlags::IN, Source::Listener);
        add(self.signals.as_fd(), PollFlags::IN, Source::Signals);
        if let Some(holder) = self.kept.socket() {
            add(holder, PollFlags::IN, Source::Holder);
        }
        if let Some(oom) = &self.oom {
            add(oom.as_fd(), PollFlags::PRI, Source::OutOfMemory);
        }
        for (index, fd) in self.connections.iter().flat_map(Connections::listeners).enumerate() {
            add(fd, PollFlags::empty(), Source::Connections(index));
        }
        for (index, engine) in self.engines.iter().enumerate() {
            let out = if engine.has_output() { PollFlags::OUT } else { PollFlags::empty() };
            add(engine.as_fd(), PollFlags::IN | out, Source::Engine(index));
        }
        for (index, process) in self.processes.iter().enumerate() {
            if process.adopted && process.is_running() {
                // A zombie stays readable; what is waited for then is that it is reaped, which is HUP (Linux 6.15).
                let flags = if process.unreaped_since.is_some() { PollFlags::empty() } else { PollFlags::IN };
                add(process.pidfd.as_fd(), flags, Source::Pidfd(index));
            }
            for (fd, flags, place) in process.streams.interests() {
                add(fd, flags, Source::Stream(index, place));
            }
        }
        match poll(&mut fds, self.timeout().as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e).context("poll"),
        }
        let ready = sources.into_iter().zip(fds.iter().map(PollFd::revents));
        Ok(ready.filter(|(_, flags)| !flags.is_empty()).collect())
    }

    fn timeout(&self) -> Option<Timespec> {
        let alone = self.alone_since.map(|since| since + ALONE);
        let deadline = self
            .processes
            .iter()
            .filter_map(Process::deadline)
            .chain(alone)
            .chain(self.kept.deadline())
            .chain(self.connections.as_ref().and_then(Connections::deadline))
            .min()?;
        let left = deadline.saturating_duration_since(Instant::now());
        Some(Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: i64::from(left.subsec_nanos()) })
    }

    fn handle(&mut self, source: Source, flags: PollFlags) {
        match source {
            Source::Listener => self.accept(),
            Source::Signals => self.reap(),
            Source::Holder => self.kept.ready(),
            Source::OutOfMemory => self.tell_oom(),
            Source::Connections(index) => {
                if let Some(connections) = &mut self.connections {
                    connections.ended(index);
                }
            }
            Source::Engine(index) => {
                let engine = &mut self.engines[index];
                if flags.contains(PollFlags::OUT) {
                    engine.flush();
                }
                if flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                    engine.read();
                }
            }
            Source::Pidfd(index) => self.adopted_ended(index),
            Source::Stream(index, place) => {
                if self.processes[index].streams.ready(place, flags) {
                    let target = self.processes[index].target.clone();
                    self.event(&FromShim::Detached { target });
                }
            }
        }
    }

    fn accept(&mut self) {
        let own = rustix::process::geteuid();
        match self.listener.accept() {
            Ok((socket, _)) => match rustix::net::sockopt::socket_peercred(&socket) {
                Ok(peer) if peer.uid == own => match Engine::new(socket) {
                    Ok(engine) => self.engines.push(engine),
                    Err(e) => eprintln!("lichen-shim: accept: {e}"),
                },
                Ok(_) => {}
                Err(e) => eprintln!("lichen-shim: accept: {e}"),
            },
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => eprintln!("lichen-shim: accept: {e}"),
        }
    }

    /// Reap all ended children: ours, and orphans that a subreaper is given.
    pub(super) fn reap(&mut self) {
        while let Ok(Some(_)) = self.signals.read_signal() {}
        loop {
            let (pid, code) = match waitid(WaitFor::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, code),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, 128 + signal as i32),
                Err(nix::errno::Errno::EINTR) => continue,
                Ok(_) | Err(_) => return,
            };
            let pid = pid.as_raw().unsigned_abs();
            if self.compressor == Some(pid) {
                self.compressor = None;
                self.processes.iter_mut().for_each(|p| p.streams.compressed());
            }
            if let Some(connections) = &mut self.connections {
                connections.reaped(pid);
            }
            if let Some(process) = self.processes.iter_mut().find(|p| p.process.pid == pid && !p.adopted) {
                process.ended(code);
            }
        }
    }

    /// Ask the holder to keep init's streams as they are now, and its pidfd, which tells how it ended whoever reaps it.
    pub(super) fn keep(&mut self) -> anyhow::Result<()> {
        let Some(init) = self.processes.first() else { return Ok(()) };
        let mut copies = init.streams.copies()?;
        copies.push(init.pidfd.try_clone()?);
        let fds: Vec<BorrowedFd<'_>> = copies.iter().map(AsFd::as_fd).collect();
        self.kept.keep(&self.run, self.id.as_str(), &fds)?;
        if let Some(connections) = &self.connections {
            self.kept.keep(&self.run, &self.connections_key(), &connections.to_keep())?;
        }
        Ok(())
    }

    /// After the holder was made anew, or when input has ended.
    fn keep_again(&mut self) {
        if self.keep().is_err() || self.kept.confirm().is_err() {
            // There is no holder now.
            self.kept.ended();
        }
    }

    /// The end of a process that is not our child: known once it has been reaped.
    fn adopted_ended(&mut self, index: usize) {
        let process = &mut self.processes[index];
        match adopt::exit_code(&self.run, process.process, &process.pidfd) {
            Some(code) => process.ended(code),
            None if process.unreaped_since.is_none() => process.unreaped_since = Some(Instant::now()),
            None => process.ended(requests::LOST),
        }
    }
}
