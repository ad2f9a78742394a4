//! Answering requests.

use super::Shim;
use super::exits::Exits;
use super::spawn::{Start, spawn};
use crate::{Error, Result};
use model::RunLayout;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use shim_proto::{Decoder, Failure, FailureClass, FromHolder, Received, ToHolder, wire};
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;
use sys::namespaces::{Kind, open_own};

/// How long an answer may wait for its reader.
const PATIENCE: Duration = Duration::from_secs(1);

struct Server {
    /// What forks of this process become.
    shim: Shim,
    /// User, mount and router network namespace.
    namespaces: [OwnedFd; 3],
    kept: HashMap<String, Vec<OwnedFd>>,
    exits: Exits,
    /// Connections of new shims.
    born: Vec<Client>,
}

struct Client {
    socket: UnixStream,
    decoder: Decoder,
    /// The number of its request to end once there are no children.
    waits_for_end: Option<u64>,
}

/// Whether to go on with a client.
#[derive(PartialEq, Eq)]
enum Next {
    Serve,
    Hangup,
}

/// Serve until told to end.
pub(super) fn serve(run: &RunLayout, listener: UnixListener, router: OwnedFd, shim: Shim) -> Result<()> {
    let signals = signals().map_err(Error::io("watch signals in", run.root()))?;
    raise_descriptor_limit();
    let mut server = Server {
        shim,
        namespaces: [open_own(Kind::User)?, open_own(Kind::Mount)?, router],
        kept: HashMap::new(),
        exits: Exits::open(run),
        born: Vec::new(),
    };
    let mut clients: Vec<Client> = Vec::new();
    let own_uid = rustix::process::geteuid().as_raw();
    loop {
        let ready = wait(&listener, &signals, &clients).map_err(Error::io("poll in", run.root()))?;
        if ready.child {
            drain(&signals).map_err(Error::io("read signals in", run.root()))?;
            server.exits.reap().map_err(Error::io("record an exit in", run.holder_exits()))?;
        }
        // From the last, so that removing one leaves the earlier numbers right.
        for index in ready.clients.into_iter().rev() {
            match server.client(&mut clients[index]) {
                Next::Serve => {}
                Next::Hangup => drop(clients.swap_remove(index)),
            }
        }
        let asked = clients.iter().find_map(|c| Some((&c.socket, c.waits_for_end?)));
        if let (Some((client, seq)), 0) = (asked, server.exits.children()) {
            return leave(run, client, seq);
        }
        clients.append(&mut server.born);
        if ready.accept {
            accept(&listener, own_uid, &mut clients);
        }
    }
}

/// The namespaces end with this process, and so do the files that lead to them.
fn leave(run: &RunLayout, client: &UnixStream, seq: u64) -> Result<()> {
    let remove = |path: std::path::PathBuf| std::fs::remove_file(&path).map_err(Error::io("remove", &path));
    let removed = remove(run.holder_socket()).and(remove(run.holder_state()));
    let reply = match &removed {
        Ok(()) => FromHolder::Done,
        Err(e) => FromHolder::Failed(Failure::new(FailureClass::Other, "shut down", e)),
    };
    // One that has hung up meanwhile has asked for it all the same.
    if let Err(e) = send(client, seq, &reply, &[]) {
        eprintln!("lichen-shim holder: answer {}: {e}", reply.name());
    }
    removed
}

fn signals() -> io::Result<SignalFd> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGCHLD);
    for ignored in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
        // Blocked and read with the rest, to no effect.
        set.add(ignored);
    }
    set.thread_block()?;
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

fn drain(signals: &SignalFd) -> io::Result<()> {
    while signals.read_signal()?.is_some() {}
    Ok(())
}

/// Every running container keeps a few descriptors here.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(e) = setrlimit(Resource::Nofile, limit) {
        eprintln!("lichen-shim holder: cannot raise the limit of open files: {e}");
    }
}

struct Ready {
    accept: bool,
    child: bool,
    clients: Vec<usize>,
}

fn wait(listener: &UnixListener, signals: &SignalFd, clients: &[Client]) -> io::Result<Ready> {
    let sources =
        [listener.as_fd(), signals.as_fd()].into_iter().chain(clients.iter().map(|c| c.socket.as_fd()));
    let mut fds: Vec<PollFd<'_>> = sources.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
    loop {
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
            Ok(_) => break,
        }
    }
    let is_ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
    let clients = (2..is_ready.len()).filter(|i| is_ready[*i]).map(|i| i - 2).collect();
    Ok(Ready { accept: is_ready[0], child: is_ready[1], clients })
}

fn accept(listener: &UnixListener, own_uid: u32, clients: &mut Vec<Client>) {
    let admit = |socket: UnixStream| -> io::Result<Option<Client>> {
        // The directory is 0700; this also keeps out containers that were given the directory.
        let peer = rustix::net::sockopt::socket_peercred(&socket)?;
        if peer.uid.as_raw() != own_uid {
            return Ok(None);
        }
        Client::new(socket).map(Some)
    };
    match listener.accept().and_then(|(socket, _)| admit(socket)) {
        Ok(client) => clients.extend(client),
        Err(e) if e.kind() == ErrorKind::WouldBlock => {}
        Err(e) => eprintln!("lichen-shim holder: accept: {e}"),
    }
}

impl Client {
    fn new(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(false)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { socket, decoder: Decoder::new(), waits_for_end: None })
    }
}

