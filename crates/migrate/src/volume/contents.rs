//! What an archive holds, to be compared with another's.

use bytes::{Buf as _, Bytes};
use ring::digest::{Context, SHA256};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

/// How much of an archive holds its first entry's header, with all that may come before it.
pub(super) const HEAD: usize = 16 << 10;

/// By path, a digest of everything about the entry but its times.
pub(super) type Contents = BTreeMap<PathBuf, Vec<u8>>;

/// Whether the first entry is the directory `base` rather than `/` or something in it.
pub(super) fn is_named_after_directory(head: &[u8], base: &str) -> io::Result<bool> {
    let mut archive = tar::Archive::new(head);
    match archive.entries()?.next() {
        Some(entry) => Ok(relative(&entry?.path()?) == Path::new(base)),
        None => Ok(false),
    }
}

/// An archive of the directory itself alone, named `base`, with the mode that the first entry of another tells: there it is
/// called `base` or nothing. With the owner that it has there, or another. None where the first entry is something else.
pub(super) fn directory(head: &[u8], base: &str, owner: Option<(u32, u32)>) -> io::Result<Option<Vec<u8>>> {
    let mut archive = tar::Archive::new(head);
    let Some(entry) = archive.entries()?.next().transpose()? else { return Ok(None) };
    let path = relative(&entry.path()?);
    if !path.as_os_str().is_empty() && path != Path::new(base) {
        return Ok(None);
    }
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(entry.header().mode()?);
    header.set_mtime(entry.header().mtime()?);
    let (uid, gid) = match owner {
        Some((uid, gid)) => (uid.into(), gid.into()),
        None => (entry.header().uid()?, entry.header().gid()?),
    };
    header.set_uid(uid);
    header.set_gid(gid);
    header.set_size(0);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_data(&mut header, base, io::empty())?;
    builder.into_inner().map(Some)
}

/// Reads to the end. `owners` takes those of files into account.
pub(super) fn read(
    chunks: tokio::sync::mpsc::Receiver<Bytes>,
    base: &str,
    owners: bool,
) -> io::Result<Contents> {
    let mut archive = tar::Archive::new(Chunked { chunks, current: Bytes::new() });
    let mut contents = Contents::new();
    let mut named = None;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = relative(&entry.path()?);
        let named = *named.get_or_insert_with(|| path == Path::new(base));
        let strip = |path: &Path| {
            if named { path.strip_prefix(base).unwrap_or(path).to_owned() } else { path.to_owned() }
        };
        let path = strip(&path);
        // The directory itself: not every engine tells of it.
        if path.as_os_str().is_empty() {
            continue;
        }
        let header = entry.header().clone();
        let kind = header.entry_type();
        let link = entry
            .link_name()?
            .map(|link| if kind.is_hard_link() { strip(&relative(&link)) } else { link.into_owned() });
        let owner = if owners { Some((header.uid()?, header.gid()?)) } else { None };
        let about = (kind.as_byte(), header.mode()? & 0o7777, owner, link);
        let mut digest = Context::new(&SHA256);
        digest.update(format!("{about:?}").as_bytes());
        let mut buffer = vec![0; 64 << 10];
        loop {
            let n = entry.read(&mut buffer)?;
            if n == 0 {
                break;
            }
            digest.update(&buffer[..n]);
        }
        contents.insert(path, digest.finish().as_ref().to_vec());
    }
    Ok(contents)
}

/// Without what leads nowhere: a leading slash, dots.
fn relative(path: &Path) -> PathBuf {
    path.components().filter(|c| matches!(c, Component::Normal(_))).collect()
}

/// Chunks as they arrive, read by a thread that may wait for them.
struct Chunked {
    chunks: tokio::sync::mpsc::Receiver<Bytes>,
    current: Bytes,
}

impl Read for Chunked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.current = chunk,
                None => return Ok(0),
            }
        }
        let n = self.current.len().min(buffer.len());
        self.current.copy_to_slice(&mut buffer[..n]);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(names: &[&str], contents: &str) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for name in names {
            let mut header = tar::Header::new_gnu();
            let directory = name.ends_with('/');
            header.set_entry_type(if directory {
                tar::EntryType::Directory
            } else {
                tar::EntryType::Regular
            });
            header.set_mode(0o644);
            header.set_uid(33);
            header.set_gid(33);
            let data = if directory { "" } else { contents };
            header.set_size(data.len() as u64);
            // Podman's absolute names are what `append_data` would refuse.
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            builder.append(&header, data.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn contents(bytes: Vec<u8>) -> Contents {
        let (sender, receiver) = tokio::sync::mpsc::channel(1000);
        for chunk in bytes.chunks(700) {
            sender.try_send(Bytes::copy_from_slice(chunk)).unwrap();
        }
        drop(sender);
        read(receiver, "data", true).unwrap()
    }

    #[test]
    fn archives_are_alike_however_they_name_the_directory() {
        let docker = contents(archive(&["data/", "data/f"], "x"));
        assert_eq!(docker.len(), 1);
        assert_eq!(docker, contents(archive(&["/", "/f"], "x")));
        assert_eq!(docker, contents(archive(&["f"], "x")));
        assert_ne!(docker, contents(archive(&["f"], "y")));
        assert_ne!(docker, contents(archive(&["f", "g"], "x")));
    }

    #[test]
    fn the_directory_gets_the_mode_of_the_first_entry_and_an_owner() {
        for first in ["data/", "/"] {
            for (owner, expected) in [(Some((5, 6)), (5, 6)), (None, (33, 33))] {
                let made = directory(&archive(&[first, "data/f"], "x"), "data", owner).unwrap().unwrap();
                let mut made = tar::Archive::new(&made[..]);
                let entry = made.entries().unwrap().next().unwrap().unwrap();
                assert_eq!(relative(&entry.path().unwrap()), Path::new("data"));
                let header = entry.header();
                assert_eq!((header.entry_type(), header.mode().unwrap()), (tar::EntryType::Directory, 0o644));
                assert_eq!((header.uid().unwrap(), header.gid().unwrap()), expected);
            }
        }
        assert_eq!(directory(&archive(&["f"], "x"), "data", None).unwrap(), None);
        assert_eq!(directory(&[], "data", None).unwrap(), None);
    }

    #[test]
    fn the_first_entry_tells_where_to_unpack() {
        assert!(is_named_after_directory(&archive(&["data/", "data/f"], "x"), "data").unwrap());
        assert!(!is_named_after_directory(&archive(&["/", "/data"], "x"), "data").unwrap());
        assert!(!is_named_after_directory(&[0; 1024], "data").unwrap());
    }
}
