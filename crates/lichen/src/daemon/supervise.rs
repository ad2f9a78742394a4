//! Watching the engine and the holder, and passing signals on.
//!
//! # Theory of operation
//! ```text
//! Starting ──ready──▶ Serving ──died──▶ (pause) ──▶ Starting
//!    │ died                  └──told to stop──▶ Stopping ──exit 0──▶ end
//!    └─▶ end, with its exit code, if no engine has ever served
//! ```
//! A stop that is asked for (SIGTERM, SIGINT) is remembered until an engine has carried it out: while none serves it waits
//! for the one that is starting, without a pause before that; and when an engine dies of it, another finishes the work, a
//! few times. The third signal ends all of this at once, as with dockerd. An engine that was sent SIGTERM by somebody else
//! ends well too, and its launcher with it.
//!
//! A dead holder is re-made from the engine or any shim, without touching them.

use super::engine_process::{Engine, Start, start};
use super::error::{Error, Result};
use super::lock::Lock;
use super::pidfile::Pidfile;
use super::service::Service;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rootless::{Ensure, HolderState};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};
use sys::pidfd::Exit;
use tracing::{error, info, warn};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// An engine that served this long was well.
const WELL: Duration = Duration::from_secs(30);
/// dockerd ends at once at the third SIGINT or SIGTERM.
const PATIENCE: u32 = 3;
/// How many engines may die while a stop waits for them.
const STOPPERS: u32 = 3;

/// What is supervised.
pub(super) struct Supervised<'a> {
    pub(super) ensure: Ensure<'a>,
    pub(super) holder: HolderState,
    /// Lent: they last until nothing is left that a next engine could take for its own.
    pub(super) locks: &'a mut [Lock; 3],
    /// The sockets of the API.
    pub(super) listeners: &'a [OwnedFd],
    pub(super) arguments: &'a [String],
    pub(super) environment: Vec<(&'static str, std::ffi::OsString)>,
    pub(super) pidfile: &'a Pidfile,
    /// What engines may ask for.
    pub(super) service: Service,
}

struct Running {
    engine: Engine,
    since: Instant,
    serving: bool,
}

/// What signals have asked for, and no engine was told of yet, or has carried out.
#[derive(Debug, Default)]
struct Asked {
    /// How often a stop was asked for.
    stops: u32,
    reload: bool,
}

impl Asked {
    fn read(&mut self, signals: &SignalFd) -> Result<()> {
        let failed = |e: nix::Error| Error::io("read", "signals")(e.into());
        while let Some(signal) = signals.read_signal().map_err(failed)? {
            if signal.ssi_signo == Signal::SIGHUP as u32 {
                self.reload = true;
            } else {
                self.stops += 1;
                tell_service_manager(&[
                    sd_notify::NotifyState::Stopping,
                    sd_notify::NotifyState::Status("Stopping, containers first unless live-restore is on."),
                ]);
            }
        }
        Ok(())
    }

    /// What follows from it for an engine. Handlers are there once it serves: before, a signal would kill it in the
    /// middle of adopting.
    fn pass_on(&mut self, running: &Running) -> Result<()> {
        if self.stops >= PATIENCE {
            return send(running, Signal::SIGKILL);
        }
        if !running.serving {
            return Ok(());
        }
        if std::mem::take(&mut self.reload) {
            send(running, Signal::SIGHUP)?;
        }
        // The engine has one way to end well.
        if self.stops > 0 { send(running, Signal::SIGTERM) } else { Ok(()) }
    }
}

/// How it ended.
pub(super) struct Ended {
    /// The exit code.
    pub(super) code: u8,
    /// Whether there was an engine that served.
    pub(super) served: bool,
}

