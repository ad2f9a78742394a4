//! The `local` driver's file: records without escapes, with their length at both ends so that they can be read backwards.
//!
//! ```text
//! length: u32 LE │ nanoseconds since 1970: i64 LE │ flags: u8 │ bytes… │ length again: u32 LE
//! ```
//! `length` counts time, flags and bytes. Flag bit 0: standard error; bit 1: the line ends here (its newline is not
//! stored). Docker's own `local` files are protobuf records and private to Docker by its documentation, so this format
//! is Lichen's.

use crate::{Entry, Stream, split::MAX_LINE};
use model::Timestamp;

const STDERR: u8 = 1;
const ENDS_LINE: u8 = 2;
/// Time and flags.
const FIXED: usize = 9;
/// Both lengths.
pub(crate) const FRAMING: usize = 8;

/// Append one record.
pub fn encode(out: &mut Vec<u8>, stream: Stream, at: Timestamp, line: &[u8], newline: bool) {
    let length = u32::try_from(FIXED + line.len()).expect("lines are cut at 16 KiB").to_le_bytes();
    let flags = if stream == Stream::Stderr { STDERR } else { 0 } | if newline { ENDS_LINE } else { 0 };
    out.extend_from_slice(&length);
    out.extend_from_slice(&i64::try_from(at.unix_nanos()).unwrap_or(0).to_le_bytes());
    out.push(flags);
    out.extend_from_slice(line);
    out.extend_from_slice(&length);
}

/// What a buffer starts with.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// A record, and how many bytes it took.
    Record(Entry, usize),
    /// The beginning of one.
    Incomplete,
    /// Not a record.
    Damaged,
}

/// The first record of `bytes`.
pub fn decode(bytes: &[u8]) -> Step {
    let Some((head, rest)) = bytes.split_first_chunk::<4>() else { return Step::Incomplete };
    let length = u32::from_le_bytes(*head) as usize;
    if !(FIXED..=FIXED + MAX_LINE).contains(&length) {
        return Step::Damaged;
    }
    let Some((body, rest)) = rest.split_at_checked(length) else { return Step::Incomplete };
    let Some(tail) = rest.first_chunk::<4>() else { return Step::Incomplete };
    let Some((nanos, [flags, line @ ..])) = body.split_first_chunk::<8>() else { return Step::Damaged };
    if tail != head || flags & !(STDERR | ENDS_LINE) != 0 {
        return Step::Damaged;
    }
    let nanos = i64::from_le_bytes(*nanos);
    let at = Timestamp::from_unix(
        nanos.div_euclid(1_000_000_000),
        u32::try_from(nanos.rem_euclid(1_000_000_000)).expect("a remainder of 10^9"),
    );
    let mut line = line.to_vec();
    if flags & ENDS_LINE != 0 {
        line.push(b'\n');
    }
    let stream = if flags & STDERR != 0 { Stream::Stderr } else { Stream::Stdout };
    Step::Record(Entry { stream, at, line }, length + FRAMING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_back_and_damage_is_seen() {
        let at = Timestamp::from_unix(1_800_000_000, 7);
        let mut bytes = Vec::new();
        encode(&mut bytes, Stream::Stderr, at, b"a\0b", true);
        let entry = Entry { stream: Stream::Stderr, at, line: b"a\0b\n".to_vec() };
        assert_eq!(decode(&bytes), Step::Record(entry, bytes.len()));
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), Step::Incomplete);
        }
        for (at, value) in [(3, 1), (12, 9), (bytes.len() - 1, 1)] {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            assert_eq!(decode(&damaged), Step::Damaged, "byte {at}");
        }
    }
}
