//! Writing tar streams that every reader reads alike.
//!
//! The format is ustar, with pax records for what its fields cannot hold; no GNU extension. Times are whole seconds, as
//! Docker writes them, and there are no user or group names, so the bytes depend on nothing but the tree.

use crate::read::Kind;
use std::io::{self, Write};

const BLOCK: usize = 512;

/// What a header says.
pub struct Member<'a> {
    pub kind: Kind,
    /// Without a slash at the end.
    pub path: &'a [u8],
    pub link: &'a [u8],
    /// Permission bits, with set-user-ID, set-group-ID and sticky.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: i64,
    pub size: u64,
    pub device: (u32, u32),
    /// Sorted by name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Writes one archive.
pub struct TarWriter<W> {
    out: W,
    /// Bytes of data that the present member still needs, and the zeros after them.
    missing: u64,
    padding: usize,
}

impl<W: Write> TarWriter<W> {
    pub fn new(out: W) -> Self {
        Self { out, missing: 0, padding: 0 }
    }

    /// Starts a member; a file's data follows through [`Self::data`].
    pub fn member(&mut self, member: &Member<'_>) -> io::Result<()> {
        self.end_member()?;
        let mut path = member.path.to_vec();
        if member.kind == Kind::Directory && !path.ends_with(b"/") {
            path.push(b'/');
        }
        let records = records(member, &path);
        if !records.is_empty() {
            let size = records.len() as u64;
            let mut header = Header::new(b'x', b"PaxHeaders/entry", 0o644);
            header.number(124, 12, size);
            self.out.write_all(&header.finish())?;
            self.out.write_all(&records)?;
            self.zeros(padding(size))?;
        }
        self.out.write_all(&header(member, &path))?;
        self.missing = if member.kind == Kind::File { member.size } else { 0 };
        self.padding = padding(self.missing);
        Ok(())
    }

    /// Data of the present member.
    ///
    /// # Panics
    /// When it is more than the header said, which would make an archive of it that means something else.
    pub fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.missing =
            self.missing.checked_sub(bytes.len() as u64).expect("no more data than the header says");
        self.out.write_all(bytes)
    }

    /// Bytes that the present member still needs.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// Fills up what a file that shrank owes, and its last block.
    fn end_member(&mut self) -> io::Result<()> {
        io::copy(&mut io::Read::take(io::repeat(0), self.missing), &mut self.out)?;
        self.missing = 0;
        let padding = std::mem::take(&mut self.padding);
        self.zeros(padding)
    }

    fn zeros(&mut self, count: usize) -> io::Result<()> {
        self.out.write_all(&[0; 2 * BLOCK][..count])
    }

    /// Two blocks of zeros end the archive.
    pub fn finish(mut self) -> io::Result<W> {
        self.end_member()?;
        self.zeros(2 * BLOCK)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

fn padding(size: u64) -> usize {
    (size.next_multiple_of(BLOCK as u64) - size) as usize
}

/// Pax records for what the header cannot hold.
fn records(member: &Member<'_>, path: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    if path.len() > 100 {
        record(&mut out, b"path", path);
    }
    if member.link.len() > 100 {
        record(&mut out, b"linkpath", member.link);
    }
    let numbers =
        [("uid", u64::from(member.uid), 7), ("gid", u64::from(member.gid), 7), ("size", member.size, 11)];
    for (key, value, digits) in numbers {
        if value >= 1 << (3 * digits) {
            record(&mut out, key.as_bytes(), value.to_string().as_bytes());
        }
    }
    if !(0..1 << 33).contains(&member.mtime) {
        record(&mut out, b"mtime", member.mtime.to_string().as_bytes());
    }
    for (name, value) in &member.xattrs {
        record(&mut out, &[b"SCHILY.xattr.", name.as_slice()].concat(), value);
    }
    out
}

/// `LENGTH KEY=VALUE\n`, the length counting its own digits.
fn record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    out.extend_from_slice(length.to_string().as_bytes());
    for part in [b" ", key, b"=", value, b"\n"] {
        out.extend_from_slice(part);
    }
}

fn header(member: &Member<'_>, path: &[u8]) -> [u8; BLOCK] {
    let flag = match member.kind {
        Kind::File => b'0',
        Kind::HardLink => b'1',
        Kind::Symlink => b'2',
        Kind::CharDevice => b'3',
        Kind::BlockDevice => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
    };
    let mut header = Header::new(flag, path, member.mode);
    header.number(108, 8, u64::from(member.uid));
    header.number(116, 8, u64::from(member.gid));
    header.number(124, 12, if member.kind == Kind::File { member.size } else { 0 });
    header.number(136, 12, u64::try_from(member.mtime).unwrap_or(0));
    header.text(157, member.link);
    if matches!(member.kind, Kind::CharDevice | Kind::BlockDevice) {
        header.number(329, 8, u64::from(member.device.0));
        header.number(337, 8, u64::from(member.device.1));
    }
    header.finish()
}

struct Header([u8; BLOCK]);

impl Header {
    fn new(flag: u8, path: &[u8], mode: u32) -> Self {
        let mut header = Self([0; BLOCK]);
        header.text(0, path);
        header.number(100, 8, u64::from(mode));
        for at in [108, 116] {
            header.number(at, 8, 0);
        }
        for at in [124, 136] {
            header.number(at, 12, 0);
        }
        header.0[156] = flag;
        header.0[257..265].copy_from_slice(b"ustar\x0000");
        header
    }

    /// As much as fits; a record has the whole when that is not all.
    fn text(&mut self, at: usize, text: &[u8]) {
        let length = text.len().min(100);
        self.0[at..at + length].copy_from_slice(&text[..length]);
    }

    /// Octal digits and a NUL; what has more digits in GNU's binary form, so that readers of both kinds agree with the
    /// pax record.
    fn number(&mut self, at: usize, width: usize, value: u64) {
        let field = &mut self.0[at..at + width];
        if value < 1 << (3 * (width - 1)) {
            field[..width - 1].copy_from_slice(format!("{value:0digits$o}", digits = width - 1).as_bytes());
            return;
        }
        field.fill(0);
        let bytes = value.to_be_bytes();
        let take = bytes.len().min(width - 1);
        field[width - take..].copy_from_slice(&bytes[bytes.len() - take..]);
        field[0] |= 0x80;
    }

    fn finish(mut self) -> [u8; BLOCK] {
        self.0[148..156].fill(b' ');
        let sum: u32 = self.0.iter().map(|b| u32::from(*b)).sum();
        self.0[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        self.0
    }
}