impl Server {
    /// Read once from a client that poll(2) said is readable, and answer what is complete.
    fn client(&mut self, client: &mut Client) -> Next {
        match wire::receive(&client.socket, &mut client.decoder) {
            Ok(0) => return Next::Hangup,
            Ok(_) => {}
            Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {
                return Next::Serve;
            }
            Err(_) => return Next::Hangup,
        }
        loop {
            match client.decoder.message::<ToHolder>() {
                Ok(Some(Received { seq, msg: ToHolder::Shutdown { wait }, .. }))
                    if wait || self.exits.children() == 0 =>
                {
                    client.waits_for_end = Some(seq);
                }
                Ok(Some(request)) => match self.answer(&client.socket, request) {
                    Next::Serve => {}
                    Next::Hangup => return Next::Hangup,
                },
                Ok(None) => return Next::Serve,
                Err(e) => {
                    eprintln!("lichen-shim holder: {e}");
                    return Next::Hangup;
                }
            }
        }
    }

    fn answer(&mut self, socket: &UnixStream, request: Received<ToHolder>) -> Next {
        let seq = request.seq;
        let taken = if let ToHolder::Take { key } = &request.msg { Some(key.clone()) } else { None };
        let reply = self.carry_out(request).unwrap_or_else(FromHolder::Failed);
        let fds = match &reply {
            FromHolder::Taken => {
                taken.and_then(|key| self.kept.get(&key)).map(Vec::as_slice).unwrap_or_default()
            }
            FromHolder::Namespaces => &self.namespaces,
            _ => &[],
        };
        let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
        match send(socket, seq, &reply, &fds) {
            Ok(()) => Next::Serve,
            Err(e) => {
                eprintln!("lichen-shim holder: answer {}: {e}", reply.name());
                Next::Hangup
            }
        }
    }

    fn carry_out(&mut self, request: Received<ToHolder>) -> std::result::Result<FromHolder, Failure> {
        match request.msg {
            ToHolder::Spawn { args, fds } => {
                let process = self.spawn(&args, &fds, &request.fds)?;
                Ok(FromHolder::Spawned { process })
            }
            ToHolder::Keep { key } => {
                self.kept.insert(key, request.fds);
                Ok(FromHolder::Done)
            }
            ToHolder::Take { key } if self.kept.contains_key(&key) => Ok(FromHolder::Taken),
            ToHolder::Take { key } => {
                Err(Failure::new(FailureClass::NoSuchObject, "take", format!("nothing kept as {key}")))
            }
            ToHolder::Drop { key } => {
                self.kept.remove(&key);
                Ok(FromHolder::Done)
            }
            ToHolder::Exits => {
                // An exit that the asker saw by its pidfd may not have been reaped here yet.
                self.exits.reap().map_err(|e| Failure::new(FailureClass::Other, "record an exit", e))?;
                Ok(FromHolder::Exits { exits: self.exits.list() })
            }
            ToHolder::ForgetExits { pids } => {
                self.exits
                    .forget(&pids)
                    .map_err(|e| Failure::new(FailureClass::Other, "forget an exit", e))?;
                Ok(FromHolder::Done)
            }
            ToHolder::Namespaces => Ok(FromHolder::Namespaces),
            ToHolder::Ping => self.pong(),
            // Otherwise it is not answered here.
            ToHolder::Shutdown { .. } => {
                let message = format!("{} child processes still run", self.exits.children());
                Err(Failure::new(FailureClass::Conflict, "shut down", message))
            }
        }
    }

    fn pong(&self) -> std::result::Result<FromHolder, Failure> {
        let process = sys::process::reference(rustix::process::getpid());
        let process = process.map_err(|e| Failure::new(FailureClass::Other, "ping", e))?;
        Ok(FromHolder::Pong { process, kept: self.kept.len(), children: self.exits.children() })
    }

    fn spawn(
        &mut self,
        args: &[String],
        numbers: &[i32],
        fds: &[OwnedFd],
    ) -> std::result::Result<model::ProcessRef, Failure> {
        if fds.len() != numbers.len() {
            let message =
                format!("{} descriptors came with the message: expected {}", fds.len(), numbers.len());
            return Err(Failure::new(FailureClass::InvalidParameter, "start a shim", message));
        }
        let connect = || {
            let (ours, theirs) = UnixStream::pair()?;
            Ok((Client::new(ours)?, theirs))
        };
        let (client, theirs) =
            connect().map_err(|e: io::Error| Failure::new(FailureClass::Other, "start a shim", e))?;
        let fds = fds.iter().map(AsFd::as_fd).zip(numbers.iter().copied()).collect();
        let process = spawn(&Start { shim: self.shim, args, fds, connection: theirs.as_fd() })?;
        self.exits.adopt(process.pid);
        self.born.push(client);
        Ok(process)
    }
}

/// The socket blocks, for at most [`PATIENCE`] a piece.
fn send(socket: &UnixStream, seq: u64, reply: &FromHolder, fds: &[BorrowedFd<'_>]) -> Result<()> {
    let frame = wire::encode(seq, reply, fds.len())?;
    let mut sent = 0;
    while sent < frame.len() {
        let fds = if sent == 0 { fds } else { &[] };
        match wire::send(socket, &frame[sent..], fds) {
            Ok(n) => sent += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::io("send to", "a client")(e)),
        }
    }
    Ok(())
}