/// Run engines until one was asked to end, or the first could not start.
pub(super) fn supervise(mut s: Supervised<'_>) -> Result<Ended> {
    let signals = signals()?;
    let mut pause = FIRST_PAUSE;
    let mut ever_served = false;
    let mut asked = Asked::default();
    let mut stoppers = 0;
    loop {
        let running = begin(&mut s)?;
        let outcome = watch(&mut s, running, &signals, &mut asked)?;
        ever_served |= outcome.served;
        stoppers += u32::from(asked.stops > 0);
        // Whoever told it: `kill $(cat docker.pid)` stops a rootless dockerd too.
        let stopped = outcome.served && outcome.exit == Exit::Code(0);
        if stopped || !ever_served || stoppers >= STOPPERS || asked.stops >= PATIENCE {
            let code = u8::try_from(outcome.exit.code()).unwrap_or(1);
            return Ok(Ended { code, served: ever_served });
        }
        if outcome.lasted >= WELL {
            pause = FIRST_PAUSE;
        }
        if asked.stops > 0 {
            warn!(exit = ?outcome.exit, "the engine died before it had stopped its containers; another goes on with that");
            continue;
        }
        error!(exit = ?outcome.exit, pause = ?pause, "the engine died; it is started again, and adopts what runs");
        wait_for_signal(&signals, pause)?;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn begin(s: &mut Supervised<'_>) -> Result<Running> {
    if !s.holder.is_current() {
        remake(s)?;
    }
    let engine = start(&Start {
        holder: &s.holder,
        shim: s.ensure.program,
        locks: &*s.locks,
        listeners: s.listeners,
        arguments: s.arguments,
        environment: &s.environment,
    })?;
    let pid = engine.child.pid.as_raw_pid().unsigned_abs();
    s.locks.iter_mut().try_for_each(|l| l.sign(Some(pid)))?;
    s.pidfile.write(pid)?;
    Ok(Running { engine, since: Instant::now(), serving: false })
}

fn remake(s: &mut Supervised<'_>) -> Result<()> {
    let holder = rootless::ensure(&s.ensure)?;
    warn!(pid = holder.state.process.pid, found = ?holder.found, "the namespace holder had died");
    s.holder = holder.state;
    Ok(())
}

/// How an engine's life went.
struct Outcome {
    exit: Exit,
    served: bool,
    lasted: Duration,
}

fn watch(
    s: &mut Supervised<'_>,
    mut running: Running,
    signals: &SignalFd,
    asked: &mut Asked,
) -> Result<Outcome> {
    let mut holder = sys::pidfd::open(s.holder.process).ok();
    loop {
        let ready = wait(&running, signals, holder.as_ref())?;
        if ready.signal {
            asked.read(signals)?;
        }
        let begins =
            ready.socket && !running.serving && matches!((&running.engine.socket).read(&mut [0]), Ok(1));
        if begins {
            running.serving = true;
            info!(after = ?running.since.elapsed(), "the engine serves");
            tell_service_manager(&[
                sd_notify::NotifyState::Ready,
                sd_notify::NotifyState::Status("The engine serves."),
            ]);
            // From here on the launcher mostly waits.
            if let Err(error) = sys::heap::forget_code() {
                warn!(%error, "give back the memory of code that is not in use");
            }
        }
        if begins || ready.signal {
            asked.pass_on(&running)?;
        }
        if ready.service
            && let Some(connection) = &mut running.engine.service
            && !s.service.answer(connection, &s.holder)
        {
            running.engine.service = None;
        }
        if ready.holder {
            remake(s)?;
            holder = sys::pidfd::open(s.holder.process).ok();
        }
        if ready.engine
            && let Some(exit) = sys::pidfd::try_wait(&running.engine.child.pidfd)?
        {
            return Ok(Outcome { exit, served: running.serving, lasted: running.since.elapsed() });
        }
    }
}

/// sd_notify(3). Started by hand, there is nobody to tell, and nothing happens.
fn tell_service_manager(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(false, state) {
        warn!("tell the service manager how the engine is: {e}");
    }
}

fn send(running: &Running, signal: Signal) -> Result<()> {
    match sys::pidfd::signal(&running.engine.child.pidfd, signal as i32) {
        Err(e) if e.errno != rustix::io::Errno::SRCH => Err(e.into()),
        _ => Ok(()),
    }
}

struct Ready {
    signal: bool,
    engine: bool,
    socket: bool,
    holder: bool,
    service: bool,
}

fn wait(running: &Running, signals: &SignalFd, holder: Option<&OwnedFd>) -> Result<Ready> {
    let socket = if running.serving { PollFlags::empty() } else { PollFlags::IN };
    let mut fds = vec![
        PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
        PollFd::from_borrowed_fd(running.engine.child.pidfd.as_fd(), PollFlags::IN),
    ];
    if !running.serving {
        fds.push(PollFd::from_borrowed_fd(running.engine.socket.as_fd(), socket));
    }
    let socket_at = if running.serving { None } else { Some(2) };
    let holder_at = holder.map(|holder| {
        fds.push(PollFd::from_borrowed_fd(holder.as_fd(), PollFlags::IN));
        fds.len() - 1
    });
    let service_at = running.engine.service.as_ref().map(|service| {
        fds.push(PollFd::from_borrowed_fd(service.as_fd(), PollFlags::IN));
        fds.len() - 1
    });
    match poll(&mut fds, None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(e) => return Err(sys::Error::of("poll", "engine and holder")(e).into()),
    }
    let is_ready = |at: Option<usize>| at.is_some_and(|at| fds[at].revents().contains(PollFlags::IN));
    Ok(Ready {
        signal: is_ready(Some(0)),
        engine: is_ready(Some(1)),
        socket: is_ready(socket_at),
        holder: is_ready(holder_at),
        service: is_ready(service_at),
    })
}

/// Waits for as long, or until there is a signal to read.
fn wait_for_signal(signals: &SignalFd, time: Duration) -> Result<()> {
    let timeout = Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: i64::from(time.subsec_nanos()) };
    let mut fds = [PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)];
    match poll(&mut fds, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(e) => Err(sys::Error::of("poll", "signals")(e).into()),
    }
}

fn signals() -> Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        set.add(signal);
    }
    let failed = |e: nix::Error| Error::io("watch", "signals")(e.into());
    set.thread_block().map_err(failed)?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(failed)
}
