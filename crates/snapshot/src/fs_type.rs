//! Which file system a directory is on, and whether the engine's data can be on it.

use crate::{Error, Result};
use archive::at;
use model::{Id, IdMap};
use rustix::{
    fs::{self, AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid},
    io::Errno,
};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
};

/// `f_type` of statfs(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FsType(u32);

/// Magic numbers (linux/magic.h, and each file system's own source) with the names Docker shows.
const NAMES: &[(u32, &str)] = &[
    (0xef53, "extfs"),
    (0x5846_5342, "xfs"),
    (0x9123_683e, "btrfs"),
    (0x0102_1994, "tmpfs"),
    (0x794c_7630, "overlayfs"),
    (0x2fc1_2fc1, "zfs"),
    (0xf2f5_2010, "f2fs"),
    (0xca45_1a4e, "bcachefs"),
    (0x6573_5546, "fuse"),
    (0x6969, "nfs"),
    (0x4750_4653, "gpfs"),
    (0x0bd0_0bd0, "lustre"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x517b, "smb"),
    (0x5346_414f, "afs"),
    (0x00c3_6400, "ceph"),
    (0x0102_1997, "9p"),
    (0x4d44, "msdos"),
    (0x2011_bab0, "exfat"),
];

/// File systems that answer for owners elsewhere, whatever one lchown(2) says.
const REMOTE: &[&str] = &["nfs", "gpfs", "lustre", "cifs", "smb2", "smb", "afs"];

pub fn of(dir: BorrowedFd<'_>) -> io::Result<FsType> {
    // Magic numbers are 32 bits, which some architectures sign-extend.
    Ok(FsType(fs::fstatfs(dir)?.f_type as u32))
}

impl FsType {
    /// As in `docker info`, "Backing Filesystem".
    pub fn docker_name(self) -> String {
        match NAMES.iter().find(|(magic, _)| *magic == self.0) {
            Some((_, name)) => (*name).to_owned(),
            None => format!("<unknown> ({:#x})", self.0),
        }
    }

    /// Whether a server decides who may own files there.
    pub fn is_remote(self) -> bool {
        REMOTE.contains(&self.docker_name().as_str())
    }
}

/// Refuses a data root on which layers could not keep their owners: by the file system's type, and by giving a file to
/// the last mapped IDs.
///
/// # Errors
/// [`Error::DataRoot`] with the fix; [`Error::File`] when the directory cannot be used at all.
pub fn check_data_root(root: &Path, uids: &IdMap, gids: &IdMap) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = fs::openat(CWD, root, flags, Mode::empty())
        .map_err(io::Error::from)
        .map_err(Error::file("open", root))?;
    let fs_type = of(dir.as_fd()).map_err(Error::file("statfs", root))?;
    let refuse = |problem: String| Error::DataRoot {
        root: root.to_owned(),
        file_system: fs_type.docker_name(),
        problem,
    };
    if fs_type.is_remote() {
        return Err(refuse("the server does not let a user give files to subordinate IDs (lchown)".into()));
    }
    let (Some(uid), Some(gid)) = (last(uids), last(gids)) else { return Ok(()) };
    let name = format!(".owner-{}", Id::random().short());
    let path = root.join(&name);
    fs::mknodat(&dir, &name, FileType::RegularFile, Mode::from(0o600), 0)
        .map_err(io::Error::from)
        .map_err(Error::file("create", &path))?;
    let given = fs::chownat(
        &dir,
        &name,
        Some(Uid::from_raw(uid)),
        Some(Gid::from_raw(gid)),
        AtFlags::SYMLINK_NOFOLLOW,
    )
    .and_then(|()| fs::statat(&dir, &name, AtFlags::SYMLINK_NOFOLLOW));
    at::remove_tree(dir.as_fd(), name.as_bytes()).map_err(Error::file("remove", &path))?;
    match given {
        Ok(stat) if (stat.st_uid, stat.st_gid) == (uid, gid) => Ok(()),
        Ok(stat) => {
            Err(refuse(format!("a file given to {uid}:{gid} belongs to {}:{}", stat.st_uid, stat.st_gid)))
        }
        Err(e @ (Errno::PERM | Errno::INVAL | Errno::NOTSUP | Errno::ACCESS)) => {
            Err(refuse(format!("lchown to {uid}:{gid} fails: {}", archive::error::errno_text(&e.into()))))
        }
        Err(e) => Err(Error::file("lchown", &path)(e.into())),
    }
}

fn last(map: &IdMap) -> Option<u32> {
    map.0
        .iter()
        .filter_map(|r| r.inside.checked_add(r.count.checked_sub(1)?))
        .filter(|id| *id != u32::MAX)
        .max()
}

/// The engine's own ID map, of `uid` or `gid`.
///
/// # Errors
/// [`Error::File`].
pub fn own_map(kind: &str) -> Result<IdMap> {
    let path = Path::new("/proc/self").join(format!("{kind}_map"));
    let text = std::fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    let lines = text.lines().filter_map(|line| {
        let mut numbers = line.split_ascii_whitespace().map(str::parse);
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(inside)), Some(Ok(outside)), Some(Ok(count))) => {
                Some(model::IdRange { inside, outside, count })
            }
            _ => None,
        }
    });
    Ok(IdMap(lines.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_have_the_names_docker_shows() {
        assert_eq!(FsType(0xef53).docker_name(), "extfs");
        assert_eq!(FsType(0x1234).docker_name(), "<unknown> (0x1234)");
        assert!(FsType(0x6969).is_remote() && !FsType(0x9123_683e).is_remote());
    }
}
