//! `docker cp`: the rules of `GET`, `HEAD` and `PUT /containers/{id}/archive` on a container's root directory.
//!
//! `root` is a descriptor of the container's root: of `/proc/PID/root` while it runs, so that volumes are seen as the
//! container sees them, or of a detached mount. Every path is resolved below it in the kernel while the container may
//! be changing it (CVE-2018-15664), and nothing of the container is executed or loaded (CVE-2019-14271).

use crate::{
    Error, Limits, Result, at,
    pack::Packer,
    path, pipe,
    unpack::{self, Options, Ownership},
    walk::Found,
    whiteout::Whiteouts,
};
use model::{ContainerGid, ContainerUid};
use rustix::{
    fs::{self, FileType, OFlags, Stat},
    io::Errno,
};
use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

/// Something in a container. The directory it is in (or that it is) is held, so swapping a directory above it has no
/// effect; swapping the thing itself for a link gives an archive without it.
pub struct Resource {
    held: OwnedFd,
    /// Its name in `held`; `.` when it is `held` itself.
    name: Vec<u8>,
    found: Stat,
    stat: PathStat,
}

/// What the header `X-Docker-Container-Path-Stat` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathStat {
    /// Last component of the path as it was asked for; `/` for the root.
    pub name: PathBuf,
    pub size: u64,
    /// `st_mode` of stat(2).
    pub mode: u32,
    /// Seconds and nanoseconds since 1970.
    pub mtime: (i64, u32),
    /// Where a symbolic link leads within the container, fully resolved as far as it exists; empty for anything else.
    pub link_target: PathBuf,
}

impl PathStat {
    /// The mode as Go's `os.FileMode` has it (`io/fs/fs.go`), which is what clients of the Engine API read.
    pub fn go_mode(&self) -> u32 {
        let kind = match FileType::from_raw_mode(self.mode) {
            FileType::Directory => 1 << 31,
            FileType::Symlink => 1 << 27,
            FileType::BlockDevice => 1 << 26,
            FileType::CharacterDevice => 1 << 26 | 1 << 21,
            FileType::Fifo => 1 << 25,
            FileType::Socket => 1 << 24,
            FileType::RegularFile => 0,
            FileType::Unknown => 1 << 19,
        };
        let special = [(0o4000, 23), (0o2000, 22), (0o1000, 20)];
        special.iter().filter(|(bit, _)| self.mode & bit != 0).fold(kind, |mode, (_, go)| mode | 1 << go)
            | self.mode & 0o777
    }
}

/// Finds `path`, absolute or relative to the root; `..` is taken lexically, as Docker does. Directories on the way may
/// be symbolic links; the last component is taken as it is, unless the path ends with `/` or `/.`.
///
/// # Errors
/// [`crate::Error::File`], whose kind is `NotFound` for a path that does not exist.
pub fn open(root: BorrowedFd<'_>, path: &Path) -> Result<Resource> {
    let asked = path.as_os_str().as_bytes();
    let parts = clean(asked);
    let fail = |operation| Error::file(operation, path);
    let Some((name, above)) = parts.split_last() else {
        let held = at::open_dir(root, b".").map_err(fail("open"))?;
        return Resource::new(root, held, b".", b"/", &parts).map_err(fail("stat"));
    };
    let directory = OFlags::PATH | OFlags::DIRECTORY;
    if asked.ends_with(b"/") || asked.ends_with(b"/.") {
        let held = at::open_in_root(root, &path::join(&parts), directory).map_err(fail("open"))?;
        return Resource::new(root, held, b".", name, &parts).map_err(fail("stat"));
    }
    let held = at::open_in_root(root, &path::join(above), directory).map_err(fail("open"))?;
    match at::open_in_root(held.as_fd(), name, directory | OFlags::NOFOLLOW) {
        Ok(itself) => Resource::new(root, itself, b".", name, &parts),
        // ELOOP for a symbolic link, ENOTDIR for anything else: stat decides.
        Err(_) => Resource::new(root, held, name, name, &parts),
    }
    .map_err(fail("lstat"))
}

impl Resource {
    fn new(
        root: BorrowedFd<'_>,
        held: OwnedFd,
        name: &[u8],
        shown: &[u8],
        parts: &[&[u8]],
    ) -> io::Result<Self> {
        let found = at::stat(held.as_fd(), name)?.ok_or(Errno::NOENT)?;
        let link_target = match at::file_type(&found) {
            FileType::Symlink => resolve(root, parts)?,
            _ => PathBuf::new(),
        };
        let stat = PathStat {
            name: path::to_path(shown),
            size: u64::try_from(found.st_size).unwrap_or_default(),
            mode: found.st_mode,
            mtime: (found.st_mtime as i64, found.st_mtime_nsec as u32),
            link_target,
        };
        Ok(Self { held, name: name.to_vec(), found, stat })
    }

