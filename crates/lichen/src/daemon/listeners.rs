//! The sockets of `-H`: opened here once, and given to each engine, as a service manager does with its own
//! (sd_listen_fds(3)). A client that comes while one engine follows another waits in the kernel's queue.

use super::engine_process::{FIRST_LISTENER, SHIM_PROGRAM};
use super::error::{Error, Result};
use super::hosts::Host;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tracing::warn;

/// How many clients may wait for an engine; the kernel takes the smaller of this and `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// How long an engine that was killed may take to close its sockets, of which it may close the locks first.
const LEAVES: Duration = Duration::from_secs(1);

/// How a service manager names sockets that are for published ports (systemd.socket(5), `FileDescriptorName=`): the
/// manager may bind what a user may not, a port below 1024 for one.
pub(crate) const PUBLISH: &str = "publish";

/// More would overlap what else the engine inherits.
const MOST: usize = (SHIM_PROGRAM - FIRST_LISTENER) as usize;

/// Listening sockets. The files of those made here are removed with this value.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    /// Those of `-H`, then those for published ports.
    pub(crate) sockets: Vec<OwnedFd>,
    /// How many of them are for published ports.
    pub(crate) ports: usize,
    files: Vec<PathBuf>,
}

impl Listeners {
    /// Opens all, or none.
    pub(crate) fn open(hosts: &[Host], activated: Activated) -> Result<Self> {
        let mut listeners = Self::default();
        let mut activated = activated.0;
        for host in hosts {
            match host {
                Host::Unix(path) => {
                    let socket = unix(path).map_err(Error::io("create unix socket", path))?;
                    listeners.sockets.push(socket);
                    listeners.files.push(path.clone());
                }
                Host::Tcp { host, port } => {
                    let address = format!("tcp://{host}:{port}");
                    listeners.sockets.push(tcp(host, *port).map_err(Error::io("listen on", address))?);
                }
                Host::Activated(which) => listeners.sockets.extend(take(&mut activated, which)?),
            }
        }
        let ports =
            activated.into_iter().flatten().filter(|(name, _)| name == PUBLISH).map(|(_, socket)| socket);
        let api = listeners.sockets.len();
        listeners.sockets.extend(ports);
        listeners.ports = listeners.sockets.len() - api;
        if listeners.sockets.len() > MOST {
            let given = listeners.sockets.len().to_string();
            return Err(Error::invalid("host", given, format!("at most {MOST} sockets can be listened on")));
        }
        Ok(listeners)
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        for file in &self.files {
            match fs::remove_file(file) {
                Err(e) if e.kind() != ErrorKind::NotFound => warn!("remove {}: {e}", file.display()),
                _ => {}
            }
        }
    }
}

/// Mode 0660, in the place of what a dead launcher left behind.
fn unix(path: &Path) -> io::Result<OwnedFd> {
    // The locks tell of engines with these directories and this PID file only.
    let deadline = Instant::now() + LEAVES;
    while is_served(path)? {
        if Instant::now() >= deadline {
            let reason = "another engine answers there: stop it, or choose another socket with --host";
            return Err(io::Error::new(ErrorKind::AddrInUse, reason));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o660))?;
    deepen(&listener)?;
    Ok(listener.into())
}

/// Whether somebody listens on the socket at `path`. Not waiting, where its queue is full.
fn is_served(path: &Path) -> io::Result<bool> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &SocketAddrUnix::new(path)?) {
        Ok(()) | Err(Errno::AGAIN) => Ok(true),
        Err(_) => Ok(false),
    }
}

fn tcp(host: &str, port: u16) -> io::Result<OwnedFd> {
    let listener = TcpListener::bind((host, port))?;
    deepen(&listener)?;
    Ok(listener.into())
}

/// listen(2) on a socket that listens already changes the length of its queue.
fn deepen(listener: impl AsFd) -> io::Result<()> {
    Ok(rustix::net::listen(listener, BACKLOG)?)
}

/// Sockets that the service manager passed, with their names; none once taken.
#[derive(Debug, Default)]
pub(crate) struct Activated(Vec<Option<(String, OwnedFd)>>);

