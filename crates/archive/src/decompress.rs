//! The compressions of archives that Docker's daemon takes: gzip, zstd, bzip2 and xz, told by their first bytes.

use crate::{Error, Result, blob::Compression};
use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use std::io::{self, BufRead, Read};

/// What an xz stream may take of memory, in KiB: a dictionary of 64 MiB, which `xz -9` makes, and what goes with it. A
/// stream may ask for 4 GiB.
const XZ_MEMORY_MAX: u32 = 80 << 10;

/// How what begins with `start` is compressed.
///
/// # Errors
/// [`Error::Compression`] for what is compressed in a way that is not known here.
pub fn detect(start: &[u8]) -> Result<Compression> {
    match start {
        [0x1f, 0x8b, ..] => Ok(Compression::Gzip),
        // A frame, or a skippable one, which zstd:chunked puts first at times (RFC 8878, 3.1).
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Compression::Zstd),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Ok(Compression::Bzip2),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Ok(Compression::Xz),
        [0x04, 0x22, 0x4d, 0x18, ..] => Err(Error::Compression("lz4")),
        _ => Ok(Compression::None),
    }
}

/// Reads what was compressed.
#[expect(clippy::large_enum_variant, reason = "one at a time, on the stack")]
pub enum Decompressor<B: BufRead> {
    None(B),
    Gzip(MultiGzDecoder<B>),
    Zstd(zstd::Decoder<'static, B>),
    Bzip2(MultiBzDecoder<B>),
    Xz(XzReader<B>),
}

impl<B: BufRead> Decompressor<B> {
    /// # Errors
    /// When there is no memory for it.
    pub fn new(source: B, compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::None(source),
            Compression::Gzip => Self::Gzip(MultiGzDecoder::new(source)),
            Compression::Zstd => Self::Zstd(zstd::Decoder::with_buffer(source)?),
            Compression::Bzip2 => Self::Bzip2(MultiBzDecoder::new(source)),
            Compression::Xz => Self::Xz(XzReader::new_mem_limit(source, true, XZ_MEMORY_MAX)),
        })
    }

    pub fn source(&self) -> &B {
        match self {
            Self::None(source) => source,
            Self::Gzip(decoder) => decoder.get_ref(),
            Self::Zstd(decoder) => decoder.get_ref(),
            Self::Bzip2(decoder) => decoder.get_ref(),
            Self::Xz(decoder) => decoder.inner(),
        }
    }

    pub fn source_mut(&mut self) -> &mut B {
        match self {
            Self::None(source) => source,
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
            Self::Bzip2(decoder) => decoder.get_mut(),
            Self::Xz(decoder) => decoder.inner_mut(),
        }
    }

    pub fn into_source(self) -> B {
        match self {
            Self::None(source) => source,
            Self::Gzip(decoder) => decoder.into_inner(),
            Self::Zstd(decoder) => decoder.finish(),
            Self::Bzip2(decoder) => decoder.into_inner(),
            Self::Xz(decoder) => decoder.into_inner(),
        }
    }
}

impl<B: BufRead> Read for Decompressor<B> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::None(source) => source.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
            Self::Bzip2(decoder) => decoder.read(buffer),
            Self::Xz(decoder) => decoder.read(buffer),
        }
    }
}
