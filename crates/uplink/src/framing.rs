//! Ethernet frames in a byte stream: a length, then the frame.
//!
//! vpnkit's length is a little-endian `u16` (moby/vpnkit `src/hostnet/vmnet.ml`, `Packet`), qemu's a big-endian `u32`
//! (qemu `net/stream.c`).

use crate::Protocol;

/// Destination, source, type (IEEE 802.3).
const HEADER: usize = 14;

/// The largest IP packet behind a header with a VLAN tag.
pub const MAX_FRAME: usize = 65_535 + HEADER + 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("a length of {0} bytes, shorter than an Ethernet header")]
    Runt(usize),
    #[error("a length of {0} bytes, more than {MAX_FRAME}")]
    TooLong(usize),
}

impl Protocol {
    /// How many bytes a length has.
    pub const fn prefix(self) -> usize {
        match self {
            Self::Vpnkit => 2,
            Self::Qemu => 4,
        }
    }

    /// The length in front of a frame; none for one that the protocol cannot carry.
    pub fn length(self, frame: usize) -> Option<Vec<u8>> {
        match self {
            Self::Vpnkit => u16::try_from(frame).ok().map(|n| n.to_le_bytes().to_vec()),
            Self::Qemu => u32::try_from(frame).ok().map(|n| n.to_be_bytes().to_vec()),
        }
    }

    fn read_length(self, bytes: &[u8]) -> Option<usize> {
        Some(match self {
            Self::Vpnkit => u16::from_le_bytes(*bytes.first_chunk()?).into(),
            Self::Qemu => u32::from_be_bytes(*bytes.first_chunk()?) as usize,
        })
    }
}

/// Bytes that came, and are frames once enough of them are there. Never holds much more than one frame, if every frame
/// is taken before more is put in.
#[derive(Debug)]
pub struct Decoder {
    protocol: Protocol,
    bytes: Vec<u8>,
    start: usize,
}

impl Decoder {
    pub fn new(protocol: Protocol) -> Self {
        Self { protocol, bytes: Vec::new(), start: 0 }
    }

    pub fn put(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame.
    ///
    /// # Errors
    /// After a length that no frame has, nothing that follows can be trusted: do not ask again.
    pub fn frame(&mut self) -> Result<Option<&[u8]>, Error> {
        let rest = &self.bytes[self.start..];
        let Some(length) = self.protocol.read_length(rest) else { return Ok(None) };
        match length {
            0..HEADER => return Err(Error::Runt(length)),
            HEADER..=MAX_FRAME => {}
            _ => return Err(Error::TooLong(length)),
        }
        let begin = self.start + self.protocol.prefix();
        match self.bytes.get(begin..begin + length) {
            Some(frame) => {
                self.start = begin + length;
                Ok(Some(frame))
            }
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(protocol: Protocol, frames: &[Vec<u8>]) -> Vec<u8> {
        frames.iter().flat_map(|f| [protocol.length(f.len()).unwrap(), f.clone()].concat()).collect()
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_they_are_cut(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 14..200), 0..8),
            cut in 1usize..50,
        ) {
            for protocol in [Protocol::Vpnkit, Protocol::Qemu] {
                let mut decoder = Decoder::new(protocol);
                let mut found = Vec::new();
                for chunk in encoded(protocol, &frames).chunks(cut) {
                    decoder.put(chunk);
                    while let Some(frame) = decoder.frame().unwrap() {
                        found.push(frame.to_vec());
                    }
                }
                prop_assert_eq!(&found, &frames);
            }
        }
    }

    #[test]
    fn lengths_that_no_frame_has_are_errors() {
        let first = |protocol, bytes: &[u8]| {
            let mut decoder = Decoder::new(protocol);
            decoder.put(bytes);
            decoder.frame().map(|f| f.map(<[u8]>::to_vec))
        };
        assert_eq!(first(Protocol::Vpnkit, &[13, 0, 1]), Err(Error::Runt(13)));
        assert_eq!(first(Protocol::Qemu, &[0, 0, 0, 0]), Err(Error::Runt(0)));
        assert_eq!(first(Protocol::Qemu, &[0, 2, 0, 0]), Err(Error::TooLong(1 << 17)));
        assert_eq!(first(Protocol::Qemu, &[0xff; 4]), Err(Error::TooLong(u32::MAX as usize)));
        assert_eq!(first(Protocol::Qemu, &[0, 0, 5]), Ok(None));
        assert_eq!(Protocol::Vpnkit.length(70_000), None);
    }
}
