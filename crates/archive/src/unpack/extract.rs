//! One entry after the other.
//!
//! Theory of operation: an entry's *parent* is resolved in the kernel and held as a descriptor ([`super::parents`]);
//! the entry itself is made by its last component alone, never through a link of that name ([`super::create`]), and
//! gets its owner, mode, attributes and times, in this order, because each may undo the one before
//! ([`super::meta`]). Directories get their times last of all, as every entry made inside changes them.

use super::{Options, meta, parents::Parents, whiteouts};
use crate::{
    Error, Result, at,
    blob::Contents,
    error::Malformed,
    path,
    read::{Entry, Kind, Reader},
    whiteout::{self, Whiteouts},
};
use rustix::fs::OFlags;
use std::{
    collections::HashSet,
    io::{self, BufRead},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

pub struct Extractor<'a> {
    pub(super) root: BorrowedFd<'a>,
    /// Components that precede every path of the archive.
    within: &'a [&'a [u8]],
    pub(super) options: &'a Options<'a>,
    pub(super) parents: Parents<'a>,
    pub(super) made: Made,
    /// Device nodes that were left out, for links to them are left out too.
    pub(super) skipped: HashSet<Vec<u8>>,
    written: u64,
}

/// What was made so far.
#[derive(Default)]
pub struct Made {
    pub contents: Contents,
    /// Inode numbers, which the archive's own whiteouts spare. Only kept for [`Whiteouts::Apply`]: a layer directory
    /// of an overlay holds nothing else.
    pub inodes: HashSet<u64>,
    /// Directories and the times they get in the end.
    pub times: Vec<(Vec<u8>, (i64, u32))>,
}

/// Where an entry goes: a held directory and a name in it.
pub struct Place<'p> {
    pub dir: BorrowedFd<'p>,
    pub name: &'p [u8],
    /// The whole path from the root, for messages.
    pub path: &'p [u8],
}

impl Place<'_> {
    pub fn fail(&self, operation: &'static str) -> impl FnOnce(io::Error) -> Error {
        let path = path::to_path(self.path);
        move |source| Error::File { operation, path, source }
    }
}

