//! Points in time as Docker shows and reads them. Local time follows `TZ` or /etc/localtime.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

mod zone;

/// Seconds since 1970.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64)
}

fn local_zone() -> &'static zone::Zone {
    static ZONE: OnceLock<zone::Zone> = OnceLock::new();
    ZONE.get_or_init(zone::Zone::local)
}

fn local(seconds: i64, nanos: u32) -> (OffsetDateTime, &'static str) {
    let (offset, name) = local_zone().at(seconds);
    let utc = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let utc = utc + time::Duration::nanoseconds(nanos.into());
    let offset = UtcOffset::from_whole_seconds(offset).unwrap_or(UtcOffset::UTC);
    (utc.to_offset(offset), name)
}

fn offset_text(at: &OffsetDateTime, colon: &str) -> String {
    let (hours, minutes, _) = at.offset().as_hms();
    let sign = if at.offset().is_negative() { '-' } else { '+' };
    format!("{sign}{:02}{colon}{:02}", hours.abs(), minutes.abs())
}

fn date_time(at: &OffsetDateTime, separator: char) -> String {
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    format!("{year:04}-{:02}-{day:02}{separator}{hour:02}:{minute:02}:{second:02}", u8::from(month))
}

/// Go's `time.Time.String` in local time: `2025-05-30 12:07:14 +0200 CEST`.
pub fn go_string(seconds: i64) -> String {
    let (at, name) = local(seconds, 0);
    format!("{} {} {name}", date_time(&at, ' '), offset_text(&at, ""))
}

/// Go's `time.Time.String` of an RFC 3339 text, in the text's own zone, with what fraction it has.
pub fn go_string_of(text: &str) -> String {
    let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) else { return text.to_owned() };
    let fraction = match at.nanosecond() {
        0 => String::new(),
        nanos => format!(".{nanos:09}").trim_end_matches('0').to_owned(),
    };
    let zone = if at.offset().is_utc() { "UTC".to_owned() } else { offset_text(&at, "") };
    format!("{}{fraction} {} {zone}", date_time(&at, ' '), offset_text(&at, ""))
}

/// RFC 3339 in local time: `2025-05-30T12:07:14+02:00`.
pub fn rfc3339(seconds: i64) -> String {
    let (at, _) = local(seconds, 0);
    format!("{}{}", date_time(&at, 'T'), zulu(&at))
}

/// RFC 3339 in local time with nine decimals, as `docker events` prints.
pub fn rfc3339_nano(nanos: i64) -> String {
    let (seconds, rest) = (nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000));
    let (at, _) = local(seconds, 0);
    format!("{}.{rest:09}{}", date_time(&at, 'T'), zulu(&at))
}

fn zulu(at: &OffsetDateTime) -> String {
    if at.offset().is_utc() { "Z".to_owned() } else { offset_text(at, ":") }
}

/// Go's ANSIC layout in the time's own zone, as `docker version` shows build times: `Fri May 30 12:07:14 2025`.
pub fn ansic(text: &str) -> Option<String> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    let (weekday, month) = (at.weekday().to_string(), month.to_string());
    Some(format!("{} {} {day:2} {hour:02}:{minute:02}:{second:02} {year}", &weekday[..3], &month[..3]))
}

/// `--since` and `--until`: a duration back from now, a date with or without time and zone, or seconds since 1970.
/// The result is `SECONDS.NANOSECONDS`, as the API takes it; what is not understood is passed on for the engine to
/// refuse.
pub fn timestamp_query(text: &str) -> String {
    if let Ok(back) = super::units::parse_duration(text) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i64);
        let at = now - back;
        return format!("{}.{:09}", at.div_euclid(1_000_000_000), at.rem_euclid(1_000_000_000));
    }
    match parse_date(text) {
        Some(at) => format!("{}.{:09}", at.unix_timestamp(), at.nanosecond()),
        None => text.to_owned(),
    }
}

/// `2006-01-02[T15[:04[:05[.999]]]][zone]`; without a zone in local time.
fn parse_date(text: &str) -> Option<OffsetDateTime> {
    if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
        return Some(at);
    }
    let (date, rest) = match text.split_once('T') {
        Some((date, rest)) => (date, rest),
        None => (text.trim_end_matches('Z'), if text.ends_with('Z') { "Z" } else { "" }),
    };
    if date.len() != 10 {
        return None;
    }
    let zone_at = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(zone_at);
    let clock = match clock.matches(':').count() {
        _ if clock.is_empty() => "00:00:00".to_owned(),
        0 => format!("{clock}:00:00"),
        1 => format!("{clock}:00"),
        _ => clock.to_owned(),
    };
    let utc = OffsetDateTime::parse(&format!("{date}T{clock}Z"), &Rfc3339).ok()?;
    if !zone.is_empty() {
        return OffsetDateTime::parse(&format!("{date}T{clock}{zone}"), &Rfc3339).ok();
    }
    let (offset, _) = local_zone().at(utc.unix_timestamp());
    Some(utc - time::Duration::seconds(offset.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let at = |text| parse_date(text).map(OffsetDateTime::unix_timestamp);
        assert_eq!(at("2013-01-02T13:23:37Z"), Some(1_357_133_017));
        assert_eq!(at("2013-01-02T13:23:37+01:00"), Some(1_357_129_417));
        assert_eq!(at("2013-01-02T13:23Z"), Some(1_357_132_980));
        assert_eq!(at("2013-01-02Z"), Some(1_357_084_800));
        assert_eq!(at("yesterday"), None);
        assert_eq!(timestamp_query("1700000000"), "1700000000");
        assert_eq!(ansic("2025-05-03T12:07:14.5+00:00").as_deref(), Some("Sat May  3 12:07:14 2025"));
    }
}
