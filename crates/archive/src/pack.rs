//! Trees as archives.

use crate::{
    Error, Result, at, path,
    read::Kind,
    unpack::OVERRIDE_STAT,
    walk::{Found, Walk},
    write::{Member, TarWriter},
};
use rustix::{
    fs::{self, FileType, Mode, OFlags, Stat},
    io::Errno,
};
use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, BorrowedFd},
};

/// Writes everything below `root`, in the order of names, as a plain archive with relative names: `docker export`.
/// Sockets are left out, for archives cannot have them.
///
/// # Errors
/// [`crate::Error::Write`] and [`crate::Error::File`].
pub fn tree(root: BorrowedFd<'_>, out: &mut dyn Write) -> Result<()> {
    let mut packer = Packer::new(out);
    packer.below(root, b"")?;
    packer.finish()
}

/// Puts files of a tree into an archive.
pub struct Packer<'w> {
    writer: TarWriter<&'w mut dyn Write>,
    /// Where in the archive a file with several links is, by device and inode.
    links: HashMap<(u64, u64), Vec<u8>>,
    buffer: Vec<u8>,
}

impl<'w> Packer<'w> {
    pub fn new(out: &'w mut dyn Write) -> Self {
        Self { writer: TarWriter::new(out), links: HashMap::new(), buffer: vec![0; 128 * 1024] }
    }

    pub fn finish(self) -> Result<()> {
        self.writer.finish().map(drop).map_err(Error::Write)
    }

    /// Everything below `dir`, each name after `prefix`.
    pub fn below(&mut self, dir: BorrowedFd<'_>, prefix: &[u8]) -> Result<()> {
        let fail = |path: &[u8], source| Error::File { operation: "read", path: path::to_path(path), source };
        let mut walk = Walk::new(dir).map_err(|e| fail(prefix, e))?;
        loop {
            let found = match walk.next_found() {
                Ok(Some(found)) => found,
                Ok(None) => return Ok(()),
                Err(e) => return Err(fail(walk.path(), e)),
            };
            let name = [prefix, found.path].concat();
            let descend = found.is_dir();
            self.add(&found, &name)?;
            if descend {
                walk.enter().map_err(|e| fail(&name, e))?;
            }
        }
    }

    /// One file under a name of the archive's.
    pub fn add(&mut self, found: &Found<'_>, name: &[u8]) -> Result<()> {
        let fail =
            |operation| move |source: io::Error| Error::File { operation, path: path::to_path(name), source };
        let stat = &found.stat;
        let kind = match found.kind() {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            FileType::Fifo => Kind::Fifo,
            FileType::CharacterDevice => Kind::CharDevice,
            FileType::BlockDevice => Kind::BlockDevice,
            FileType::Socket | FileType::Unknown => return Ok(()),
        };
        let mut member = member(kind, name, stat);
        if let Some(first) = self.earlier_link(kind, stat, name) {
            (member.kind, member.link, member.size) = (Kind::HardLink, &first, 0);
            return self.writer.member(&member).map_err(Error::Write);
        }
        let target;
        if kind == Kind::Symlink {
            target =
                fs::readlinkat(found.dir, found.name, Vec::new()).map_err(|e| fail("readlink")(e.into()))?;
            member.link = target.to_bytes();
        }
        if !matches!(kind, Kind::File | Kind::Directory) {
            return self.writer.member(&member).map_err(Error::Write);
        }
        let Some(file) = open_same(found).map_err(fail("open"))? else { return Ok(()) };
        member.xattrs = xattrs(file.as_fd()).map_err(fail("getxattr"))?;
        restore_owner(&mut member);
        self.writer.member(&member).map_err(Error::Write)?;
        if kind == Kind::File { self.contents(file, name) } else { Ok(()) }
    }

    fn earlier_link(&mut self, kind: Kind, stat: &Stat, name: &[u8]) -> Option<Vec<u8>> {
        if kind == Kind::Directory || stat.st_nlink < 2 {
            return None;
        }
        let key = (stat.st_dev, stat.st_ino);
        let first = self.links.get(&key).cloned();
        if first.is_none() {
            self.links.insert(key, name.to_vec());
        }
        first
    }

