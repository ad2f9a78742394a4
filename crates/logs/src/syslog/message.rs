//! One message, in each of the formats.

use crate::config::invalid;
use crate::{Entry, Result, Stream};
use model::Timestamp;
use time::{OffsetDateTime, UtcOffset, macros::format_description};

/// `syslog-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The BSD form without a host, as for a local socket; Docker's default for every address.
    Unix,
    Rfc3164,
    Rfc5424,
    Rfc5424Micro,
}

impl Format {
    pub(super) fn parse(text: &str) -> Result<Self> {
        match text {
            "" => Ok(Self::Unix),
            "rfc3164" => Ok(Self::Rfc3164),
            "rfc5424" => Ok(Self::Rfc5424),
            "rfc5424micro" => Ok(Self::Rfc5424Micro),
            _ => Err(invalid("syslog-format", text, "expected rfc3164, rfc5424 or rfc5424micro")),
        }
    }
}

/// What all messages of one container have.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) facility: u8,
    pub(super) host: &'a str,
    pub(super) tag: &'a str,
    pub(super) process: i32,
}

/// RFC 5424 section 6.2.1: error and informational.
const ERROR: u8 = 3;
const INFO: u8 = 6;

/// The message as it goes out, with its line end. Over TLS, RFC 5424 messages have their length before them
/// (RFC 5425, section 4.3).
pub(super) fn render(format: Format, tls: bool, about: &About<'_>, entry: &Entry) -> Vec<u8> {
    let severity = if entry.stream == Stream::Stderr { ERROR } else { INFO };
    let priority = u16::from(about.facility) * 8 + u16::from(severity);
    let at = local(entry.at);
    let About { host, tag, process, .. } = about;
    let head = match format {
        Format::Unix => format!("<{priority}>{} {tag}[{process}]: ", stamp(at)),
        Format::Rfc3164 => format!("<{priority}>{} {host} {tag}[{process}]: ", stamp(at)),
        Format::Rfc5424 => format!("<{priority}>1 {} {host} {tag} {process} {tag} - ", seconds(at)),
        Format::Rfc5424Micro => format!("<{priority}>1 {} {host} {tag} {process} {tag} - ", micros(at)),
    };
    let mut message = head.into_bytes();
    message.extend_from_slice(entry.text().0);
    message.push(b'\n');
    if tls && matches!(format, Format::Rfc5424 | Format::Rfc5424Micro) {
        let length = format!("{} ", message.len());
        message.splice(0..0, length.into_bytes());
    }
    message
}

/// The BSD form has local time without saying so (RFC 3164, section 4.1.2).
fn local(at: Timestamp) -> OffsetDateTime {
    let at = at.date_time();
    at.to_offset(UtcOffset::local_offset_at(at).unwrap_or(UtcOffset::UTC))
}

/// `Nov  2 15:04:05`.
fn stamp(at: OffsetDateTime) -> String {
    let parts = format_description!("[month repr:short] [day padding:space] [hour]:[minute]:[second]");
    at.format(parts).unwrap_or_default()
}

fn seconds(at: OffsetDateTime) -> String {
    let parts = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    at.format(parts).unwrap_or_default() + &zone(at)
}

fn micros(at: OffsetDateTime) -> String {
    let parts = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]");
    at.format(parts).unwrap_or_default() + &zone(at)
}

fn zone(at: OffsetDateTime) -> String {
    let (hours, minutes, _) = at.offset().as_hms();
    match at.offset().whole_seconds() {
        0 => "Z".to_owned(),
        seconds => {
            let sign = if seconds < 0 { '-' } else { '+' };
            format!("{sign}{:02}:{:02}", hours.unsigned_abs(), minutes.unsigned_abs())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: Format, tls: bool, expect: &str) {
        let about = About { facility: 3, host: "host", tag: "web", process: 7 };
        // In the zone of whoever runs the test.
        let at = Timestamp::from_unix(1_762_095_845, 120_000_000);
        let entry = Entry { stream: Stream::Stderr, at, line: b"hi there\n".to_vec() };
        let expect = expect
            .replace("STAMP", &stamp(local(at)))
            .replace("SECONDS", &seconds(local(at)))
            .replace("MICROS", &micros(local(at)));
        assert_eq!(String::from_utf8(render(format, tls, &about, &entry)).unwrap(), expect);
    }

    #[test]
    fn messages_look_as_dockers_do() {
        check(Format::Unix, false, "<27>STAMP web[7]: hi there\n");
        check(Format::Rfc3164, false, "<27>STAMP host web[7]: hi there\n");
        check(Format::Rfc5424, false, "<27>1 SECONDS host web 7 web - hi there\n");
        check(Format::Rfc5424Micro, false, "<27>1 MICROS host web 7 web - hi there\n");
        let at = Timestamp::from_unix(1_762_095_845, 120_000_000).date_time();
        assert_eq!((stamp(at).as_str(), seconds(at).as_str()), ("Nov  2 15:04:05", "2025-11-02T15:04:05Z"));
        assert_eq!(micros(at), "2025-11-02T15:04:05.120000Z");
        let east = at.to_offset(UtcOffset::from_hms(-3, -30, 0).unwrap());
        assert_eq!(seconds(east), "2025-11-02T11:34:05-03:30");
    }

    #[test]
    fn over_tls_the_length_comes_first() {
        let about = About { facility: 0, host: "h", tag: "t", process: 1 };
        let entry = Entry { stream: Stream::Stdout, at: Timestamp::from_unix(0, 0), line: b"x\n".to_vec() };
        let message = String::from_utf8(render(Format::Rfc5424, true, &about, &entry)).unwrap();
        let (length, rest) = message.split_once(' ').unwrap();
        assert_eq!(length.parse::<usize>().unwrap(), rest.len());
    }
}
