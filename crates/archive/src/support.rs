//! Making archives, also ones that no archiver makes, and looking at what became of them.

use crate::{
    Limits, Result,
    blob::Contents,
    unpack::{self, Options, Ownership},
    walk::Walk,
    whiteout::Whiteouts,
};
use rustix::fs::FileType;
use std::{
    collections::BTreeMap,
    fs::File,
    os::fd::{AsFd, AsRawFd},
    path::Path,
};

/// A ustar header with these fields, whatever they are.
pub fn header(flag: u8, path: &str, link: &str, size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    let bytes = header.as_mut_bytes();
    bytes[..path.len()].copy_from_slice(path.as_bytes());
    bytes[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(tar::EntryType::new(flag));
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_700_000_000);
    header.set_size(size);
    header.set_cksum();
    header
}

/// An archive in the making.
#[derive(Default)]
pub struct Tar(pub Vec<u8>);

impl Tar {
    pub fn raw(mut self, header: &tar::Header, data: &[u8]) -> Self {
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn file(self, path: &str, data: &str) -> Self {
        self.raw(&header(b'0', path, "", data.len() as u64), data.as_bytes())
    }

    pub fn dir(self, path: &str) -> Self {
        self.raw(&header(b'5', path, "", 0), b"")
    }

    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.raw(&header(b'2', path, target, 0), b"")
    }

    pub fn link(self, path: &str, target: &str) -> Self {
        self.raw(&header(b'1', path, target, 0), b"")
    }

    /// An extension header (`x`, `g`, `L`, `K`) with this data.
    pub fn extension(self, flag: u8, data: &[u8]) -> Self {
        self.raw(&header(flag, "ext", "", data.len() as u64), data)
    }

    pub fn pax(self, records: &[(&str, &str)]) -> Self {
        let data: Vec<u8> = records.iter().flat_map(|(key, value)| pax_record(key, value)).collect();
        self.extension(b'x', &data)
    }

    pub fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

pub fn pax_record(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let length = (1..).find(|n: &usize| *n == rest.len() + n.to_string().len()).unwrap();
    format!("{length}{rest}").into_bytes()
}

pub fn options(whiteouts: Whiteouts) -> Options<'static> {
    Options {
        whiteouts,
        ownership: Ownership::Archive,
        overwrite_kinds: true,
        limits: Limits::default(),
        below: None,
    }
}

pub fn unpack(archive: &[u8], into: &Path, options: &Options<'_>) -> Result<Contents> {
    unpack::archive(archive, File::open(into).unwrap().as_fd(), options)
}

/// Every path with kind, mode, owner, time, links, and content or target. Times of directories are left out.
pub fn listing(root: &Path) -> BTreeMap<String, String> {
    let dir = File::open(root).unwrap();
    let mut listing = BTreeMap::new();
    let mut first_names = BTreeMap::new();
    let mut walk = Walk::new(dir.as_fd()).unwrap();
    while let Some(found) = walk.next_found().unwrap() {
        let path = String::from_utf8_lossy(found.path).into_owned();
        let at = Path::new("/proc/self/fd")
            .join(found.dir.as_raw_fd().to_string())
            .join(crate::path::to_path(found.name));
        let what = match found.kind() {
            FileType::RegularFile => format!("{:?}", String::from_utf8_lossy(&std::fs::read(&at).unwrap())),
            FileType::Symlink => format!("-> {}", std::fs::read_link(&at).unwrap().display()),
            FileType::CharacterDevice => format!("device {}", found.stat.st_rdev),
            _ => String::new(),
        };
        let stat = found.stat;
        let time = if found.is_dir() { 0 } else { stat.st_mtime };
        let same = first_names.entry(stat.st_ino).or_insert_with(|| path.clone()).clone();
        listing.insert(
            path,
            format!("{:o} {}:{} {time} {what} same as {same}", stat.st_mode, stat.st_uid, stat.st_gid),
        );
        if found.is_dir() {
            walk.enter().unwrap();
        }
    }
    listing
}
