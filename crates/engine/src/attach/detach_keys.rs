//! The key sequence that detaches a client: `ctrl-p,ctrl-q`, `ctrl-@,a` (moby `term.ToBytes`).

use crate::create::Invalid;
use shim_proto::DetachKeys;

/// `ctrl-p,ctrl-q`
pub fn default() -> DetachKeys {
    DetachKeys(vec![16, 17])
}

/// Single characters, or `ctrl-` and one of `a`–`z`, `@`, `[`, `\`, `]`, `^`, `_`, separated by commas. Empty text is
/// the default.
pub fn parse(text: &str) -> Result<DetachKeys, Invalid> {
    if text.is_empty() {
        return Ok(default());
    }
    text.split(',')
        .map(key)
        .collect::<Option<_>>()
        .map(DetachKeys)
        .ok_or_else(|| Invalid::DetachKeys(text.to_owned()))
}

fn key(text: &str) -> Option<u8> {
    match (text.strip_prefix("ctrl-").map(str::as_bytes), text.as_bytes()) {
        (Some([letter @ b'a'..=b'z']), _) => Some(letter - b'a' + 1),
        (Some([b'@']), _) => Some(0),
        (Some([b'[']), _) => Some(27),
        (Some([b'\\']), _) => Some(28),
        (Some([b']']), _) => Some(29),
        (Some([b'^']), _) => Some(30),
        (Some([b'_']), _) => Some(31),
        (None, [byte]) => Some(*byte),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_bytes() {
        assert_eq!(parse("ctrl-p,ctrl-q").unwrap(), default());
        assert_eq!(parse("ctrl-@,a,ctrl-\\").unwrap().0, [0, b'a', 28]);
        assert_eq!(parse("").unwrap(), default());
        for bad in ["ctrl-", "ctrl-1", "ab", "a,,b"] {
            assert_eq!(parse(bad).unwrap_err().to_string(), format!("Invalid escape keys ({bad}) provided"));
        }
    }
}
