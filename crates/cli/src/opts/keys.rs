//! `--detach-keys ctrl-p,ctrl-q`

/// The sequence when none is configured: ctrl-p ctrl-q.
pub const DEFAULT: [u8; 2] = [16, 17];

/// The bytes of a sequence: single characters, or `ctrl-` and one of `a`–`z @ [ \ ] ^ _`, separated by commas.
pub fn parse(text: &str) -> Result<Vec<u8>, String> {
    text.split(',').map(key).collect()
}

fn key(text: &str) -> Result<u8, String> {
    let invalid = || format!("Unknown character: '{text}'");
    match (text.as_bytes(), text.strip_prefix("ctrl-").map(str::as_bytes)) {
        ([byte], _) => Ok(*byte),
        (_, Some([letter @ b'a'..=b'z'])) => Ok(letter - b'a' + 1),
        (_, Some([b'@'])) => Ok(0),
        (_, Some([symbol @ b'['..=b'_'])) => Ok(symbol - b'[' + 27),
        _ => Err(invalid()),
    }
}

/// Watches typed bytes for the sequence.
pub struct Detector {
    sequence: Vec<u8>,
    matched: usize,
}

/// What typed bytes amount to.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    /// To be sent on; bytes that may begin the sequence are held back.
    Forward(Vec<u8>),
    /// The sequence is complete; what came before it is to be sent.
    Detach(Vec<u8>),
}

impl Detector {
    pub fn new(sequence: Vec<u8>) -> Self {
        Self { sequence, matched: 0 }
    }

    pub fn feed(&mut self, bytes: &[u8]) -> Typed {
        let mut out = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            if self.sequence.get(self.matched) == Some(&byte) {
                self.matched += 1;
                if self.matched == self.sequence.len() {
                    return Typed::Detach(out);
                }
                continue;
            }
            out.extend_from_slice(&self.sequence[..self.matched]);
            self.matched = usize::from(self.sequence.first() == Some(&byte));
            if self.matched == 0 {
                out.push(byte);
            }
        }
        Typed::Forward(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences() {
        assert_eq!(parse("ctrl-p,ctrl-q").unwrap(), DEFAULT);
        assert_eq!(parse("a,ctrl-@,ctrl-[,ctrl-_").unwrap(), [b'a', 0, 27, 31]);
        assert_eq!(parse("ctrl-A").unwrap_err(), "Unknown character: 'ctrl-A'");
    }

    #[test]
    fn detection_across_reads() {
        let mut detector = Detector::new(vec![16, 17]);
        assert_eq!(detector.feed(b"ab\x10"), Typed::Forward(b"ab".to_vec()));
        assert_eq!(detector.feed(b"c"), Typed::Forward(b"\x10c".to_vec()));
        assert_eq!(detector.feed(b"\x10\x10"), Typed::Forward(b"\x10".to_vec()));
        assert_eq!(detector.feed(b"\x11x"), Typed::Detach(vec![]));
    }
}
