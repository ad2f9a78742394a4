//! Raw output into lines, and over-long lines into pieces, as Docker's copier does (moby `daemon/logger/copier.go`).

use model::Timestamp;

/// The longest piece: Docker's copier buffer.
pub(crate) const MAX_LINE: usize = 16 << 10;

/// The unfinished line of one stream.
#[derive(Debug, Default)]
pub struct Splitter {
    pending: Vec<u8>,
    /// The time of the first piece of the line being cut, once a piece was given out.
    piece_time: Option<Timestamp>,
}

impl Splitter {
    /// Feed bytes read at `now`; `emit` gets each whole line or piece without a newline, its time, and whether the
    /// line ends with it.
    pub fn feed(&mut self, mut bytes: &[u8], now: Timestamp, mut emit: impl FnMut(&[u8], Timestamp, bool)) {
        while !bytes.is_empty() {
            let room = MAX_LINE - self.pending.len();
            let window = &bytes[..bytes.len().min(room)];
            match window.iter().position(|b| *b == b'\n') {
                Some(end) => {
                    let at = self.piece_time.take().unwrap_or(now);
                    self.give(&bytes[..end], |line| emit(line, at, true));
                    bytes = &bytes[end + 1..];
                }
                None if window.len() == room => {
                    let at = *self.piece_time.get_or_insert(now);
                    self.give(window, |piece| emit(piece, at, false));
                    bytes = &bytes[room..];
                }
                None => {
                    self.pending.extend_from_slice(bytes);
                    return;
                }
            }
        }
    }

    /// The output ended: what is left is a piece without a newline.
    pub fn finish(&mut self, now: Timestamp, emit: impl FnOnce(&[u8], Timestamp, bool)) {
        if !self.pending.is_empty() {
            let at = self.piece_time.take().unwrap_or(now);
            emit(&std::mem::take(&mut self.pending), at, false);
        }
    }

    /// Bytes that wait for the end of their line.
    pub fn pending(&self) -> &[u8] {
        &self.pending
    }

    fn give(&mut self, tail: &[u8], emit: impl FnOnce(&[u8])) {
        if self.pending.is_empty() {
            emit(tail);
        } else {
            self.pending.extend_from_slice(tail);
            emit(&self.pending);
            self.pending.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<(usize, bool)> {
        let mut splitter = Splitter::default();
        let mut seen = Vec::new();
        for chunk in chunks {
            splitter.feed(chunk, Timestamp::ZERO, |l, _, end| seen.push((l.len(), end)));
        }
        splitter.finish(Timestamp::ZERO, |l, _, end| seen.push((l.len(), end)));
        seen
    }

    #[test]
    fn lines_are_joined_across_reads_and_cut_at_16_kib() {
        assert_eq!(split(&[b"a\n\nbc", b"d\n", b"e"]), [(1, true), (0, true), (3, true), (1, false)]);
        let long = vec![b'x'; 40_000];
        assert_eq!(split(&[&long, b"\n"]), [(16_384, false), (16_384, false), (7_232, true)]);
        let exact = [vec![b'x'; 16_384], vec![b'\n']].concat();
        assert_eq!(split(&[&exact]), [(16_384, false), (0, true)]);
    }

    #[test]
    fn pieces_carry_the_time_of_the_first() {
        let (t1, t2) = (Timestamp::from_unix(1, 0), Timestamp::from_unix(2, 0));
        let mut splitter = Splitter::default();
        let mut seen = Vec::new();
        splitter.feed(&vec![b'x'; 16_384], t1, |_, at, _| seen.push(at));
        splitter.feed(b"y\nz\n", t2, |_, at, _| seen.push(at));
        assert_eq!(seen, [t1, t1, t2]);
    }
}
