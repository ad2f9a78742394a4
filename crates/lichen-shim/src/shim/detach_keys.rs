//! Finding a client's detach keys in what it types.

/// Passes input through, but for the key sequence, which may be spread over reads.
#[derive(Debug, Default)]
pub(crate) struct Matcher {
    keys: Vec<u8>,
    /// How many of the keys the last bytes of the input were.
    matched: usize,
}

/// What became of a piece of input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scanned {
    /// To be passed on.
    pub(crate) input: Vec<u8>,
    /// The whole sequence was read; what came after it is dropped.
    pub(crate) detach: bool,
}

impl Matcher {
    /// No keys: nothing ever matches.
    pub(crate) fn new(keys: Vec<u8>) -> Self {
        Self { keys, matched: 0 }
    }

    /// Bytes that begin the sequence are held back until it is clear that it does not follow.
    pub(crate) fn scan(&mut self, bytes: &[u8]) -> Scanned {
        let mut input = Vec::with_capacity(bytes.len());
        for byte in bytes {
            if self.keys.get(self.matched) == Some(byte) {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    return Scanned { input, detach: true };
                }
                continue;
            }
            input.extend_from_slice(&self.keys[..self.matched]);
            self.matched = usize::from(!self.keys.is_empty() && self.keys[0] == *byte);
            if self.matched == 0 {
                input.push(*byte);
            }
        }
        Scanned { input, detach: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(keys: &[u8], reads: &[&[u8]]) -> (Vec<u8>, bool) {
        let mut matcher = Matcher::new(keys.to_vec());
        let mut all = Vec::new();
        for read in reads {
            let scanned = matcher.scan(read);
            all.extend(scanned.input);
            if scanned.detach {
                return (all, true);
            }
        }
        (all, false)
    }

    #[test]
    fn the_sequence_detaches_wherever_reads_are_cut() {
        let keys = [16, 17];
        assert_eq!(scan(&keys, &[b"ls\n\x10\x11rest"]), (b"ls\n".to_vec(), true));
        assert_eq!(scan(&keys, &[b"a\x10", b"\x11"]), (b"a".to_vec(), true));
    }

    #[test]
    fn what_only_begins_the_sequence_is_passed_on() {
        let keys = [16, 17];
        assert_eq!(scan(&keys, &[b"\x10a"]), (b"\x10a".to_vec(), false));
        assert_eq!(scan(&keys, &[b"\x10\x10\x11"]), (b"\x10".to_vec(), true));
        assert_eq!(scan(&[], &[b"\x10\x11"]), (b"\x10\x11".to_vec(), false));
    }
}
