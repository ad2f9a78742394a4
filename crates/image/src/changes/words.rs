//! The words of a Dockerfile line.

use super::{InvalidChange, Result};

/// `["a", "b"]`, or nothing when it is no list of texts.
pub(super) fn json_list(text: &str) -> Option<Vec<String>> {
    text.starts_with('[').then(|| serde_json::from_str(text).ok()).flatten()
}

/// Words separated by blanks; quotes join, a backslash takes the next character as it is.
pub(super) fn words(text: &str) -> Result<Vec<String>> {
    let unterminated = || InvalidChange::Quote { text: text.to_owned() };
    let mut words = Vec::new();
    let mut current: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => words.extend(current.take()),
            '\'' | '"' => {
                let word = current.get_or_insert_default();
                loop {
                    match chars.next().ok_or_else(unterminated)? {
                        end if end == c => break,
                        '\\' if c == '"' => word.push(chars.next().ok_or_else(unterminated)?),
                        inner => word.push(inner),
                    }
                }
            }
            '\\' => current.get_or_insert_default().extend(chars.next()),
            c => current.get_or_insert_default().push(c),
        }
    }
    words.extend(current);
    Ok(words)
}

/// `a=b c="d e"`, or the old form `name the rest is the value`.
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>> {
    let first = text.split_whitespace().next().unwrap_or_default();
    if !first.contains('=') {
        let Some((key, value)) = text.split_once(char::is_whitespace) else {
            return Err(InvalidChange::NotAPair { word: text.to_owned() });
        };
        return Ok(vec![(key.to_owned(), value.trim().to_owned())]);
    }
    let pair = |word: String| match word.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(InvalidChange::NotAPair { word }),
    };
    words(text)?.into_iter().map(pair).collect()
}

/// Go's durations, in nanoseconds; at least a millisecond, as Docker asks, or zero.
pub(super) fn duration(text: &str) -> Option<i64> {
    let nanos = if text == "0" { 0 } else { i64::try_from(crate::list::parse_duration(text)?).ok()? };
    (nanos == 0 || nanos >= 1_000_000).then_some(nanos)
}
