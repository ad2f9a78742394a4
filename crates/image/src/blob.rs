//! A layer blob while it streams: digest of what arrives, decompression of what is handed on.

use crate::{
    digester::Digester,
    gzip::{self, Encoder},
};
use archive::{
    Limits,
    decompress::{self, Decompressor},
};
use model::Digest;
use std::io::{self, BufRead, BufReader, Read};

const BUFFER: usize = 128 << 10;

/// Reads the uncompressed archive out of a blob that is plain or compressed.
pub(crate) struct Blob<R: Read> {
    decoder: Decompressor<BufReader<Source<R>>>,
    encoder: Option<Encoder>,
    out: u64,
    ratio: u64,
    ratio_free: u64,
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

impl<R: Read> Blob<R> {
    /// # Errors
    /// [`archive::Error::Compression`], or `from` cannot be read.
    pub fn new(from: R, limits: &Limits) -> archive::Result<Self> {
        let source = Source { from, digest: Digester::new(), failure: None };
        let mut source = BufReader::with_capacity(BUFFER, source);
        let start = source.fill_buf().map_err(archive::Error::Read)?;
        let encoder = gzip::made_by(start);
        let compression = decompress::detect(start)?;
        let decoder = Decompressor::new(source, compression).map_err(archive::Error::Decompress)?;
        Ok(Self { decoder, encoder, out: 0, ratio: limits.ratio, ratio_free: limits.ratio_free_bytes })
    }

    /// Who compressed it, when that can be done again.
    pub fn encoder(&self) -> Option<Encoder> {
        self.encoder
    }

    /// Why the blob could not be read, if that is what went wrong.
    pub fn take_failure(&mut self) -> Option<io::Error> {
        self.decoder.source_mut().get_mut().failure.take()
    }

    /// Reads what follows the archive, and gives the digest of the whole blob.
    pub fn finish(mut self) -> io::Result<Digest> {
        io::copy(self.decoder.source_mut(), &mut io::sink())?;
        Ok(self.decoder.source().get_ref().digest.clone().finish())
    }
}

impl<R: Read> Read for Blob<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.decoder.read(buffer)?;
        self.out += got as u64;
        if self.out > self.ratio_free
            && self.out / self.ratio > self.decoder.source().get_ref().digest.bytes()
        {
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
        let mut blob = Blob::new(bytes, limits).map_err(io::Error::other)?;
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
        let lz4 = [0x04, 0x22, 0x4d, 0x18, 1, 2];
        assert!(read(&lz4, &Limits::default()).unwrap_err().to_string().contains("lz4 compression"));
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