    pub fn stat(&self) -> &PathStat {
        &self.stat
    }

    /// Writes the resource, with what lies below it, as an archive whose names start with [`PathStat::name`].
    ///
    /// # Errors
    /// [`crate::Error::Write`], [`crate::Error::File`].
    pub fn write_archive(&self, out: &mut dyn Write) -> Result<()> {
        let mut packer = Packer::new(out);
        let shown = self.stat.name.as_os_str().as_bytes();
        let found = Found { dir: self.held.as_fd(), name: &self.name, path: shown, stat: self.found };
        let descend = found.is_dir();
        packer.add(&found, shown)?;
        if descend {
            let prefix = if shown == b"/" { b"/".to_vec() } else { [shown, b"/"].concat() };
            packer.below(self.held.as_fd(), &prefix)?;
        }
        packer.finish()
    }
}

/// What `PUT` may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PutOptions {
    /// The opposite of `noOverwriteDirNonDir`.
    pub overwrite_kinds: bool,
    /// Owner of everything, for `copyUIDGID`; otherwise the archive's.
    pub owner: Option<(ContainerUid, ContainerGid)>,
}

/// Unpacks `source` (plain, gzip or zstd) into the directory `path`, through a symbolic link too. Links in the archive
/// and in the container mean what they mean to the container, whose root is where they start and end.
///
/// # Errors
/// [`crate::Error::NotADirectory`], [`crate::Error::Overwrite`] and those of unpacking.
pub fn put(root: BorrowedFd<'_>, path: &Path, source: impl Read + Send, options: PutOptions) -> Result<()> {
    let parts = clean(path.as_os_str().as_bytes());
    match at::open_in_root(root, &path::join(&parts), OFlags::PATH | OFlags::DIRECTORY) {
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => {
            return Err(Error::NotADirectory { path: path.to_owned() });
        }
        other => drop(other.map_err(Error::file("open", path))?),
    }
    let unpack = Options {
        whiteouts: Whiteouts::Literal,
        ownership: options.owner.map_or(Ownership::Archive, |(uid, gid)| Ownership::Fixed(uid, gid)),
        overwrite_kinds: options.overwrite_kinds,
        limits: Limits::default(),
        below: None,
    };
    pipe::decode(source, &unpack.limits, |chunks| unpack::archive_within(chunks, root, &parts, &unpack))
        .map(drop)
        .map_err(|error| match error {
            Error::Overwrite { existing, directory, .. } => {
                Error::Overwrite { existing: Path::new("/").join(existing), directory, root: path.to_owned() }
            }
            other => other,
        })
}

/// Components with `.` and `..` taken away, which cannot lead above the root: Go's `filepath.Join("/", path)`.
fn clean(path: &[u8]) -> Vec<&[u8]> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts
}

/// The path that these components name once every link in them is followed, as the container would write it. Only for
/// showing: nothing is opened by it.
fn resolve(root: BorrowedFd<'_>, parts: &[&[u8]]) -> io::Result<PathBuf> {
    const MOST_LINKS: usize = 255;
    let mut ahead: VecDeque<Vec<u8>> = parts.iter().map(|part| part.to_vec()).collect();
    let mut walked: Vec<Vec<u8>> = Vec::new();
    let mut links = 0;
    while let Some(part) = ahead.pop_front() {
        if part == b".." {
            walked.pop();
            continue;
        }
        walked.push(part);
        let path = walked.join(&b'/');
        let Ok(file) = at::open_in_root(root, &path, OFlags::PATH | OFlags::NOFOLLOW) else { continue };
        if at::file_type(&fs::fstat(&file)?) != FileType::Symlink {
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(Errno::LOOP.into());
        }
        let target = fs::readlinkat(&file, c"", Vec::new())?.into_bytes();
        walked.pop();
        if target.starts_with(b"/") {
            walked.clear();
        }
        for part in target.split(|b| *b == b'/').rev().filter(|p| !matches!(*p, b"" | b".")) {
            ahead.push_front(part.to_vec());
        }
    }
    Ok(Path::new("/").join(path::to_path(&walked.join(&b'/'))))
}

#[cfg(test)]
mod tests;
