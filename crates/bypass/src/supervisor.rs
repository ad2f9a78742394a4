//! The loop: calls in, answers out.
//!
//! ```text
//!   taken ──► ordinary ─────────────────────────────► CONTINUE
//!        └──► outside, non-blocking ─► connect ─────► replaced, EINPROGRESS (or 0); or the errno
//!        └──► outside, blocking ────► connecting ──┬► connected: replaced, 0
//!                                                  ├► refused and the like: the errno, nothing replaced
//!                                                  ├► SO_SNDTIMEO is up: replaced, EINPROGRESS
//!                                                  └► interrupted by a signal: forgotten when it is noticed
//! ```
//! A call that the kernel restarts after a signal (`SA_RESTART`) comes again, as another: it is given the connection that
//! is on its way already.

use crate::{
    Notes, address, caller,
    listener::{Call, Listener},
    options,
    policy::{self, Policy},
    route,
    verdict::{Verdict, verdict},
    watched,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, sockopt},
};
use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd},
    path::PathBuf,
    time::{Duration, Instant},
};
use sys::notify::{self, Answer, Notification};

/// Blocking connections that may be on their way at once; what comes beyond goes the ordinary way.
const MANY: usize = 1024;

/// How a listener comes to a supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hello {
    New,
    /// Another supervisor had it before, and may have left calls unanswered.
    Again,
}

/// Gives a supervisor one more listener, by the other end of its control socket (of type seqpacket).
pub fn send_listener(
    control: impl AsFd,
    hello: Hello,
    listener: BorrowedFd<'_>,
    notes: &Notes,
) -> io::Result<()> {
    let byte = [u8::from(hello == Hello::Again)];
    Ok(sys::fds::send_with_fds(control.as_fd(), &byte, &[listener, notes.as_fd()]).map(drop)?)
}

/// Answers until no process is left whose calls come here. The caller has one thread, the container's user namespace
/// or one above it, and the host's network namespace.
pub fn run(control: OwnedFd, policy: PathBuf) -> io::Result<()> {
    let own = rustix::fs::stat("/proc/self/ns/net")?.st_ino;
    raise_descriptor_limit();
    let mut supervisor = Supervisor {
        control: Some(control),
        listeners: Vec::new(),
        pending: Vec::new(),
        policy: policy::File::new(policy),
        own,
    };
    while supervisor.control.is_some() || !supervisor.listeners.is_empty() {
        let ready = supervisor.wait()?;
        for (source, flags) in ready {
            supervisor.handle(source, flags)?;
        }
        supervisor.finish_late();
        supervisor.bury();
    }
    Ok(())
}

/// Connections on their way are descriptors. Keeping the soft limit is no failure, only a lower bound.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).ok();
}

struct Supervisor {
    /// None once the shim is gone: what is there is served on.
    control: Option<OwnedFd>,
    listeners: Vec<Listener>,
    pending: Vec<Pending>,
    policy: policy::File,
    /// The inode number of the host's network namespace.
    own: u64,
}

/// A blocking call that waits for its connection.
struct Pending {
    /// The listener's descriptor, by which it is found.
    listener: RawFd,
    call: Call,
    socket: OwnedFd,
    deadline: Option<Instant>,
    done: bool,
}

#[derive(Debug, Clone, Copy)]
enum Source {
    Control,
    Listener(usize),
    Pending(usize),
}

impl Supervisor {
    fn wait(&self) -> io::Result<Vec<(Source, PollFlags)>> {
        let (mut fds, mut sources) = (Vec::new(), Vec::new());
        let mut add = |fd, flags, source| {
            fds.push(PollFd::from_borrowed_fd(fd, flags));
            sources.push(source);
        };
        if let Some(control) = &self.control {
            add(control.as_fd(), PollFlags::IN, Source::Control);
        }
        for (index, listener) in self.listeners.iter().enumerate() {
            add(listener.fd.as_fd(), PollFlags::IN, Source::Listener(index));
        }
        for (index, pending) in self.pending.iter().enumerate() {
            add(pending.socket.as_fd(), PollFlags::OUT, Source::Pending(index));
        }
        match poll(&mut fds, self.timeout().as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let ready = sources.into_iter().zip(fds.iter().map(PollFd::revents));
        Ok(ready.filter(|(_, flags)| !flags.is_empty()).collect())
    }

    fn timeout(&self) -> Option<Timespec> {
        let deadline = self.pending.iter().filter_map(|pending| pending.deadline).min()?;
        let left = deadline.saturating_duration_since(Instant::now());
        Some(Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: i64::from(left.subsec_nanos()) })
    }

