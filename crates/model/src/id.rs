//! 256-bit random identifiers, written as 64 lower-case hexadecimal digits.

use rand::TryRngCore;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The ID of a container, exec session, network or endpoint: 64 hexadecimal digits.
///
/// Docker shows its first 12 digits ([`Id::short`]); a value whose first 12 digits are all decimal is never made,
/// because programs that use the short ID as a host name would read it as a number (moby `stringid`).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id(String);

/// The text is not 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid ID {0:?}: expected 64 lower-case hexadecimal digits")]
pub struct InvalidId(pub String);

impl Id {
    /// A new random ID.
    ///
    /// # Panics
    /// When the kernel's random source cannot be read, which getrandom(2) rules out after early boot.
    pub fn random() -> Self {
        loop {
            let mut bytes = [0u8; 32];
            rand::rngs::OsRng.try_fill_bytes(&mut bytes).expect("getrandom(2) does not fail after boot");
            let hex = hex(&bytes);
            if !hex.as_bytes()[..12].iter().all(u8::is_ascii_digit) {
                return Self(hex);
            }
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 12 digits shown in tables.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

/// Lower-case hexadecimal digits of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| [DIGITS[usize::from(b >> 4)] as char, DIGITS[usize::from(b & 15)] as char])
        .collect()
}

pub(crate) fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

impl FromStr for Id {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text.len() == 64 && is_lower_hex(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId(text.to_owned()))
        }
    }
}

impl TryFrom<String> for Id {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<Id> for String {
    fn from(id: Id) -> String {
        id.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({})", self.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_ids_parse_and_differ() {
        let (a, b) = (Id::random(), Id::random());
        assert_ne!(a, b);
        assert_eq!(a.as_str().parse::<Id>(), Ok(a.clone()));
        assert_eq!(a.short().len(), 12);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "abc", &"A".repeat(64), &"g".repeat(64), &"a".repeat(65)] {
            assert_eq!(text.parse::<Id>(), Err(InvalidId(text.to_owned())));
        }
    }
}
