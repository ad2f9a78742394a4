//! Writing the planned archive.

use super::plan::{Blob, Plan};
use crate::{Error, ImageStore, Result};
use archive::{
    read::Kind,
    write::{Member, TarWriter},
};
use bytes::Bytes;
use std::io::{self, Write};
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
                store.write_layer(layer, &mut MemberData(&mut tar))?;
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

/// A member of the archive, as what writes its contents.
struct MemberData<'a, W: Write>(&'a mut TarWriter<W>);

impl<W: Write> Write for MemberData<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.data(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
