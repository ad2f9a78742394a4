//! One entry as a client gets it.

use super::{Options, attributes};
use crate::container::Record;
use ::logs::{Entry, Stream};
use bytes::{BufMut, BytesMut};
use model::Timestamp;

#[derive(Debug, Clone)]
pub(super) struct Format {
    stdout: bool,
    stderr: bool,
    timestamps: bool,
    /// Docker's frames rather than raw bytes.
    framed: bool,
    /// Before each line, with `--details`.
    details: Option<String>,
}

impl Format {
    pub(super) fn new(options: &Options, record: &Record) -> Self {
        Self {
            stdout: options.stdout,
            stderr: options.stderr,
            timestamps: options.timestamps,
            framed: !record.config.tty,
            details: options.details.then(|| details(record)),
        }
    }

    /// Appends the entry, unless its stream is not wanted.
    pub(super) fn write(&self, entry: &Entry, out: &mut BytesMut) {
        if !entry.is_from(self.stdout, self.stderr) {
            return;
        }
        let mut prefix = String::new();
        if self.timestamps {
            prefix.push_str(&fixed(entry.at));
            prefix.push(' ');
        }
        if let Some(details) = &self.details {
            prefix.push_str(details);
            prefix.push(' ');
        }
        if self.framed {
            // moby `stdcopy`: stream, three zeros, length.
            let length = u32::try_from(prefix.len() + entry.line.len()).unwrap_or(u32::MAX);
            out.put_slice(&[if entry.stream == Stream::Stdout { 1 } else { 2 }, 0, 0, 0]);
            out.put_u32(length);
        }
        out.put_slice(prefix.as_bytes());
        out.put_slice(&entry.line);
    }
}

/// `2026-11-22T13:08:44.500000000Z`: all nine digits, so that columns line up (moby `RFC3339NanoFixed`).
fn fixed(at: Timestamp) -> String {
    let text = at.to_string();
    let text = text.trim_end_matches('Z');
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{seconds}.{fraction:0<9}Z")
}

/// The log's attributes as `key=value,…`, in order, percent-encoded where needed.
fn details(record: &Record) -> String {
    let pairs = attributes(record).into_iter().map(|(k, v)| format!("{}={}", escape(&k), escape(&v)));
    pairs.collect::<Vec<_>>().join(",")
}

/// Go's `url.QueryEscape`.
fn escape(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(b).to_string(),
            b' ' => "+".to_owned(),
            _ => format!("%{b:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::testing;
    use model::Id;

    fn written(options: &Options, tty: bool) -> Vec<u8> {
        let mut record = testing::record(Id::random(), "c");
        record.config.tty = tty;
        record.config.labels.insert("tier".into(), "front end".into());
        record.host_config.log_config.config.insert("labels".into(), "tier,none".into());
        let entry = Entry {
            stream: Stream::Stderr,
            at: Timestamp::from_unix(1, 500_000_000),
            line: b"hi\n".to_vec(),
        };
        let mut out = BytesMut::new();
        Format::new(options, &record).write(&entry, &mut out);
        out.to_vec()
    }

    #[test]
    fn entries_are_framed_without_a_terminal() {
        let all = Options { stdout: true, stderr: true, ..Options::default() };
        assert_eq!(written(&all, false), b"\x02\0\0\0\0\0\0\x03hi\n");
        assert_eq!(written(&all, true), b"hi\n");
        assert_eq!(written(&Options { stdout: true, ..Options::default() }, true), b"");
    }

    #[test]
    fn times_have_nine_digits_and_details_are_escaped() {
        let options = Options { stderr: true, timestamps: true, details: true, ..Options::default() };
        assert_eq!(written(&options, true), b"1970-01-01T00:00:01.500000000Z tier=front+end hi\n");
    }
}