    fn handle(&mut self, source: Source, flags: PollFlags) -> io::Result<()> {
        match source {
            Source::Control => self.take_listener()?,
            Source::Listener(index) if flags.contains(PollFlags::IN) => self.take_call(index)?,
            Source::Listener(index) => self.listeners[index].ended = true,
            Source::Pending(index) => self.finish(index),
        }
        Ok(())
    }

    /// # Errors
    /// When there is no room for what was sent: the kernel leaves out what does not fit (unix(7)). Another
    /// supervisor, without connections on their way, has room for all of them.
    fn take_listener(&mut self) -> io::Result<()> {
        let Some(control) = &self.control else { return Ok(()) };
        let mut byte = [0];
        let received = sys::fds::recv_with_fds(control, &mut byte);
        let fds = match received {
            Ok((1, fds)) => fds,
            Ok(_) | Err(_) => {
                self.control = None;
                return Ok(());
            }
        };
        let [fd, notes] = <[OwnedFd; 2]>::try_from(fds)
            .map_err(|_| io::Error::other(format!("receive a listener: {}", Errno::MFILE)))?;
        let listener = Listener { fd, notes: Notes::from_fd(notes), ended: false };
        if byte == [1] {
            listener.let_go(MANY as u64);
        }
        self.listeners.push(listener);
        Ok(())
    }

    fn take_call(&mut self, index: usize) -> io::Result<()> {
        let listener = &self.listeners[index];
        let Some(call) = notify::receive(&listener.fd)? else { return Ok(()) };
        if let Err(error) = listener.notes.write(call.id) {
            eprintln!("lichen-shim bypass: note a call down: {error}");
        }
        if let Some(answer) = self.consider(index, &call) {
            self.listeners[index].answer(call.id, answer);
        }
        Ok(())
    }

    /// The answer, if there is one yet.
    fn consider(&mut self, index: usize, call: &Notification) -> Option<Answer> {
        let [number, pointer, length, ..] = call.arguments;
        let number = number as RawFd;
        let address = caller::address(call.thread, pointer, length);
        let socket = match caller::descriptor(call.thread, number) {
            Ok(socket) if address.is_some() => socket,
            _ => return Some(Answer::Continue),
        };
        if !notify::is_waiting(&self.listeners[index].fd, call.id) {
            return None;
        }
        let policy: &Policy = self.policy.read();
        let facts = caller::facts(socket.as_fd(), policy.netns, self.own);
        match verdict(facts, address, policy) {
            Verdict::Ordinary => Some(Answer::Continue),
            Verdict::Nowhere => Some(Answer::Error(Errno::NETUNREACH)),
            Verdict::Outside(address) => {
                let Ok(stat) = rustix::fs::fstat(&socket) else { return Some(Answer::Continue) };
                let call = Call { id: call.id, thread: call.thread, number, inode: stat.st_ino, address };
                self.connect(index, call, socket.as_fd())
            }
        }
    }

    fn connect(&mut self, index: usize, call: Call, socket: BorrowedFd<'_>) -> Option<Answer> {
        // A connection that failed while nobody waited for it: its error is the call's (`__inet_stream_connect`).
        if let Ok(Err(errno)) = sockopt::socket_error(socket) {
            return Some(Answer::Error(errno));
        }
        let flags = rustix::fs::fcntl_getfl(socket).unwrap_or(rustix::fs::OFlags::empty());
        let waits = !flags.contains(rustix::fs::OFlags::NONBLOCK);
        if waits && self.is_resumed(index, call) {
            return None;
        }
        // What cannot be looked at may be watched.
        let ordinary =
            if waits { self.is_full() } else { watched::is_watched(call.thread, call.inode).unwrap_or(true) };
        if ordinary {
            return Some(Answer::Continue);
        }
        // Without a device to tie a socket to (the host's own addresses have none), or without a socket, such as with too
        // few descriptors, it is the container's own that does.
        let Ok(new) = outside(call.address, socket) else { return Some(Answer::Continue) };
        let listener = &self.listeners[index];
        match (rustix::net::connect(&new, &call.address), waits) {
            (Ok(()), _) => listener.replace(&call, &new, waits, Answer::Value(0)),
            (Err(Errno::INPROGRESS), false) => {
                listener.replace(&call, &new, waits, Answer::Error(Errno::INPROGRESS))
            }
            (Err(Errno::INPROGRESS), true) => {
                let limit = sockopt::socket_timeout(socket, sockopt::Timeout::Send).ok().flatten();
                let deadline = limit.and_then(|limit: Duration| Instant::now().checked_add(limit));
                let listener = listener.number();
                self.pending.push(Pending { listener, call, socket: new, deadline, done: false });
                None
            }
            (Err(errno), _) => Some(Answer::Error(errno)),
        }
    }

