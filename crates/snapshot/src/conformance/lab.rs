//! An empty data directory with a driver on it, and short ways to make layers and look at trees.

use super::Open;
use crate::{Driver, Result, Rootfs};
use archive::{Limits, walk::Walk};
use model::Digest;
use rustix::fs::{self, AtFlags};
use std::{
    collections::BTreeMap,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

pub struct Lab {
    pub driver_name: &'static str,
    dir: tempfile::TempDir,
    open: Open,
}

impl Lab {
    pub fn new(place: &Path, driver_name: &'static str, open: Open) -> Self {
        Self { driver_name, dir: tempfile::tempdir_in(place).unwrap(), open }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn open(&self) -> Arc<dyn Driver> {
        (self.open)(self.path())
    }
}

/// A made-up chain ID.
pub fn chain(number: usize) -> Digest {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Digest::from_sha256(&bytes)
}

/// One entry of a layer archive.
pub enum Entry<'a> {
    /// Path, content.
    File(&'a str, &'a str),
    /// Path, mode, owner and group.
    Dir(&'a str, u32, u64),
    /// Path, target.
    Symlink(&'a str, &'a str),
    HardLink(&'a str, &'a str),
    /// Path, mode, owner and group.
    Special(&'a str, u32, u64),
}
pub use Entry::*;

/// Modification time of everything that [`archive`] makes.
pub const MTIME: u64 = 1_700_000_000;

pub fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_mtime(MTIME);
        header.set_uid(0);
        header.set_gid(0);
        let (path, data) = match entry {
            File(path, content) => {
                header.set_size(content.len() as u64);
                (path, content.as_bytes())
            }
            Special(path, mode, owner) => {
                header.set_mode(*mode);
                header.set_uid(*owner);
                header.set_gid(*owner);
                (path, &b""[..])
            }
            Dir(path, mode, owner) => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(*mode);
                header.set_uid(*owner);
                header.set_gid(*owner);
                (path, &b""[..])
            }
            Symlink(path, target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_link_name(target).unwrap();
                (path, &b""[..])
            }
            HardLink(path, target) => {
                header.set_entry_type(tar::EntryType::Link);
                header.set_link_name(target).unwrap();
                (path, &b""[..])
            }
        };
        header.set_path(path).unwrap();
        header.set_cksum();
        tar.append(&header, data).unwrap();
    }
    tar.into_inner().unwrap()
}

/// Unpacks and commits one layer.
pub fn add(driver: &dyn Driver, number: usize, parent: Option<usize>, entries: &[Entry<'_>]) -> Digest {
    add_archive(driver, number, parent, &archive(entries)).unwrap()
}

pub fn add_archive(
    driver: &dyn Driver,
    number: usize,
    parent: Option<usize>,
    bytes: &[u8],
) -> Result<Digest> {
    let mut staged = driver.begin_layer(parent.map(chain).as_ref())?;
    staged.unpack(bytes, &Limits::default())?;
    driver.commit_layer(staged, &chain(number))?;
    Ok(chain(number))
}

/// A mounted tree.
pub struct Tree(OwnedFd);

pub fn mount(plan: &Rootfs) -> Tree {
    Tree(sys::overlay::mount_detached(plan).unwrap())
}

/// Mounts an overlay in the test's namespace: a place on which the kernel makes no further one.
pub fn mount_overlay(dir: &Path) -> PathBuf {
    let path = |name: &str| {
        let path = dir.join(name);
        std::fs::create_dir(&path).unwrap();
        path
    };
    let plan = Rootfs::Overlay {
        lower: vec![path("lower")],
        upper: Some(path("upper")),
        work: Some(path("work")),
        options: vec!["userxattr".into()],
    };
    let (place, mount) = (path("merged"), sys::overlay::mount_detached(&plan).unwrap());
    sys::mount::attach(&mount, sys::mount::open_path(&place).unwrap()).unwrap();
    place
}

impl Tree {
    pub fn at(&self, path: &str) -> PathBuf {
        Path::new("/proc/self/fd").join(self.0.as_raw_fd().to_string()).join(path)
    }

    pub fn write(&self, path: &str, content: &str) {
        std::fs::write(self.at(path), content).unwrap();
    }

    /// Every path with what it is, one line each: kind, mode, owner, and content or target.
    pub fn listing(&self) -> BTreeMap<String, String> {
        let mut listing = BTreeMap::new();
        let mut walk = Walk::new(self.0.as_fd()).unwrap();
        while let Some(found) = walk.next_found().unwrap() {
            let path = String::from_utf8(found.path.to_vec()).unwrap();
            let stat = found.stat;
            let what = match found.kind() {
                fs::FileType::RegularFile => {
                    format!("{} links {}", std::fs::read_to_string(self.at(&path)).unwrap(), stat.st_nlink)
                }
                fs::FileType::Symlink => std::fs::read_link(self.at(&path)).unwrap().display().to_string(),
                _ => String::new(),
            };
            let (mode, uid, gid) = (stat.st_mode, stat.st_uid, stat.st_gid);
            let mtime = if found.is_dir() { 0 } else { stat.st_mtime };
            listing.insert(path, format!("{mode:o} {uid}:{gid} {mtime} {what}"));
            if found.is_dir() {
                walk.enter().unwrap();
            }
        }
        listing
    }

    /// The paths alone.
    pub fn paths(&self) -> Vec<String> {
        self.listing().into_keys().collect()
    }

    pub fn stat(&self, path: &str) -> fs::Stat {
        fs::statat(&self.0, path, AtFlags::SYMLINK_NOFOLLOW).unwrap()
    }

    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.at(path)).unwrap()
    }
}
