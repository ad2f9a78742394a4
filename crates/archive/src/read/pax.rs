//! Pax extended header records: `LENGTH KEY=VALUE\n`, LENGTH counting all of it (POSIX.1-2017 pax).

use crate::error::Malformed;

pub type Record = (Vec<u8>, Vec<u8>);

/// Splits the data of an extended header.
pub fn parse(mut data: &[u8]) -> Result<Vec<Record>, Malformed> {
    let mut records = Vec::new();
    while !data.is_empty() {
        let (record, rest) = split_record(data).ok_or(Malformed::PaxRecord)?;
        data = rest;
        records.push(record);
    }
    Ok(records)
}

fn split_record(data: &[u8]) -> Option<(Record, &[u8])> {
    // 20 digits hold any 64-bit length; without a bound, the search for the space could be made quadratic.
    let space = data.iter().take(21).position(|b| *b == b' ')?;
    let length = usize::try_from(decimal(&data[..space])?).ok()?;
    if length <= space + 1 || length > data.len() {
        return None;
    }
    let (line, rest) = data.split_at(length);
    let line = line[space + 1..].strip_suffix(b"\n")?;
    let equals = line.iter().position(|b| *b == b'=').filter(|at| *at > 0)?;
    Some(((line[..equals].to_vec(), line[equals + 1..].to_vec()), rest))
}

/// Go ignores global headers, GNU tar applies them to every later entry: those that would make a difference to what is
/// read are refused, the others (git's `comment`) are of no consequence.
pub fn check_global(data: &[u8]) -> Result<(), Malformed> {
    let decisive =
        |key: &[u8]| matches!(key, b"path" | b"linkpath" | b"size") || key.starts_with(b"GNU.sparse.");
    match parse(data)?.into_iter().find(|(key, _)| decisive(key)) {
        Some((key, _)) => Err(Malformed::GlobalRecord(String::from_utf8_lossy(&key).into_owned())),
        None => Ok(()),
    }
}

pub fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |n, b| match b {
        b'0'..=b'9' => n.checked_mul(10)?.checked_add(u64::from(b - b'0')),
        _ => None,
    })
}

/// A time: seconds with an optional fraction of any precision, negative before 1970.
pub fn time(value: &[u8]) -> Option<(i64, u32)> {
    let (negative, value) = match value.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let mut parts = value.splitn(2, |b| *b == b'.');
    let seconds = i64::try_from(decimal(parts.next()?)?).ok()?;
    let fraction = parts.next().unwrap_or(b"");
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let nanos = (0..9).fold(0, |n, i| n * 10 + u32::from(fraction.get(i).map_or(0, |b| b - b'0')));
    Some(match (negative, nanos) {
        (false, _) => (seconds, nanos),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanos),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_must_be_what_their_length_says() {
        let good = parse(b"11 path=ab\n12 a=b=\n\0\x01=\n").unwrap();
        assert_eq!(good, [(b"path".to_vec(), b"ab".to_vec()), (b"a".to_vec(), b"b=\n\0\x01=".to_vec())]);
        for bad in [
            &b"x"[..],
            b"11 path=ab",
            b"12 path=ab\n",
            b"10 path=ab\n",
            b"2 \n",
            b"6 =ab\n\n",
            b"-1 path=a\n",
            b"99999999999999999999999 a=b\n",
            b"5 ab\n\n",
        ] {
            assert_eq!(parse(bad), Err(Malformed::PaxRecord), "{bad:?}");
        }
    }

    #[test]
    fn times_have_fractions_and_signs() {
        assert_eq!(time(b"1.5"), Some((1, 500_000_000)));
        assert_eq!(time(b"-1.5"), Some((-2, 500_000_000)));
        assert_eq!(time(b"-3"), Some((-3, 0)));
        assert_eq!(time(b"7.0000000019"), Some((7, 1)));
        for bad in [&b""[..], b".5", b"1.x", b"+1", b"1e3"] {
            assert_eq!(time(bad), None, "{bad:?}");
        }
    }
}
