//! Writing the planned archive.

use super::plan::{Blob, Layer, Plan};
use crate::{Error, ImageStore, Result, digester::Digester, framing};
use archive::{
    read::Kind,
    write::{Member, TarWriter},
};
use bytes::Bytes;
use model::Rootfs;
use rustix::fs::{Mode, OFlags};
use std::{
    io::{self, Write},
    os::fd::OwnedFd,
    path::PathBuf,
};
use tokio::sync::mpsc;

pub(super) const PIECE: usize = 256 << 10;

/// The stream's end that is written to.
pub(super) struct Pieces {
    to: mpsc::Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
}

impl Pieces {
    pub fn new(to: mpsc::Sender<io::Result<Bytes>>) -> Self {
        Self { to, buffer: Vec::with_capacity(PIECE) }
    }

    fn send(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the client went away");
        self.to.blocking_send(Ok(piece.into())).map_err(gone)
    }

    /// Sends what is left.
    pub fn end(&mut self) -> Result<()> {
        self.send().map_err(stream)
    }

    /// Ends the stream in a way that the client can see.
    pub fn fail(&mut self, error: Error) {
        tracing::warn!(%error, "save was broken off");
        // Nobody to tell when the client went away.
        drop(self.to.blocking_send(Err(io::Error::other(error))));
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let take = bytes.len().min(PIECE - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..take]);
        if self.buffer.len() == PIECE {
            self.send()?;
        }
        Ok(take)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn stream(source: io::Error) -> Error {
    Error::Stream { operation: "write archive", source }
}

/// Writes the archive of `plan`.
pub(super) fn archive(store: &ImageStore, plan: &Plan, out: &mut impl Write) -> Result<()> {
    let mut tar = TarWriter::new(out);
    for directory in ["blobs", "blobs/sha256"] {
        tar.member(&member(Kind::Directory, directory, 0)).map_err(stream)?;
    }
    for blob in &plan.blobs {
        let path = format!("blobs/sha256/{}", blob.digest().hex());
        match blob {
            Blob::Bytes(_, bytes) => file(&mut tar, &path, bytes)?,
            Blob::Layer(layer) => {
                tar.member(&member(Kind::File, &path, layer.size)).map_err(stream)?;
                write_layer(store, layer, &mut tar)?;
            }
        }
    }
    for (name, bytes) in &plan.documents {
        file(&mut tar, name, bytes)?;
    }
    tar.finish().map(drop).map_err(stream)
}

fn file(tar: &mut TarWriter<impl Write>, path: &str, bytes: &[u8]) -> Result<()> {
    tar.member(&member(Kind::File, path, bytes.len() as u64)).and_then(|()| tar.data(bytes)).map_err(stream)
}

fn member(kind: Kind, path: &str, size: u64) -> Member<'_> {
    let mode = if kind == Kind::Directory { 0o755 } else { 0o644 };
    let path = path.as_bytes();
    Member { kind, path, link: b"", mode, uid: 0, gid: 0, mtime: 0, size, device: (0, 0), xattrs: Vec::new() }
}

/// Writes a layer's archive again, and makes sure that it is the same.
fn write_layer<W: Write>(store: &ImageStore, layer: &Layer, tar: &mut TarWriter<W>) -> Result<()> {
    let inexact = |reason: String| Error::Inexact { diff_id: layer.diff_id.clone(), reason };
    let framing = store.inner.framing.get(&layer.diff_id)?;
    let root = open_layer(store, layer)?;
    let mut checked = Checked { tar, left: layer.size, digest: Digester::new(), failure: None };
    let rebuilt = framing::rebuild(framing, root, &mut checked);
    if let Some(source) = checked.failure {
        return Err(stream(source));
    }
    rebuilt.map_err(|e| inexact(archive::error::errno_text(&e)))?;
    let (left, found) = (checked.left, checked.digest.finish());
    if left > 0 || found != layer.diff_id {
        return Err(inexact(format!("its files give digest {found} now")));
    }
    Ok(())
}

/// The directory that has the layer's own files.
fn open_layer(store: &ImageStore, layer: &Layer) -> Result<OwnedFd> {
    let path: PathBuf = match store.inner.driver.layer_rootfs(&layer.chain)? {
        Rootfs::Dir { path } => path,
        Rootfs::Overlay { lower, .. } => lower.into_iter().next().unwrap_or_default(),
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(&path, flags, Mode::empty()).map_err(|e| Error::file("open", path)(e.into()))
}

/// Digests what goes into the archive, and stops where the member ends.
struct Checked<'a, W: Write> {
    tar: &'a mut TarWriter<W>,
    left: u64,
    digest: Digester,
    /// Of the archive, not of the layer.
    failure: Option<io::Error>,
}

impl<W: Write> Write for Checked<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(left) = self.left.checked_sub(bytes.len() as u64) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its archive is longer now"));
        };
        if let Err(e) = self.tar.data(bytes) {
            let reason = e.to_string();
            self.failure = Some(e);
            return Err(io::Error::other(reason));
        }
        self.left = left;
        self.digest.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
