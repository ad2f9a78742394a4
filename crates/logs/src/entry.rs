//! One logged line, or a piece of a long one.

use model::Timestamp;

/// Which standard stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// A line as it was written, or a piece of it when it was longer than 16 KiB or the output ended without a newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub stream: Stream,
    /// Pieces of one line carry the time of the first.
    pub at: Timestamp,
    /// The bytes, with the newline unless this is a piece that others follow or the end of the output.
    pub line: Vec<u8>,
}

impl Entry {
    /// The bytes without the newline, and whether there was one.
    pub fn text(&self) -> (&[u8], bool) {
        match self.line.strip_suffix(b"\n") {
            Some(text) => (text, true),
            None => (&self.line, false),
        }
    }
}
