//! Points in time, written as Go's `time.RFC3339Nano` writes them: UTC, trailing zeros of the fraction dropped.

use ::time::{OffsetDateTime, format_description::well_known::Rfc3339};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A point in time with nanoseconds, in UTC. Its zero is Go's zero time, `0001-01-01T00:00:00Z`, which the Engine API
/// uses for "never".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(OffsetDateTime);

/// The text is no RFC 3339 time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid time {0:?}: expected RFC 3339, such as 2026-11-22T13:08:44.5Z")]
pub struct InvalidTimestamp(pub String);

impl Timestamp {
    /// Go's zero time.
    pub const ZERO: Self = Self(::time::macros::datetime!(0001-01-01 00:00:00 UTC));

    pub fn now() -> Self {
        Self(OffsetDateTime::now_utc())
    }

    /// From seconds and nanoseconds since 1970; out-of-range values saturate to [`Timestamp::ZERO`].
    pub fn from_unix(seconds: i64, nanos: u32) -> Self {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(seconds) * 1_000_000_000 + i128::from(nanos))
            .map_or(Self::ZERO, Self)
    }

    pub fn unix_seconds(self) -> i64 {
        self.0.unix_timestamp()
    }

    pub fn unix_nanos(self) -> i128 {
        self.0.unix_timestamp_nanos()
    }

    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    pub fn date_time(self) -> OffsetDateTime {
        self.0
    }
}

impl Default for Timestamp {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = self.0;
        let (y, mo, d, h, mi, s) = (t.year(), u8::from(t.month()), t.day(), t.hour(), t.minute(), t.second());
        write!(f, "{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}")?;
        let fraction = format!("{:09}", t.nanosecond());
        match fraction.trim_end_matches('0') {
            "" => f.write_str("Z"),
            digits => write!(f, ".{digits}Z"),
        }
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;
    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        OffsetDateTime::parse(text, &Rfc3339)
            .map(|t| Self(t.to_offset(::time::UtcOffset::UTC)))
            .map_err(|_| InvalidTimestamp(text.to_owned()))
    }
}

impl TryFrom<String> for Timestamp {
    type Error = InvalidTimestamp;
    fn try_from(text: String) -> Result<Self, InvalidTimestamp> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(t: Timestamp) -> String {
        t.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_as_go_writes_it() {
        assert_eq!(Timestamp::ZERO.to_string(), "0001-01-01T00:00:00Z");
        assert_eq!(Timestamp::from_unix(1, 500_000_000).to_string(), "1970-01-01T00:00:01.5Z");
        let t: Timestamp = "2026-11-22T14:08:44.000000001+01:00".parse().unwrap();
        assert_eq!(t.to_string(), "2026-11-22T13:08:44.000000001Z");
    }
}