impl Activated {
    /// Those of this process's environment (sd_listen_fds_with_names(3)). Call it once.
    pub(crate) fn inherited() -> Result<Self> {
        let number = |name| std::env::var(name).ok().and_then(|v| v.parse::<u32>().ok());
        if number("LISTEN_PID") != Some(std::process::id()) {
            return Ok(Self::default());
        }
        let count = i32::try_from(number("LISTEN_FDS").unwrap_or(0)).unwrap_or(0);
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').map(str::to_owned);
        (FIRST_LISTENER..FIRST_LISTENER + count)
            .map(|fd| Ok(Some((names.next().unwrap_or_default(), sys::fds::take_inherited(fd)?))))
            .collect::<Result<_>>()
            .map(Self)
    }
}

/// What `fd://WHICH` means: all that are left, or the one of this descriptor number or name.
fn take(activated: &mut [Option<(String, OwnedFd)>], which: &str) -> Result<Vec<OwnedFd>> {
    let offset = which.parse::<i32>().ok().and_then(|n| usize::try_from(n - FIRST_LISTENER).ok());
    let mut taken = Vec::new();
    for (index, place) in activated.iter_mut().enumerate() {
        let wanted = match which {
            "" | "*" => place.as_ref().is_some_and(|(name, _)| name != PUBLISH),
            _ => offset == Some(index) || place.as_ref().is_some_and(|(name, _)| name == which),
        };
        if wanted {
            taken.extend(place.take().map(|(_, socket)| socket));
        }
    }
    if taken.is_empty() {
        return Err(Error::NoActivatedSocket { which: which.to_owned() });
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    fn passed(names: &[&str]) -> Vec<Option<(String, OwnedFd)>> {
        let socket = || OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap());
        names.iter().map(|name| Some(((*name).to_owned(), socket()))).collect()
    }

    #[test]
    fn sockets_are_taken_by_number_and_by_name_and_once() {
        let mut sockets = passed(&["a", "b", "b"]);
        let number = |place: &Option<(String, OwnedFd)>| place.as_ref().unwrap().1.as_raw_fd();
        let numbers: Vec<i32> = sockets.iter().map(number).collect();
        let mut taken = |which| -> Option<Vec<i32>> {
            take(&mut sockets, which).ok().map(|fds| fds.iter().map(AsRawFd::as_raw_fd).collect())
        };
        assert_eq!(taken("3"), Some(vec![numbers[0]]));
        assert_eq!(taken("a"), None, "it was taken as number 3");
        assert_eq!(taken("b"), Some(numbers[1..].to_vec()));
        assert_eq!(taken(""), None);
        assert_eq!(taken("9"), None);
    }

    #[test]
    fn sockets_for_published_ports_are_not_the_apis() {
        let hosts = [Host::Activated(String::new())];
        let listeners = Listeners::open(&hosts, Activated(passed(&["a", PUBLISH, "b", PUBLISH]))).unwrap();
        assert_eq!((listeners.sockets.len(), listeners.ports), (4, 2));
        let only_ports = Activated(passed(&[PUBLISH]));
        assert!(Listeners::open(&hosts, only_ports).is_err(), "the API has no socket");
    }

    #[test]
    fn a_stale_socket_is_replaced_and_the_file_goes_with_the_listeners() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.sock");
        drop(UnixListener::bind(&path).unwrap());
        let listeners = Listeners::open(&[Host::Unix(path.clone())], Activated::default()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        std::os::unix::net::UnixStream::connect(&path).expect("nobody accepts yet, and the client waits");
        drop(listeners);
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_that_somebody_serves_is_left_to_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.sock");
        let _theirs = UnixListener::bind(&path).unwrap();
        let refused = Listeners::open(&[Host::Unix(path.clone())], Activated::default()).unwrap_err();
        assert!(refused.to_string().contains("another engine answers there"), "{refused}");
        std::os::unix::net::UnixStream::connect(&path).expect("it is still theirs");
    }
}
