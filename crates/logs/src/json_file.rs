//! Docker's `json-file`: one JSON object a line, `{"log":"…\n","stream":"stdout","attrs":{…},"time":"…"}`.
//!
//! Programs that collect logs parse these files, so keys, order and escapes are Docker's
//! (moby `daemon/logger/jsonfilelog/jsonlog`): `<`, `>`, `&`, U+2028 and U+2029 are escaped, control characters but
//! newline and carriage return as `\u00XX`, each invalid UTF-8 byte becomes `\ufffd`.

use crate::{Entry, Stream};
use model::Timestamp;
use serde::Deserialize;
use std::borrow::Cow;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Append one line. `attrs` is a JSON object, or empty.
pub fn encode(out: &mut Vec<u8>, stream: Stream, at: Timestamp, line: &[u8], newline: bool, attrs: &str) {
    out.extend_from_slice(b"{");
    if newline || !line.is_empty() {
        out.extend_from_slice(b"\"log\":\"");
        escape(out, line);
        out.extend_from_slice(if newline { b"\\n\"," } else { b"\"," });
    }
    out.extend_from_slice(b"\"stream\":\"");
    out.extend_from_slice(stream.name().as_bytes());
    out.extend_from_slice(b"\",");
    if !attrs.is_empty() {
        out.extend_from_slice(b"\"attrs\":");
        out.extend_from_slice(attrs.as_bytes());
        out.push(b',');
    }
    out.extend_from_slice(b"\"time\":\"");
    out.extend_from_slice(at.to_string().as_bytes());
    out.extend_from_slice(b"\"}\n");
}

fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        escape_text(out, chunk.valid());
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

fn escape_text(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut clean = 0;
    let mut i = 0;
    while i < bytes.len() {
        let b = bytes[i];
        let line_separator = b == 0xe2 && bytes[i + 1] == 0x80 && bytes[i + 2] & 0xfe == 0xa8;
        if !line_separator && b >= 0x20 && !matches!(b, b'"' | b'\\' | b'<' | b'>' | b'&') {
            i += 1;
            continue;
        }
        out.extend_from_slice(&bytes[clean..i]);
        match b {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', b]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            _ if line_separator => {
                out.extend_from_slice(b"\\u202");
                out.push(HEX[usize::from(bytes[i + 2] & 0xf)]);
                i += 2;
            }
            _ => out.extend_from_slice(&[
                b'\\',
                b'u',
                b'0',
                b'0',
                HEX[usize::from(b >> 4)],
                HEX[usize::from(b & 15)],
            ]),
        }
        i += 1;
        clean = i;
    }
    out.extend_from_slice(&bytes[clean..]);
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    log: Cow<'a, str>,
    stream: &'a str,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

/// One line without its newline; none when it is damaged.
pub fn decode(line: &[u8]) -> Option<Entry> {
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    let stream = match line.stream {
        "stdout" => Stream::Stdout,
        "stderr" => Stream::Stderr,
        _ => return None,
    };
    Some(Entry { stream, at: line.time.parse().ok()?, line: line.log.into_owned().into_bytes() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &[u8], expect: &str) {
        let mut out = Vec::new();
        encode(&mut out, Stream::Stdout, Timestamp::from_unix(0, 120), line, true, "");
        let expect = format!(
            "{{\"log\":\"{expect}\\n\",\"stream\":\"stdout\",\"time\":\"1970-01-01T00:00:00.00000012Z\"}}\n"
        );
        assert_eq!(String::from_utf8(out).unwrap(), expect);
    }

    #[test]
    fn bytes_are_escaped_as_docker_escapes_them() {
        check(b"plain", "plain");
        check(b"\ta\"b\\c\r<&>\x1b", r#"\u0009a\"b\\c\r\u003c\u0026\u003e\u001b"#);
        check("ü\u{2028}\u{2029}\u{2027}\u{7f}".as_bytes(), "ü\\u2028\\u2029\u{2027}\u{7f}");
        check(b"\xff\xe2\x82|\xc3", r"\ufffd\ufffd\ufffd|\ufffd");
    }

    #[test]
    fn attributes_stand_before_the_time() {
        let mut out = Vec::new();
        encode(&mut out, Stream::Stderr, Timestamp::ZERO, b"x", false, r#"{"a":"b"}"#);
        let expect = r#"{"log":"x","stream":"stderr","attrs":{"a":"b"},"time":"0001-01-01T00:00:00Z"}"#;
        assert_eq!(String::from_utf8(out).unwrap(), format!("{expect}\n"));
    }

    #[test]
    fn what_is_written_is_read_and_damage_is_not() {
        let at = Timestamp::from_unix(5, 1);
        let mut out = Vec::new();
        encode(&mut out, Stream::Stderr, at, b"a\tb", true, "");
        let line = out.strip_suffix(b"\n").unwrap();
        assert_eq!(decode(line).unwrap(), Entry { stream: Stream::Stderr, at, line: b"a\tb\n".to_vec() });
        for cut in 0..line.len() {
            assert_eq!(decode(&line[..cut]), None, "cut at {cut}");
        }
    }
}
