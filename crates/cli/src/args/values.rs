//! Grammars of flag values, with the messages of Go's strconv, time and go-units.

use crate::format::units;
use crate::template::go_quote;

pub(super) fn bool(text: &str) -> Result<(), String> {
    match parse_bool(text) {
        Some(_) => Ok(()),
        None => Err(format!("strconv.ParseBool: parsing {}: invalid syntax", go_quote(text))),
    }
}

pub(super) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn number(text: &str, function: &str, min: i128, max: i128) -> Result<(), String> {
    let value = parse_number(text);
    let problem = match value {
        None => "invalid syntax",
        // An unsigned number has no sign at all.
        Some(_) if min == 0 && text.starts_with(['+', '-']) => "invalid syntax",
        Some(value) if value < min || value > max => "value out of range",
        Some(_) => return Ok(()),
    };
    Err(format!("strconv.{function}: parsing {}: {problem}", go_quote(text)))
}

/// Decimal, or with a prefix (`0x`, `0o`, `0b`, `0`) another base, as Go's base 0.
pub(super) fn parse_number(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let lower = digits.to_ascii_lowercase();
    let (radix, body) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    let value = i128::from_str_radix(body, radix).ok()?;
    Some(if negative { -value } else { value })
}

pub(super) fn int(text: &str) -> Result<(), String> {
    number(text, "ParseInt", i64::MIN.into(), i64::MAX.into())
}

pub(super) fn uint(text: &str) -> Result<(), String> {
    number(text, "ParseUint", 0, u64::MAX.into())
}

pub(super) fn uint16(text: &str) -> Result<(), String> {
    number(text, "ParseUint", 0, u16::MAX.into())
}

pub(super) fn duration(text: &str) -> Result<(), String> {
    units::parse_duration(text).map(drop)
}

pub(super) fn bytes(text: &str) -> Result<(), String> {
    units::parse_bytes(text).map(drop)
}

pub(super) fn filter(text: &str) -> Result<(), String> {
    match text.is_empty() || text.contains('=') {
        true => Ok(()),
        false => Err("bad format of filter (expected name=value)".into()),
    }
}