impl<'a> Extractor<'a> {
    pub fn new(root: BorrowedFd<'a>, within: &'a [&'a [u8]], options: &'a Options<'a>) -> Self {
        Self {
            root,
            within,
            options,
            parents: Parents::new(root, options),
            made: Made::default(),
            skipped: HashSet::new(),
            written: 0,
        }
    }

    pub fn entry<R: BufRead>(&mut self, entry: Entry, reader: &mut Reader<R>) -> Result<()> {
        self.made.contents.entries += 1;
        let malformed = |what| Error::Malformed { what, offset: reader.offset() };
        let parts = path::components(&entry.path).map_err(malformed)?;
        if parts.len() > self.options.limits.depth {
            let limit = self.options.limits.depth as u64;
            return Err(Error::Limit {
                what: "directories in a path",
                limit,
                path: path::to_path(&entry.path),
            });
        }
        if parts.is_empty() {
            return self.root_entry(&entry, reader.offset());
        }
        let parts = [self.within, &parts].concat();
        let Some((name, above)) = parts.split_last() else { return Ok(()) };
        let whole = path::join(&parts);
        let parent = self.parents.open(above, &mut self.made)?;
        let place = Place { dir: parent.as_fd(), name, path: &whole };
        if self.options.whiteouts != Whiteouts::Literal && name.starts_with(whiteout::PREFIX) {
            return whiteouts::carry_out(self, &place, above).and_then(|known| match known {
                true => Ok(()),
                false => Err(malformed(Malformed::Whiteout(path::to_path(&whole)))),
            });
        }
        self.create(&entry, &place, reader)
    }

    fn create<R: BufRead>(&mut self, entry: &Entry, place: &Place<'_>, reader: &mut Reader<R>) -> Result<()> {
        let was_removed = self.unmark(place)?;
        match entry.kind {
            Kind::File => {
                self.charge(entry, reader)?;
                let file = self.new_file(place)?;
                write_payload(&file, entry, place, reader)?;
                self.settle_open(file.as_fd(), entry, place)?;
                self.made.contents.file_bytes += entry.size;
            }
            Kind::Directory => {
                let dir = self.new_directory(place, was_removed)?;
                self.settle_open(dir.as_fd(), entry, place)?;
                self.made.times.push((place.path.to_vec(), entry.mtime));
            }
            Kind::Symlink => {
                self.new_symlink(place, &entry.link)?;
                self.settle_named(entry, place)?;
            }
            Kind::Fifo => {
                self.new_fifo(place)?;
                self.settle_named(entry, place)?;
            }
            Kind::HardLink => {
                let offset = reader.offset();
                let parts =
                    path::components(&entry.link).map_err(|what| Error::Malformed { what, offset })?;
                return self.new_link(place, &[self.within, &parts].concat());
            }
            Kind::CharDevice | Kind::BlockDevice => {
                // What Docker's rootless mode does too (moby pkg/archive, createTarFile in a user namespace).
                self.made.contents.skipped_devices += 1;
                self.skipped.insert(place.path.to_vec());
                return Ok(());
            }
        }
        self.made.contents.inodes += 1;
        Ok(())
    }

    /// `./`: the attributes of the root itself.
    fn root_entry(&mut self, entry: &Entry, offset: u64) -> Result<()> {
        if entry.kind != Kind::Directory {
            return Err(Error::Malformed { what: Malformed::Empty("a path"), offset });
        }
        // The caller said where to copy to, not what that place should be like.
        if self.options.whiteouts == Whiteouts::Literal {
            return Ok(());
        }
        let place = Place { dir: self.root, name: b".", path: b"." };
        let dir = at::open_dir(self.root, b".").map_err(place.fail("open"))?;
        self.settle_open(dir.as_fd(), entry, &place)?;
        self.made.times.push((b".".to_vec(), entry.mtime));
        self.made.contents.has_root = true;
        Ok(())
    }

    fn charge<R: BufRead>(&mut self, entry: &Entry, reader: &Reader<R>) -> Result<()> {
        self.written = self.written.saturating_add(reader.remaining());
        match self.written > self.options.limits.total_bytes {
            true => Err(Error::Limit {
                what: "bytes of files",
                limit: self.options.limits.total_bytes,
                path: path::to_path(&entry.path),
            }),
            false => Ok(()),
        }
    }

    /// Owner, mode, attributes and (but for directories) times of something open.
    fn settle_open(&mut self, file: BorrowedFd<'_>, entry: &Entry, place: &Place<'_>) -> Result<()> {
        meta::own(file, entry, place, self.options.ownership)?;
        meta::chmod(file, entry, place)?;
        self.made.contents.skipped_xattrs += meta::set_xattrs(file, entry, place, self.options)?;
        if entry.kind != Kind::Directory {
            meta::set_times(file, entry.mtime).map_err(place.fail("set times"))?;
        }
        self.remember(file, place)
    }

    /// The same for what cannot be opened.
    fn settle_named(&mut self, entry: &Entry, place: &Place<'_>) -> Result<()> {
        meta::own_named(entry, place, self.options.ownership)?;
        self.made.contents.skipped_xattrs += entry.xattrs.len() as u64;
        meta::set_times_named(place, entry.mtime).map_err(place.fail("set times"))?;
        self.remember_named(place)
    }

    fn remember(&mut self, file: BorrowedFd<'_>, place: &Place<'_>) -> Result<()> {
        if self.options.whiteouts == Whiteouts::Apply {
            let stat = rustix::fs::fstat(file).map_err(|e| place.fail("stat")(e.into()))?;
            self.made.inodes.insert(stat.st_ino);
        }
        Ok(())
    }

    pub(super) fn remember_named(&mut self, place: &Place<'_>) -> Result<()> {
        if self.options.whiteouts == Whiteouts::Apply
            && let Some(stat) = at::stat(place.dir, place.name).map_err(place.fail("stat"))?
        {
            self.made.inodes.insert(stat.st_ino);
        }
        Ok(())
    }

    /// Sets the directories' times, now that nothing more is made inside them.
    pub fn finish(self) -> Result<Contents> {
        for (path, mtime) in self.made.times {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
            let dir: OwnedFd = match at::open_in_root(self.root, &path, flags) {
                Ok(dir) => dir,
                // A later entry of the same archive took its place.
                Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    continue;
                }
                Err(e) if e.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => continue,
                Err(source) => {
                    return Err(Error::File { operation: "open", path: path::to_path(&path), source });
                }
            };
            meta::set_times(dir.as_fd(), mtime).map_err(|source| Error::File {
                operation: "set times",
                path: path::to_path(&path),
                source,
            })?;
        }
        Ok(self.made.contents)
    }
}

/// Moves the payload into the file, each segment of a sparse one to its place.
fn write_payload<R: BufRead>(
    file: &std::fs::File,
    entry: &Entry,
    place: &Place<'_>,
    reader: &mut Reader<R>,
) -> Result<()> {
    use std::os::unix::fs::FileExt;
    let fail = |source| place.fail("write")(source);
    let Some(segments) = &entry.segments else {
        let mut out = file;
        loop {
            let bytes = reader.payload()?;
            if bytes.is_empty() {
                return Ok(());
            }
            let count = bytes.len();
            io::Write::write_all(&mut out, bytes).map_err(fail)?;
            reader.consume(count);
        }
    };
    for segment in segments {
        let mut done = 0;
        while done < segment.length {
            let bytes = reader.payload()?;
            let count = bytes.len().min(usize::try_from(segment.length - done).unwrap_or(usize::MAX));
            file.write_all_at(&bytes[..count], segment.offset + done).map_err(fail)?;
            done += count as u64;
            reader.consume(count);
        }
    }
    file.set_len(entry.size).map_err(fail)
}
