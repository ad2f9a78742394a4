//! What the engine asks of the launcher: ports below 1024, and lxc-user-nic(1).
//!
//! Requests come over a socket pair that only the engine has. Each is checked as if a stranger had sent it, and is
//! answered before the launcher looks at anything else; nothing here waits longer than [`PATIENCE`].

use super::error::Result;
use super::privilege::Privilege;
use rootless::HolderState;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use shim_proto::{Connection, FromLauncher, ProtoError, ToLauncher, Transport};
use std::io::Read;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use sys::namespaces::{Kind, identity_of};
use tracing::{info, warn};

/// How long an engine may take over a request that it has begun to send, and lxc-user-nic over its work.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(5);

/// How much of lxc-user-nic's words is passed on.
const WORDS: u64 = 1024;

/// Where Linux distributions put it; none has it on PATH (it is meant for LXC's own use).
const LXC_USER_NIC: &str = "lxc-user-nic";
const LXC_DIRECTORIES: [&str; 4] =
    ["/usr/libexec/lxc", "/usr/lib/lxc", "/usr/lib/x86_64-linux-gnu/lxc", "/usr/lib/aarch64-linux-gnu/lxc"];

/// What engines may ask for.
#[derive(Debug)]
pub(super) struct Service {
    privilege: Privilege,
    bridge: String,
}

/// Neither a request that stops halfway nor an answer that nobody reads holds the launcher up.
pub(super) fn limit(socket: &UnixStream) -> std::io::Result<()> {
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))
}

impl Service {
    pub(super) fn new(privilege: Privilege, bridge: String) -> Self {
        Self { privilege, bridge }
    }

    /// Answers one request; false when no more is to be expected of this connection.
    pub(super) fn answer(&self, connection: &mut Connection, holder: &HolderState) -> bool {
        match self.try_answer(connection, holder) {
            Ok(goes_on) => goes_on,
            Err(error) => {
                warn!("no longer listening to what the engine asks: {error}");
                false
            }
        }
    }

    fn try_answer(&self, connection: &mut Connection, holder: &HolderState) -> Result<bool, ProtoError> {
        let Some(request) = connection.receive::<ToLauncher>()? else { return Ok(false) };
        let (answer, socket) = match request.msg {
            ToLauncher::Bind { transport, address } => match self.bind(transport, address) {
                Ok(socket) => (FromLauncher::Bound, Some(socket)),
                Err(errno) => (FromLauncher::Refused { errno: errno.raw_os_error() }, None),
            },
            ToLauncher::Attach { pid, interface } => match self.attach(pid, &interface, holder) {
                Ok(()) => (FromLauncher::Attached, None),
                Err(message) => (FromLauncher::Failed { message }, None),
            },
        };
        let sockets: Vec<_> = socket.iter().map(AsFd::as_fd).collect();
        connection.send(request.seq, &answer, &sockets)?;
        Ok(true)
    }

    /// A socket at a port that takes privilege; any other the engine can bind itself.
    fn bind(&self, transport: Transport, address: SocketAddr) -> Result<OwnedFd, Errno> {
        if address.port() == 0 || u32::from(address.port()) >= unprivileged_start() {
            return Err(Errno::INVAL);
        }
        let outcome = self.privilege.with(|| bound(transport, address));
        outcome.unwrap_or_else(|error| {
            warn!("cannot use the capability to bind a port: {error}");
            Err(Errno::PERM)
        })
    }

    /// Has lxc-user-nic make a veth pair, one end on the bridge, the other in the namespace of the process. Whether the
    /// user may is for /etc/lxc/lxc-usernet to say, and that the namespace is the user's is checked there too.
    fn attach(&self, pid: u32, interface: &str, holder: &HolderState) -> Result<(), String> {
        if identity_of(Some(pid), Kind::User).map(|found| found.inode) != Ok(holder.namespaces.user) {
            return Err(format!("process {pid} is not in the engine's user namespace"));
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if interface.is_empty() || interface.len() > 15 || !interface.chars().all(fits) {
            return Err(format!("{interface:?} is no name for an interface"));
        }
        let program = find().ok_or("lxc-user-nic is gone")?;
        let mut command = Command::new(&program);
        // The path and name of an LXC container, of which there is none: only log lines use them.
        command.args(["create", "/dev/null", "lichen", &pid.to_string(), "veth", &self.bridge, interface]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).current_dir("/");
        run(&mut command).map_err(|words| format!("{}: {words}", program.display()))?;
        info!(bridge = self.bridge, "lxc-user-nic has made an interface");
        Ok(())
    }
}

fn bound(transport: Transport, address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let kind = match transport {
        Transport::Tcp => SocketType::STREAM,
        Transport::Udp => SocketType::DGRAM,
    };
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if transport == Transport::Tcp {
        // Connections of an earlier listener in TIME_WAIT do not keep the port from us.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    Ok(socket)
}

fn unprivileged_start() -> u32 {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or_default();
    text.trim().parse().unwrap_or(1024)
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let known = LXC_DIRECTORIES.map(PathBuf::from);
    std::env::split_paths(&path).chain(known).map(|dir| dir.join(LXC_USER_NIC)).find(|p| p.is_file())
}

/// Runs a program to its end; what it said, when it failed.
fn run(command: &mut Command) -> Result<(), String> {
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    let end = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait().map_err(|e| e.to_string())? {
            Some(status) => break status,
            None if Instant::now() < end => std::thread::sleep(PAUSE),
            None => {
                // Its real user is ours, so we may (kill(2)); when it is gone by now there is nothing to kill.
                let killed = child.kill().and_then(|()| child.wait());
                let outcome =
                    killed.map_or_else(|e| format!(", and cannot be killed: {e}"), |_| String::new());
                return Err(format!("not done within {PATIENCE:?}{outcome}"));
            }
        }
    };
    if status.success() {
        return Ok(());
    }
    let mut words = String::new();
    for output in [child.stderr.take().map(drain), child.stdout.take().map(drain)].into_iter().flatten() {
        words += &output;
    }
    let lines: Vec<&str> = words.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    Err(if lines.is_empty() { status.to_string() } else { lines.join("; ") })
}

fn drain(output: impl Read) -> String {
    let mut bytes = Vec::new();
    // What was read before an error is still worth showing.
    output.take(WORDS).read_to_end(&mut bytes).ok();
    String::from_utf8_lossy(&bytes).into_owned()
}
