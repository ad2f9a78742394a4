//! Playing a framing back.

use super::PATH_MAX;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use std::{
    ffi::OsStr,
    fs::File,
    io::{self, BufReader, Read, Write},
    os::{fd::AsFd, unix::ffi::OsStrExt},
    path::Path,
};

/// What an archive is rebuilt for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To have it again as it came: small files are as they were recorded.
    Copy,
    /// To see whether the files still are what came: all contents are those of the files.
    Comparison,
}

/// Writes the archive that `framing` was recorded from, contents taken from the files below `root`.
///
/// # Errors
/// `InvalidData` for a framing that is none or whose files have changed; else whatever reading, writing or opening gave.
/// The caller compares the digest of what was written.
pub(crate) fn rebuild(
    framing: impl Read,
    root: impl AsFd,
    purpose: Purpose,
    out: &mut dyn Write,
) -> io::Result<()> {
    let file = |path: &[u8], length: u64, out: &mut dyn Write| {
        let mut file = open(&root, path)?;
        if purpose == Purpose::Comparison && file.metadata()?.len() != length {
            return Err(invalid("a file of it is longer or shorter than it was"));
        }
        copy_exactly(&mut file, out, length)
    };
    each(framing, |segment, framing| match segment {
        Segment::Raw { length } => copy_exactly(framing, out, length),
        Segment::File { length, path } => file(&path, length, out),
        Segment::Inline { length, .. } if purpose == Purpose::Copy => copy_exactly(framing, out, length),
        Segment::Inline { length, path } => {
            copy_exactly(framing, &mut io::sink(), length)?;
            file(&path, length, out)
        }
        Segment::Twice => Ok(()),
    })
}

/// Whether small files can be compared: not when one of them came twice, since the first contents are lost.
///
/// # Errors
/// As [`rebuild`].
pub(crate) fn is_comparable(framing: impl Read) -> io::Result<bool> {
    let mut comparable = true;
    each(framing, |segment, framing| match segment {
        Segment::Raw { length } | Segment::Inline { length, .. } => {
            copy_exactly(framing, &mut io::sink(), length)
        }
        Segment::File { .. } => Ok(()),
        Segment::Twice => {
            comparable = false;
            Ok(())
        }
    })?;
    Ok(comparable)
}

/// What a segment begins with; the bytes of `Raw` and `Inline` follow.
enum Segment {
    Raw { length: u64 },
    File { length: u64, path: Vec<u8> },
    Inline { length: u64, path: Vec<u8> },
    Twice,
}

fn each(
    framing: impl Read,
    mut take: impl FnMut(Segment, &mut dyn Read) -> io::Result<()>,
) -> io::Result<()> {
    let mut framing = BufReader::new(zstd::Decoder::new(framing)?);
    loop {
        let mut tag = [0];
        if framing.read(&mut tag)? == 0 {
            return Ok(());
        }
        let segment = match tag[0] {
            b'R' => Segment::Raw { length: number(&mut framing)? },
            b'F' => Segment::File { length: number(&mut framing)?, path: path(&mut framing)? },
            b'I' => Segment::Inline { length: number(&mut framing)?, path: path(&mut framing)? },
            b'T' => Segment::Twice,
            _ => return Err(invalid("its framing is damaged")),
        };
        take(segment, &mut framing)?;
    }
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

fn number(from: &mut impl Read) -> io::Result<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        from.read_exact(&mut byte)?;
        value |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(invalid("its framing is damaged"))
}

fn path(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let length = usize::try_from(number(from)?).unwrap_or(usize::MAX);
    if length > PATH_MAX {
        return Err(invalid("its framing is damaged"));
    }
    let mut path = vec![0; length];
    from.read_exact(&mut path)?;
    Ok(path)
}

/// Within `root` whatever links the layer has (openat2(2), `RESOLVE_IN_ROOT`). A FIFO or device that took the file's
/// place must not block or act: `O_NONBLOCK`, and the type is checked.
fn open(root: &impl AsFd, path: &[u8]) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let path = Path::new(OsStr::from_bytes(path));
    let file: File = rustix::fs::openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)?.into();
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(invalid("a file of it is no regular file any more"))
    }
}

fn copy_exactly(from: &mut dyn Read, out: &mut dyn Write, length: u64) -> io::Result<()> {
    let mut buffer = [0; 64 << 10];
    let mut left = length;
    while left > 0 {
        let want = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match from.read(&mut buffer[..want])? {
            0 => return Err(invalid("a file of it is shorter than it was")),
            got => {
                out.write_all(&buffer[..got])?;
                left -= got as u64;
            }
        }
    }
    Ok(())
}