    /// The same call as one whose connection is on its way, restarted after a signal.
    fn is_resumed(&mut self, index: usize, call: Call) -> bool {
        let listener = self.listeners[index].number();
        let same =
            |p: &&mut Pending| !p.done && p.listener == listener && Call { id: call.id, ..p.call } == call;
        match self.pending.iter_mut().find(same) {
            Some(pending) => {
                pending.call.id = call.id;
                true
            }
            None => false,
        }
    }

    /// Whether too many are on their way, those not counted that nobody waits for any more.
    fn is_full(&mut self) -> bool {
        if self.pending.len() < MANY {
            return false;
        }
        for pending in self.pending.iter_mut().filter(|pending| !pending.done) {
            let listener = self.listeners.iter().find(|l| l.number() == pending.listener);
            pending.done = !listener.is_some_and(|l| notify::is_waiting(&l.fd, pending.call.id));
        }
        self.pending.iter().filter(|pending| !pending.done).count() >= MANY
    }

    /// A connection was made, or was not.
    fn finish(&mut self, index: usize) {
        if self.pending[index].done {
            return;
        }
        let answer = match sockopt::socket_error(&self.pending[index].socket) {
            Ok(Ok(())) => Answer::Value(0),
            Ok(Err(errno)) | Err(errno) => Answer::Error(errno),
        };
        self.settle(index, answer);
    }

    fn finish_late(&mut self) {
        let now = Instant::now();
        for index in 0..self.pending.len() {
            let pending = &self.pending[index];
            if !pending.done && pending.deadline.is_some_and(|deadline| deadline <= now) {
                self.settle(index, Answer::Error(Errno::INPROGRESS));
            }
        }
    }

    fn settle(&mut self, index: usize, answer: Answer) {
        let pending = &mut self.pending[index];
        pending.done = true;
        let Some(listener) = self.listeners.iter().find(|l| l.number() == pending.listener) else { return };
        let answer = match answer {
            Answer::Value(_) | Answer::Error(Errno::INPROGRESS) => {
                listener.replace(&pending.call, &pending.socket, true, answer)
            }
            other => Some(other),
        };
        if let Some(answer) = answer {
            listener.answer(pending.call.id, answer);
        }
    }

    /// Lets go of what has ended.
    fn bury(&mut self) {
        let ended: Vec<RawFd> = self.listeners.iter().filter(|l| l.ended).map(Listener::number).collect();
        self.pending.retain(|pending| !pending.done && !ended.contains(&pending.listener));
        self.listeners.retain(|listener| !listener.ended);
    }
}

/// A non-blocking socket of the host's with the options of `like`, tied to the device that leads to `peer`.
fn outside(peer: SocketAddr, like: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // The family is the container's socket's: one of IPv6 may ask for an address of IPv4.
    let family = sockopt::socket_domain(like)?;
    if peer.is_ipv6() != (family == AddressFamily::INET6) {
        return Err(Errno::AFNOSUPPORT.into());
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    let device = route::device(address::destination(&peer))?.ok_or(Errno::HOSTUNREACH)?;
    route::tie(&socket, device)?;
    options::copy(like, &socket);
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With one that is left out, calls would wait for somebody who never hears of them.
    #[test]
    fn a_listener_without_room_for_it_ends_the_supervisor() {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        rustix::net::send(&ours, &[0], rustix::net::SendFlags::empty()).unwrap();
        let error = run(theirs, PathBuf::from("/policy")).unwrap_err().to_string();
        assert!(error.starts_with("receive a listener: "), "{error}");
    }
}
