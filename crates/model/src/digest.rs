//! Content digests: `sha256:` and 64 hexadecimal digits (OCI image-spec, descriptor.md, "Digests").

use crate::id::is_lower_hex;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A SHA-256 digest. The specification's other algorithms are refused: no registry serves them.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// The text is not `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid digest {0:?}: expected \"sha256:\" and 64 lower-case hexadecimal digits")]
pub struct InvalidDigest(pub String);

impl Digest {
    const PREFIX: &'static str = "sha256:";

    /// From the 32 bytes of a finished SHA-256.
    pub fn from_sha256(bytes: &[u8; 32]) -> Self {
        Self(format!("{}{}", Self::PREFIX, crate::id::hex(bytes)))
    }

    /// `sha256:…`
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 64 digits after the colon; safe as a file name.
    pub fn hex(&self) -> &str {
        &self.0[Self::PREFIX.len()..]
    }

    /// The first 12 digits, as tables show them.
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;
    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        match text.strip_prefix(Self::PREFIX) {
            Some(hex) if hex.len() == 64 && is_lower_hex(hex) => Ok(Self(text.to_owned())),
            _ => Err(InvalidDigest(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;
    fn try_from(text: String) -> Result<Self, InvalidDigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sha256_in_lower_case_is_a_digest() {
        let good = format!("sha256:{}", "0a".repeat(32));
        assert_eq!(good.parse::<Digest>().unwrap().hex(), "0a".repeat(32));
        for bad in ["", "sha256:", "sha512:00", &good.to_uppercase(), &good[..70], "sha256:../../etc/passwd"]
        {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }
}
