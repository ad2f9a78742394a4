//! A layer blob while it streams: digest of what arrives, decompression of what is handed on.

use crate::{
    digester::Digester,
    gzip::{self, Encoder},
};
use archive::Limits;
use flate2::bufread::MultiGzDecoder;
use model::Digest;
use std::io::{self, BufRead, BufReader, Read};

const BUFFER: usize = 128 << 10;

/// Reads the uncompressed archive out of a blob that is plain, gzip or zstd (told by its first bytes).
pub(crate) struct Blob<R: Read> {
    decoder: Decoder<R>,
    encoder: Option<Encoder>,
    out: u64,
    ratio: u64,
    ratio_free: u64,
}

#[expect(clippy::large_enum_variant, reason = "one at a time, on the stack")]
enum Decoder<R: Read> {
    Plain(BufReader<Source<R>>),
    Gzip(MultiGzDecoder<BufReader<Source<R>>>),
    Zstd(zstd::Decoder<'static, BufReader<Source<R>>>),
}

/// The blob as it arrives.
struct Source<R> {
    from: R,
    digest: Digester,
    /// The first failure of `from`, which decoders pass on reworded or not at all.
    failure: Option<io::Error>,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.from.read(buffer) {
            Ok(got) => {
                self.digest.update(&buffer[..got]);
                Ok(got)
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Err(e),
            Err(e) => {
                let passed_on = io::Error::new(e.kind(), e.to_string());
                self.failure.get_or_insert(e);
                Err(passed_on)
            }
        }
    }
}

/// Compressions that exist and are not accepted, by their first bytes.
const REFUSED: [(&[u8], &str); 3] = [
    (b"BZh", "bzip2-compressed layers are not supported: use gzip or zstd"),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], "xz-compressed layers are not supported: use gzip or zstd"),
    (&[0x04, 0x22, 0x4d, 0x18], "lz4-compressed layers are not supported: use gzip or zstd"),
];

impl<R: Read> Blob<R> {
    pub fn new(from: R, limits: &Limits) -> io::Result<Self> {
        let source = Source { from, digest: Digester::new(), failure: None };
        let mut source = BufReader::with_capacity(BUFFER, source);
        let start = source.fill_buf()?;
        if let Some((_, reason)) = REFUSED.iter().find(|(magic, _)| start.starts_with(magic)) {
            return Err(io::Error::new(io::ErrorKind::Unsupported, *reason));
        }
        let encoder = gzip::made_by(start);
        let decoder = if start.starts_with(&[0x1f, 0x8b]) {
            Decoder::Gzip(MultiGzDecoder::new(source))
        } else if is_zstd(start) {
            Decoder::Zstd(zstd::Decoder::with_buffer(source)?)
        } else {
            Decoder::Plain(source)
        };
        Ok(Self { decoder, encoder, out: 0, ratio: limits.ratio, ratio_free: limits.ratio_free_bytes })
    }

    /// Who compressed it, when that can be done again.
    pub fn encoder(&self) -> Option<Encoder> {
        self.encoder
    }

    fn source(&mut self) -> &mut BufReader<Source<R>> {
        match &mut self.decoder {
            Decoder::Plain(source) => source,
            Decoder::Gzip(decoder) => decoder.get_mut(),
            Decoder::Zstd(decoder) => decoder.get_mut(),
        }
    }

    /// Why the blob could not be read, if that is what went wrong.
    pub fn take_failure(&mut self) -> Option<io::Error> {
        self.source().get_mut().failure.take()
    }

    /// Reads what follows the archive, and gives the digest of the whole blob.
    pub fn finish(mut self) -> io::Result<Digest> {
        io::copy(self.source(), &mut io::sink())?;
        Ok(self.source().get_ref().digest.clone().finish())
    }
}

/// A zstd frame, or a skippable frame, which zstd:chunked puts first at times (RFC 8878, 3.1).
fn is_zstd(start: &[u8]) -> bool {
    start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
        || (start.len() >= 4 && start[0] & 0xf0 == 0x50 && start[1..4] == [0x2a, 0x4d, 0x18])
}

impl<R: Read> Read for Blob<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = match &mut self.decoder {
            Decoder::Plain(source) => source.read(buffer),
            Decoder::Gzip(decoder) => decoder.read(buffer),
            Decoder::Zstd(decoder) => decoder.read(buffer),
        }?;
        self.out += got as u64;
        if self.out > self.ratio_free && self.out / self.ratio > self.source().get_ref().digest.bytes() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it unpacks to an absurd size"));
        }
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::digest_of;
    use std::io::Write;

    fn read(bytes: &[u8], limits: &Limits) -> io::Result<(Vec<u8>, Digest)> {
        let mut blob = Blob::new(bytes, limits)?;
        let mut out = Vec::new();
        blob.read_to_end(&mut out)?;
        Ok((out, blob.finish()?))
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_compression_is_told_and_the_blob_digested() {
        let plain = vec![7u8; 300_000];
        let members = [gzip(&plain[..1000]), gzip(&plain[1000..])].concat();
        for blob in [plain.clone(), gzip(&plain), members, zstd::encode_all(&plain[..], 3).unwrap()] {
            let (out, digest) = read(&blob, &Limits::default()).unwrap();
            assert!(out == plain);
            assert_eq!(digest, digest_of(&blob));
        }
    }

    #[test]
    fn unknown_compressions_and_truncation_are_named() {
        let xz = [0xfd, b'7', b'z', b'X', b'Z', 0, 1, 2];
        assert!(read(&xz, &Limits::default()).unwrap_err().to_string().contains("xz-compressed"));
        let whole = gzip(&[1; 5000]);
        assert!(read(&whole[..whole.len() - 9], &Limits::default()).is_err());
    }

    #[test]
    fn a_bomb_is_stopped() {
        let limits = Limits { ratio: 10, ratio_free_bytes: 1000, ..Limits::default() };
        let error = read(&zstd::encode_all(&vec![0u8; 1 << 20][..], 3).unwrap(), &limits).unwrap_err();
        assert_eq!(error.to_string(), "it unpacks to an absurd size");
    }
}