    /// As many bytes as the header says: a file that grows is cut off, one that shrank is filled up with zeros, as by
    /// every archiver that does not stop the world.
    fn contents(&mut self, mut file: File, name: &[u8]) -> Result<()> {
        while self.writer.missing() > 0 {
            let most = self.buffer.len().min(usize::try_from(self.writer.missing()).unwrap_or(usize::MAX));
            let count = match file.read(&mut self.buffer[..most]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                other => other.map_err(|source| Error::File {
                    operation: "read",
                    path: path::to_path(name),
                    source,
                })?,
            };
            if count == 0 {
                tracing::warn!(path = %path::to_path(name).display(), "the file shrank while it was archived");
                break;
            }
            self.writer.data(&self.buffer[..count]).map_err(Error::Write)?;
        }
        Ok(())
    }

    /// A whiteout: an empty file with nothing of interest about it.
    pub fn whiteout(&mut self, name: &[u8]) -> Result<()> {
        let member = Member {
            kind: Kind::File,
            path: name,
            link: b"",
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: 0,
            size: 0,
            device: (0, 0),
            xattrs: Vec::new(),
        };
        self.writer.member(&member).map_err(Error::Write)
    }
}

fn member<'m>(kind: Kind, name: &'m [u8], stat: &Stat) -> Member<'m> {
    Member {
        kind,
        path: name,
        link: b"",
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: stat.st_mtime,
        size: if kind == Kind::File { stat.st_size as u64 } else { 0 },
        device: (fs::major(stat.st_rdev), fs::minor(stat.st_rdev)),
        xattrs: Vec::new(),
    }
}

/// Opens what was found, unless something else has its name by now. A fifo that took a file's place would block without
/// `O_NONBLOCK`.
fn open_same(found: &Found<'_>) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::io::retry_on_intr(|| fs::openat(found.dir, found.name, flags, Mode::empty())) {
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(None),
        other => other?,
    };
    let stat = fs::fstat(&file)?;
    let same = at::file_type(&stat) == found.kind();
    Ok(same.then(|| File::from(file)))
}

/// The attributes that belong to the file rather than to this machine: capabilities and the user's own, without the
/// marks of overlays. What an overlay in a container wrote is stored under a longer name ([`crate::unpack`]).
fn xattrs(file: BorrowedFd<'_>) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    const MARKS: &[u8] = b"user.overlay.";
    const FUSE_MARKS: &[u8] = b"user.fuseoverlayfs.";
    let mut list = Vec::new();
    for name in at::xattr_names(file)? {
        let bytes = name.to_bytes();
        let shown = match bytes.strip_prefix(MARKS) {
            Some(rest) => match rest.strip_prefix(b"overlay.") {
                Some(inner) => [MARKS, inner].concat(),
                None => continue,
            },
            None if bytes.starts_with(FUSE_MARKS) => continue,
            None if bytes == b"security.capability" || bytes.starts_with(b"user.") => bytes.to_vec(),
            None => continue,
        };
        if let Some(value) = at::xattr(file, &name)? {
            list.push((shown, value));
        }
    }
    list.sort_unstable();
    Ok(list)
}

/// Puts back the owner that was only recorded (see [`crate::unpack::Ownership::Recorded`]).
fn restore_owner(member: &mut Member<'_>) {
    let Some(at) = member.xattrs.iter().position(|(name, _)| name == OVERRIDE_STAT.as_bytes()) else {
        return;
    };
    let value = String::from_utf8_lossy(&member.xattrs[at].1).into_owned();
    let mut fields = value.split(':');
    let uid = fields.next().and_then(|f| f.parse().ok());
    let gid = fields.next().and_then(|f| f.parse().ok());
    let mode = fields.next().and_then(|f| u32::from_str_radix(f, 8).ok());
    if let (Some(uid), Some(gid), Some(mode)) = (uid, gid, mode) {
        (member.uid, member.gid, member.mode) = (uid, gid, mode & 0o7777);
        member.xattrs.remove(at);
    }
}
