//! The sockets of `-H`.

use crate::{handover::Kind, settings::Settings};
use anyhow::{Context, Result, bail, ensure};
use std::{
    net::{TcpListener, ToSocketAddrs},
    os::{
        fd::OwnedFd,
        unix::{fs::PermissionsExt, net::UnixListener},
    },
    path::{Path, PathBuf},
};

/// A socket that listens for the engine.
pub(super) struct Socket {
    pub fd: OwnedFd,
    pub kind: Kind,
    pub address: String,
    /// The file to remove in the end; none for TCP and for sockets that the service manager made.
    file: Option<PathBuf>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(file) = &self.file
            && let Err(error) = std::fs::remove_file(file)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!("remove {}: {error}", file.display());
        }
    }
}

/// Binds every address of `hosts`.
pub(super) fn all(settings: &Settings) -> Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    for host in &settings.hosts {
        match host.split_once("://") {
            Some(("unix", path)) => sockets.push(unix(Path::new(path)).with_context(|| format!("listen on {host}"))?),
            Some(("tcp", address)) => sockets.push(tcp(address, settings).with_context(|| format!("listen on {host}"))?),
            Some(("fd", _)) => sockets.extend(activated().with_context(|| format!("listen on {host}"))?),
            _ => bail!("invalid host {host:?}: expected unix://PATH, tcp://ADDRESS:PORT or fd://"),
        }
    }
    Ok(sockets)
}

fn unix(path: &Path) -> Result<Socket> {
    ensure!(path.is_absolute(), "{} needs to be an absolute path", path.display());
    // The lock on the state directory is held: nobody of ours serves it any more.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).context("remove the old socket"),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(Socket {
        fd: listener.into(),
        kind: Kind::Unix,
        address: format!("unix://{}", path.display()),
        file: Some(path.to_owned()),
    })
}

/// Whoever reaches the API owns the account, so plain TCP is for loopback, or for those who insist.
fn tcp(address: &str, settings: &Settings) -> Result<Socket> {
    let address = if address.starts_with(':') { format!("0.0.0.0{address}") } else { address.to_owned() };
    let found = address.to_socket_addrs()?.next().context("the address resolves to nothing")?;
    ensure!(
        settings.tlsverify || found.ip().is_loopback() || std::env::var_os("LICHEN_INSECURE_TCP").is_some(),
        "plain TCP on {found} would give your account to everyone who reaches it: use --tlsverify, or listen on 127.0.0.1 \
         and forward, or set LICHEN_INSECURE_TCP=1 if that is what you want"
    );
    let listener = TcpListener::bind(found)?;
    Ok(Socket { fd: listener.into(), kind: Kind::Tcp, address: format!("tcp://{found}"), file: None })
}

/// Sockets that the service manager passed (sd_listen_fds(3)).
fn activated() -> Result<Vec<Socket>> {
    let mut passed = listenfd::ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..passed.len() {
        let (fd, kind): (OwnedFd, Kind) = match passed.take_unix_listener(index) {
            Ok(Some(listener)) => (listener.into(), Kind::Unix),
            _ => match passed.take_tcp_listener(index)? {
                Some(listener) => (listener.into(), Kind::Tcp),
                None => continue,
            },
        };
        sockets.push(Socket { fd, kind, address: format!("fd://{index}"), file: None });
    }
    ensure!(!sockets.is_empty(), "no sockets found via socket activation: make sure the service was started by systemd");
    Ok(sockets)
}
