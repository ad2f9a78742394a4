//! Gzip as this program writes it, so that it can write the same bytes again.
//!
//! A layer's blob is not kept, and which encoder made a foreign one is not to be known. Our own say it: an extra
//! subfield (RFC 1952, section 2.3.1.1) names the encoder and its version. Whoever pulls such a layer, here or on
//! another machine, can push it with the same digest from its files alone.

use flate2::{Compression, GzBuilder, write::GzEncoder};
use serde::{Deserialize, Serialize};
use std::io::{self, Write};

/// `L` `I`, two bytes of length, the version. Another level, or another release of the library that compresses
/// differently (a test below notices), is another version.
const MARK: [u8; 5] = [b'L', b'I', 1, 0, 1];
/// Flag of a header with extra subfields.
const FEXTRA: u8 = 1 << 2;
/// Where the extra subfields begin: after ten bytes of header and two of length.
const EXTRA_AT: usize = 12;

/// Who compressed a blob, as far as it matters: one that can be asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoder {
    /// [`encoder`].
    Lichen1,
}

/// The pieces in which the library is given its input: what it makes of some bytes depends on how they are cut.
const PIECE: usize = 128 << 10;

/// Compresses what is written to it, the same way however that is cut.
pub(crate) struct Gzip<W: Write> {
    encoder: GzEncoder<W>,
    piece: Vec<u8>,
}

/// Compresses into `out`.
pub(crate) fn encoder<W: Write>(out: W) -> Gzip<W> {
    let encoder = GzBuilder::new().extra(MARK).write(out, Compression::new(6));
    Gzip { encoder, piece: Vec::with_capacity(PIECE) }
}

impl<W: Write> Gzip<W> {
    /// Ends the compressed stream and gives back what it was written to.
    pub fn finish(mut self) -> io::Result<W> {
        self.encoder.write_all(&self.piece)?;
        self.encoder.finish()
    }
}

impl<W: Write> Write for Gzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let take = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..take]);
        if self.piece.len() == PIECE {
            self.encoder.write_all(&self.piece)?;
            self.piece.clear();
        }
        Ok(take)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether the blob that begins like this was made by [`encoder`].
pub(crate) fn made_by(start: &[u8]) -> Option<Encoder> {
    let is_marked = start.starts_with(&[0x1f, 0x8b])
        && start.get(3).is_some_and(|flags| flags & FEXTRA != 0)
        && start.get(EXTRA_AT..EXTRA_AT + MARK.len()) == Some(&MARK);
    is_marked.then_some(Encoder::Lichen1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn compressed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = encoder(Vec::new());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_is_made_here_is_known_again() {
        let bytes = compressed(b"some text, some text");
        assert_eq!(made_by(&bytes), Some(Encoder::Lichen1));
        let mut text = String::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, "some text, some text");
        for other in [&b""[..], &bytes[..14], b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x05\0XY\x01\0\x01"] {
            assert_eq!(made_by(other), None, "{other:?}");
        }
    }

    /// A change here means: a new version in [`MARK`], and this one kept for what carries it.
    #[test]
    fn the_encoder_gives_the_bytes_it_always_gave() {
        let text: Vec<u8> =
            (0..200_000u32).flat_map(|i| (u64::from(i) * u64::from(i) / 7 % 251).to_le_bytes()).collect();
        let whole = compressed(&text);
        assert_eq!(crate::chain::digest_of(&whole).short(), "4e2569404ba6");
        // However it is handed over.
        for size in [1, 511, 7777, 300_000] {
            let mut encoder = encoder(Vec::new());
            text.chunks(size).for_each(|chunk| encoder.write_all(chunk).unwrap());
            assert!(encoder.finish().unwrap() == whole, "in pieces of {size}");
        }
    }
}
