//! One entry, with everything that its headers say merged.

use super::{
    header::Header,
    pax::{self, Record},
    sparse::{OldGnu, PaxSparse, Segment, Source},
};
use crate::error::Malformed;

/// What kind of file an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    File,
    HardLink,
    Symlink,
    CharDevice,
    BlockDevice,
    Directory,
    Fifo,
}

/// One entry. Paths are as the archive has them; [`crate::path::components`] makes them usable.
#[derive(Debug)]
pub struct Entry {
    pub kind: Kind,
    pub path: Vec<u8>,
    /// Target of a hard or symbolic link.
    pub link: Vec<u8>,
    /// Permission bits, with set-user-ID, set-group-ID and sticky.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds and nanoseconds since 1970.
    pub mtime: (i64, u32),
    /// Bytes of the file, holes included.
    pub size: u64,
    pub device: (u32, u32),
    /// Extended attributes, in the archive's order.
    pub xattrs: Vec<Record>,
    /// For a sparse file, where its payload belongs.
    pub segments: Option<Vec<Segment>>,
    /// Bytes between this header and the next, without the filling of the last block.
    pub(super) stored: u64,
    pub(super) sparse: Option<Source>,
}

/// What came before the header.
#[derive(Default)]
pub(super) struct Extensions {
    pub pax: Option<Vec<Record>>,
    pub long_path: Option<Vec<u8>>,
    pub long_link: Option<Vec<u8>>,
}

impl Extensions {
    pub(super) fn is_empty(&self) -> bool {
        self.pax.is_none() && self.long_path.is_none() && self.long_link.is_none()
    }
}

impl Entry {
    pub(super) fn new(header: &Header, extensions: Extensions) -> Result<Self, Malformed> {
        let flag = header.type_flag();
        let mut entry = Self {
            kind: kind(flag)?,
            path: extensions.long_path.unwrap_or_else(|| header.path()),
            link: extensions.long_link.unwrap_or_else(|| header.link()),
            mode: header.mode()?,
            uid: 0,
            gid: 0,
            mtime: (0, 0),
            size: 0,
            device: (0, 0),
            xattrs: Vec::new(),
            segments: None,
            stored: 0,
            sparse: None,
        };
        let mut overrides = Overrides::default();
        for record in extensions.pax.unwrap_or_default() {
            overrides.record(record, &mut entry)?;
        }
        // A field that a record replaces may hold anything: writers truncate what does not fit.
        entry.uid = overrides.uid.map_or_else(|| header.uid(), Ok)?;
        entry.gid = overrides.gid.map_or_else(|| header.gid(), Ok)?;
        entry.mtime = overrides.mtime.map_or_else(|| header.mtime().map(|s| (s, 0)), Ok)?;
        entry.stored = overrides.size.map_or_else(|| header.size(), Ok)?;
        entry.size = entry.stored;
        entry.take_sparse(header, overrides.sparse)?;
        entry.check(header)?;
        Ok(entry)
    }

    fn take_sparse(&mut self, header: &Header, mut sparse: PaxSparse) -> Result<(), Malformed> {
        if header.type_flag() == b'S' {
            self.sparse = Some(Source::GnuHeader);
            self.size = OldGnu::real_size(header)?;
        } else if let Some(source) = sparse.source()? {
            if self.kind != Kind::File {
                return Err(Malformed::SparseMap);
            }
            self.sparse = Some(source);
            self.size = sparse.real_size.unwrap_or_default();
            // Readers that know no holes see a made-up name instead.
            self.path = sparse.path.unwrap_or(std::mem::take(&mut self.path));
        }
        Ok(())
    }

    /// Settles what kind of entry it is and refuses what readers disagree about.
    fn check(&mut self, header: &Header) -> Result<(), Malformed> {
        for (text, what) in [(&self.path, "a path"), (&self.link, "a link target")] {
            if text.contains(&0) {
                return Err(Malformed::Nul(what));
            }
        }
        if self.path.is_empty() {
            return Err(Malformed::Empty("a path"));
        }
        // Before ustar a directory was a file whose name ends with a slash.
        if self.kind == Kind::File && self.path.ends_with(b"/") {
            self.kind = Kind::Directory;
        }
        match self.kind {
            Kind::File => {}
            // star writes the file's size into the header of a further link, without data behind it.
            Kind::HardLink => (self.stored, self.size) = (0, 0),
            Kind::Symlink if self.stored > 0 => return Err(Malformed::UnexpectedData("a symbolic link")),
            Kind::Directory if self.stored > 0 => return Err(Malformed::UnexpectedData("a directory")),
            Kind::Fifo if self.stored > 0 => return Err(Malformed::UnexpectedData("a fifo")),
            Kind::CharDevice | Kind::BlockDevice => {
                if self.stored > 0 {
                    return Err(Malformed::UnexpectedData("a device"));
                }
                self.device = header.device()?;
            }
            Kind::Symlink | Kind::Directory | Kind::Fifo => {}
        }
        if matches!(self.kind, Kind::HardLink | Kind::Symlink) && self.link.is_empty() {
            return Err(Malformed::Empty("a link target"));
        }
        Ok(())
    }
}

/// What pax records put in place of header fields.
#[derive(Default)]
struct Overrides {
    size: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
    mtime: Option<(i64, u32)>,
    sparse: PaxSparse,
}

impl Overrides {
    fn record(&mut self, (key, value): Record, entry: &mut Entry) -> Result<(), Malformed> {
        let wrong = || Malformed::PaxValue(String::from_utf8_lossy(&key).into_owned());
        // An empty value takes the record back (POSIX); attributes may well be empty.
        if value.is_empty() && !key.starts_with(XATTR) {
            return Ok(());
        }
        let id = || pax::decimal(&value).and_then(|n| u32::try_from(n).ok()).ok_or_else(wrong);
        match key.as_slice() {
            b"path" => entry.path = value,
            b"linkpath" => entry.link = value,
            b"size" => self.size = Some(pax::decimal(&value).ok_or_else(wrong)?),
            b"uid" => self.uid = Some(id()?),
            b"gid" => self.gid = Some(id()?),
            b"mtime" => self.mtime = Some(pax::time(&value).ok_or_else(wrong)?),
            _ if key.starts_with(b"GNU.sparse.") => self.sparse.record(&(key, value))?,
            _ => {
                if let Some(name) = key.strip_prefix(XATTR) {
                    if name.is_empty() || name.contains(&0) {
                        return Err(wrong());
                    }
                    entry.xattrs.push((name.to_vec(), value));
                }
                // Others (atime, ctime, uname, comment, …) have no place to go.
            }
        }
        Ok(())
    }
}

/// Extended attributes, as star, GNU tar and Go write them.
const XATTR: &[u8] = b"SCHILY.xattr.";

fn kind(flag: u8) -> Result<Kind, Malformed> {
    Ok(match flag {
        // `7` asks for contiguous blocks.
        b'0' | 0 | b'7' | b'S' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::Symlink,
        b'3' => Kind::CharDevice,
        b'4' => Kind::BlockDevice,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        other => return Err(Malformed::EntryType(char::from(other))),
    })
}
