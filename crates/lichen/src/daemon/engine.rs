//! Starting one engine process.

use super::listen::Socket;
use crate::{
    handover::{Handover, Listening},
    settings::Settings,
};
use anyhow::{Context, Result};
use rootless::HolderState;
use rustix::io::FdFlags;
use std::{
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    process::{Child, Command},
};

/// A running engine process.
pub(super) struct EngineProcess {
    pub child: Child,
    /// Readable when the engine says that it serves; at its end when the engine is dead.
    pub control: UnixStream,
}

pub(super) fn start(
    settings: &Settings,
    warnings: &[String],
    holder: HolderState,
    shim: &OwnedFd,
    sockets: &[Socket],
) -> Result<EngineProcess> {
    let (ours, theirs) = UnixStream::pair().context("make a socket pair for the engine")?;
    let handover = Handover {
        settings: settings.clone(),
        warnings: warnings.to_vec(),
        holder,
        shim: shim.as_raw_fd(),
        control: theirs.as_raw_fd(),
        listeners: sockets
            .iter()
            .map(|s| Listening { fd: s.fd.as_raw_fd(), kind: s.kind, address: s.address.clone() })
            .collect(),
    };
    let document = sys::memfd::sealed_bytes("lichen-handover", &serde_json::to_vec(&handover)?)?;
    let mut inherited: Vec<BorrowedFd<'_>> = vec![document.as_fd(), shim.as_fd(), theirs.as_fd()];
    inherited.extend(sockets.iter().map(|s| s.fd.as_fd()));
    // This process has one thread, so nobody else executes anything while these are open across exec.
    mark(&inherited, FdFlags::empty())?;
    let child = Command::new("/proc/self/exe").arg("engine").arg(document.as_raw_fd().to_string()).spawn();
    mark(&inherited, FdFlags::CLOEXEC)?;
    Ok(EngineProcess { child: child.context("start the engine")?, control: ours })
}

fn mark(fds: &[BorrowedFd<'_>], flags: FdFlags) -> Result<()> {
    for fd in fds {
        rustix::io::fcntl_setfd(fd, flags).context("pass descriptors to the engine")?;
    }
    Ok(())
}
