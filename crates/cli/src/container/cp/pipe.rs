//! Archives between async bodies and the blocking tar code, which runs on a thread of its own.

use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::{Buf as _, Bytes};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::sync::mpsc;

use super::plan::{Placement, Source, rebase};
use crate::connect::client::Body;
use crate::connect::stream::Chunks;
use crate::container::session::write;
use crate::error::Error;

/// Chunks in flight between the two sides.
const DEPTH: usize = 16;
const CHUNK: usize = 64 * 1024;

/// How much the thread has produced, and how it ended.
#[derive(Clone, Default)]
pub struct Counter {
    bytes: Arc<AtomicU64>,
    failure: Arc<Mutex<Option<Error>>>,
}

impl Counter {
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The failure of the thread, if it had one.
    pub fn finish(&self) -> Result<(), Error> {
        match self.failure.lock().ok().and_then(|mut failure| failure.take()) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// The writing end of a request's body.
struct BodyWriter {
    sender: mpsc::Sender<io::Result<Bytes>>,
    counter: Counter,
    buffer: Vec<u8>,
}

impl BodyWriter {
    fn send(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK));
        self.counter.bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        self.sender.blocking_send(Ok(chunk.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for BodyWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(data);
        if self.buffer.len() >= CHUNK {
            self.send()?;
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

/// A body that a thread writes.
fn body(produce: impl FnOnce(&mut dyn Write) -> Result<(), Error> + Send + 'static) -> (Body, Counter) {
    let (sender, mut receiver) = mpsc::channel(DEPTH);
    let counter = Counter::default();
    let mut writer = BodyWriter { sender, counter: counter.clone(), buffer: Vec::with_capacity(CHUNK) };
    std::thread::spawn(move || {
        let result =
            produce(&mut writer).and_then(|()| writer.flush().map_err(Error::io("send the archive")));
        // A body that ends early must not look complete.
        match result {
            // The engine stopped reading; its answer says why.
            Ok(()) | Err(Error::Io { .. }) => {}
            Err(error) => {
                if let Ok(mut failure) = writer.counter.failure.lock() {
                    *failure = Some(error);
                }
                drop(writer.sender.blocking_send(Err(io::ErrorKind::InvalidData.into())));
            }
        }
    });
    let stream = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
    let frames = futures_util::StreamExt::map(stream, |chunk| chunk.map(Frame::data));
    (BodyExt::boxed(StreamBody::new(frames)), counter)
}

/// Standard input as it is.
pub fn from_stdin() -> (Body, Counter) {
    from_reader(io::stdin())
}

/// Anything that can be read, as a body.
pub fn from_reader(mut reader: impl Read + Send + 'static) -> (Body, Counter) {
    body(move |writer| io::copy(&mut reader, writer).map(drop).map_err(Error::file("read", "the archive")))
}

/// An archive of a local file or directory whose root is called `base`.
pub fn pack(source: Source, base: String) -> (Body, Counter) {
    body(move |writer| {
        let mut builder = tar::Builder::new(writer);
        builder.follow_symlinks(false);
        let root = if base == "/" { "." } else { base.as_str() };
        let fail = Error::file("archive", source.path.clone());
        let done = match source.is_dir {
            true => builder.append_dir_all(root, &source.path),
            false => builder.append_path_with_name(&source.path, root),
        };
        done.and_then(|()| builder.finish()).map_err(fail)
    })
}

pub async fn to_stdout(mut chunks: Chunks) -> Result<u64, Error> {
    let mut bytes = 0;
    while let Some(chunk) = chunks.next().await? {
        bytes += chunk.len() as u64;
        write(1, &chunk)?;
    }
    Ok(bytes)
}

/// The reading end of an answer's body.
struct BodyReader {
    receiver: mpsc::Receiver<Bytes>,
    current: Bytes,
}

impl Read for BodyReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.receiver.blocking_recv() {
                Some(chunk) => self.current = chunk,
                None => return Ok(0),
            }
        }
        let length = out.len().min(self.current.len());
        self.current.copy_to_slice(&mut out[..length]);
        Ok(length)
    }
}

/// Unpacks an archive whose root is called `old_base` to where the placement says.
pub async fn unpack(mut chunks: Chunks, placement: Placement, old_base: String) -> Result<u64, Error> {
    let (sender, receiver) = mpsc::channel(DEPTH);
    let thread = tokio::task::spawn_blocking(move || {
        let mut reader = BodyReader { receiver, current: Bytes::new() };
        let result = extract(&mut reader, &placement, &old_base);
        // What follows the archive's end is read too, so that the engine can finish.
        io::copy(&mut reader, &mut io::sink()).map_err(Error::io("read the archive"))?;
        result
    });
    let mut bytes = 0;
    while let Some(chunk) = chunks.next().await? {
        bytes += chunk.len() as u64;
        if sender.send(chunk).await.is_err() {
            break;
        }
    }
    drop(sender);
    match thread.await {
        Ok(result) => result.map(|()| bytes),
        Err(error) => Err(Error::Io { operation: "unpack the archive", source: io::Error::other(error) }),
    }
}

/// Unpacks entries under their new names. The archive is the container's, and so not to be trusted.
fn extract(reader: impl Read, placement: &Placement, old_base: &str) -> Result<(), Error> {
    let fail = || Error::io("unpack the archive");
    let directory = Path::new(&placement.directory);
    let mut old_base = old_base.to_owned();
    let mut archive = tar::Archive::new(reader);
    archive.set_preserve_permissions(true);
    for (i, entry) in archive.entries().map_err(fail())?.enumerate() {
        let mut entry = entry.map_err(fail())?;
        let name = entry.path().map_err(fail())?.to_string_lossy().into_owned();
        if i == 0 && old_base == "." && entry.header().entry_type().is_dir() {
            // Of `DIR/.` the root is called `.` by docker's engine, and by its name by others.
            old_base = super::plan::base(name.trim_start_matches("./"));
        }
        let name = rebase(&name, &old_base, &placement.base);
        if name.trim_matches('/').is_empty() {
            continue;
        }
        let target = inside(directory, &name)?;
        if entry.header().entry_type().is_hard_link() {
            let link = entry.link_name().map_err(fail())?.unwrap_or_default().to_string_lossy().into_owned();
            hard_link(&inside(directory, &rebase(&link, &old_base, &placement.base))?, &target)?;
        } else {
            entry.unpack(&target).map_err(Error::file("unpack", &target))?;
        }
    }
    Ok(())
}

fn hard_link(existing: &Path, target: &Path) -> Result<(), Error> {
    match std::fs::remove_file(target) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::file("replace", target)(error));
        }
        _ => {}
    }
    std::fs::hard_link(existing, target).map_err(Error::file("link", target))
}

