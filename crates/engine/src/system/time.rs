//! Points in time as clients write them in `since`, `until` and filters (moby `api/types/time/timestamp.go`).

use model::Timestamp;

/// Seconds since 1970 with an optional fraction, RFC 3339 (also without zone, seconds, or time of day: then UTC), or a
/// Go duration such as `1h30m`, which means that long ago. None when it is none of these.
pub fn parse(text: &str) -> Option<Timestamp> {
    unix(text).or_else(|| rfc3339(text)).or_else(|| {
        let ago = duration(text)?;
        let now = Timestamp::now().unix_nanos().checked_sub(ago)?;
        from_nanos(now)
    })
}

fn from_nanos(nanos: i128) -> Option<Timestamp> {
    let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).ok()?;
    Some(Timestamp::from_unix(seconds, u32::try_from(nanos.rem_euclid(1_000_000_000)).ok()?))
}

/// `1136073600.000000001`
fn unix(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if seconds.is_empty() || !digits(seconds.strip_prefix('-').unwrap_or(seconds)) || !digits(fraction) {
        return None;
    }
    let nanos = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Some(Timestamp::from_unix(seconds.parse().ok()?, nanos))
}

/// RFC 3339, with what may be missing filled in.
fn rfc3339(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_once('T').unwrap_or((text, "00:00:00Z"));
    let zone_at = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (clock, zone) = time.split_at(zone_at);
    let clock = match clock.matches(':').count() {
        0 => format!("{clock}:00:00"),
        1 => format!("{clock}:00"),
        _ => clock.to_owned(),
    };
    let zone = if zone.is_empty() { "Z" } else { zone };
    format!("{date}T{clock}{zone}").parse().ok()
}

/// Nanoseconds of a Go duration (`time.ParseDuration`).
pub fn duration(text: &str) -> Option<i128> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: f64 = 0.0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let nanos = match unit {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * nanos;
        rest = next;
    }
    // Go's durations are 64 bits wide.
    (total < i64::MAX as f64).then_some(if negative { -(total as i128) } else { total as i128 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Option<&str>) {
        assert_eq!(parse(text).map(|t| t.to_string()).as_deref(), expect, "{text}");
    }

    #[test]
    fn all_ways_to_write_a_time_are_read() {
        check("0", Some("1970-01-01T00:00:00Z"));
        check("1136073600.000000001", Some("2006-01-01T00:00:00.000000001Z"));
        check("1136073600.5", Some("2006-01-01T00:00:00.5Z"));
        check("2006-01-02T15:04:05.25+02:00", Some("2006-01-02T13:04:05.25Z"));
        check("2006-01-02T15:04:05", Some("2006-01-02T15:04:05Z"));
        check("2006-01-02T15:04", Some("2006-01-02T15:04:00Z"));
        check("2006-01-02T15Z", Some("2006-01-02T15:00:00Z"));
        check("2006-01-02", Some("2006-01-02T00:00:00Z"));
        for bad in ["", "x", "2006", "2006-13-01", "1.2.3", "1x", "-", "12-01-02"] {
            let unix = bad == "2006";
            assert_eq!(parse(bad).is_some(), unix, "{bad}");
        }
    }

    #[test]
    fn durations_are_gos() {
        assert_eq!(duration("1h15m30.918273645s"), Some(4_530_918_273_645));
        assert_eq!(duration("-5s"), Some(-5_000_000_000));
        assert_eq!(duration("100us"), Some(100_000));
        for bad in ["", "-", "3", "h", "1d", "1.2.3s", "s1"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}
