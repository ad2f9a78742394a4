//! The local time zone, from `TZ` or /etc/localtime (TZif, RFC 8536). Without either, UTC.

use std::path::PathBuf;

pub(super) struct Zone {
    /// From when on (seconds since 1970), which kind.
    transitions: Vec<(i64, usize)>,
    /// Seconds east of UTC, and the abbreviation.
    kinds: Vec<(i32, String)>,
}

impl Zone {
    pub(super) fn local() -> Self {
        zone_file()
            .and_then(|path| std::fs::read(path).ok())
            .and_then(|data| parse(&data))
            .unwrap_or_else(Self::utc)
    }

    fn utc() -> Self {
        Self { transitions: Vec::new(), kinds: vec![(0, "UTC".into())] }
    }

    /// The offset from UTC and the zone's abbreviation at a time.
    pub(super) fn at(&self, seconds: i64) -> (i32, &str) {
        let after = self.transitions.partition_point(|(from, _)| *from <= seconds);
        let kind = after.checked_sub(1).map_or(0, |last| self.transitions[last].1);
        let (offset, name) = &self.kinds[kind];
        (*offset, name)
    }
}

fn zone_file() -> Option<PathBuf> {
    match std::env::var("TZ") {
        Err(_) => Some("/etc/localtime".into()),
        Ok(name) if name.is_empty() || name == "UTC" => None,
        Ok(name) => match name.trim_start_matches(':') {
            path if path.starts_with('/') => Some(path.into()),
            name if name.split('/').any(|part| part == "..") => None,
            name => Some(PathBuf::from("/usr/share/zoneinfo").join(name)),
        },
    }
}

/// Reads the 64-bit block of a version 2+ file.
fn parse(data: &[u8]) -> Option<Zone> {
    let first = Header::read(data)?;
    let second = data.get(44 + first.body(4)..)?;
    let header = Header::read(second)?;
    let mut rest = second.get(44..)?;
    let mut take = |length: usize| {
        let (head, tail) = rest.split_at_checked(length)?;
        rest = tail;
        Some(head)
    };
    let times = take(header.times * 8)?;
    let indices = take(header.times)?;
    let types = take(header.types * 6)?;
    let names = take(header.chars)?;
    let mut kinds = Vec::new();
    for entry in types.chunks_exact(6) {
        let offset = i32::from_be_bytes(entry[..4].try_into().ok()?);
        let name = names.get(usize::from(entry[5])..)?.split(|b| *b == 0).next()?;
        kinds.push((offset, String::from_utf8_lossy(name).into_owned()));
    }
    let mut transitions = Vec::new();
    for (time, index) in times.chunks_exact(8).zip(indices) {
        let index = usize::from(*index);
        kinds.get(index)?;
        transitions.push((i64::from_be_bytes(time.try_into().ok()?), index));
    }
    (!kinds.is_empty()).then_some(Zone { transitions, kinds })
}

struct Header {
    utc_flags: usize,
    standard_flags: usize,
    leaps: usize,
    times: usize,
    types: usize,
    chars: usize,
}

impl Header {
    fn read(data: &[u8]) -> Option<Self> {
        if data.get(..4)? != b"TZif" || *data.get(4)? < b'2' {
            return None;
        }
        let count = |at: usize| -> Option<usize> {
            usize::try_from(u32::from_be_bytes(data.get(at..at + 4)?.try_into().ok()?)).ok()
        };
        Some(Self {
            utc_flags: count(20)?,
            standard_flags: count(24)?,
            leaps: count(28)?,
            times: count(32)?,
            types: count(36)?,
            chars: count(40)?,
        })
    }

    /// Bytes of the data block that follows, with times of this size.
    fn body(&self, time_size: usize) -> usize {
        self.times * (time_size + 1)
            + self.types * 6
            + self.chars
            + self.leaps * (time_size + 4)
            + self.standard_flags
            + self.utc_flags
    }
}