/// The path of an entry, its directories made; refuses names that lead out of the directory, by `..` or through a
/// symbolic link that an earlier entry made.
fn inside(directory: &Path, name: &str) -> Result<PathBuf, Error> {
    let refuse = || {
        Error::Invalid(format!("refusing to unpack {name:?}: it leads outside of {}", directory.display()))
    };
    let mut path = directory.to_owned();
    let mut parts = Path::new(name).components().peekable();
    while let Some(part) = parts.next() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => continue,
            _ => return Err(refuse()),
        }
        if parts.peek().is_none() {
            break;
        }
        match std::fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(refuse()),
            Err(_) => std::fs::create_dir(&path).map_err(Error::file("mkdir", &path))?,
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(entries: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, data) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_size(data.len() as u64);
            header.set_mode(0o640);
            header.set_entry_type(if name.ends_with('/') {
                tar::EntryType::Directory
            } else {
                tar::EntryType::Regular
            });
            if name.ends_with('/') {
                header.set_mode(0o750);
            }
            builder.append_data(&mut header, name, data.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn entries_get_their_new_names() {
        let dir = tempfile::tempdir().unwrap();
        let long = format!("d/{}", "x".repeat(150));
        let tar = archive(&[("d/", ""), ("d/a", "hello"), (&long, "deep")]);
        let placement = Placement { directory: dir.path().to_string_lossy().into_owned(), base: "e".into() };
        extract(&tar[..], &placement, "d").unwrap();
        assert_eq!(std::fs::read(dir.path().join("e/a")).unwrap(), b"hello");
        assert_eq!(std::fs::read(dir.path().join("e").join("x".repeat(150))).unwrap(), b"deep");
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(dir.path().join("e/a")).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn contents_only_whatever_the_root_is_called() {
        for root in ["d", "."] {
            let dir = tempfile::tempdir().unwrap();
            let tar = archive(&[(&format!("{root}/"), ""), (&format!("{root}/a"), "hello")]);
            let placement =
                Placement { directory: dir.path().to_string_lossy().into_owned(), base: "e".into() };
            extract(&tar[..], &placement, ".").unwrap();
            assert_eq!(std::fs::read(dir.path().join("e/a")).unwrap(), b"hello", "{root}");
        }
    }

    #[test]
    fn a_link_out_of_the_destination_is_not_followed() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, "d/l", outside.path()).unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_size(4);
        header.set_mode(0o644);
        builder.append_data(&mut header, "d/l/evil", &b"evil"[..]).unwrap();
        let tar = builder.into_inner().unwrap();
        std::fs::create_dir(dir.path().join("d")).unwrap();
        let placement = Placement { directory: dir.path().to_string_lossy().into_owned(), base: "d".into() };
        assert!(extract(&tar[..], &placement, "d").is_err());
        assert!(!outside.path().join("evil").exists());
    }

    #[test]
    fn packing_and_unpacking_a_directory() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir(from.path().join("sub")).unwrap();
        std::fs::write(from.path().join("sub/f"), vec![7; 200_000]).unwrap();
        std::os::unix::fs::symlink("sub/f", from.path().join("l")).unwrap();
        let source = Source { path: from.path().to_string_lossy().into_owned(), is_dir: true };
        let (body, counter) = pack(source, "root".into());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let bytes = runtime.block_on(body.collect()).unwrap().to_bytes();
        counter.finish().unwrap();
        assert_eq!(counter.bytes(), bytes.len() as u64);
        let placement = Placement { directory: to.path().to_string_lossy().into_owned(), base: ".".into() };
        extract(&bytes[..], &placement, "root").unwrap();
        assert_eq!(std::fs::read(to.path().join("sub/f")).unwrap().len(), 200_000);
        assert_eq!(std::fs::read_link(to.path().join("l")).unwrap(), Path::new("sub/f"));
    }
}
