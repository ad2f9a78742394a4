//! API versions: which are spoken, and how a client asks for one.

use crate::error::Error;
use std::fmt;

/// `1.51`
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion {
    major: u32,
    minor: u32,
}

impl ApiVersion {
    /// The oldest that is served.
    pub const MIN: Self = Self::new(1, 40);
    /// The newest, and what a request without a version means.
    pub const MAX: Self = Self::new(1, 51);

    pub(crate) const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// Parses the version prefix of a path, `v1.47`, and checks that it is served.
    ///
    /// None when it is no version prefix at all: the path is then unknown, as in Docker.
    pub(crate) fn from_prefix(segment: &str) -> Option<Result<Self, Error>> {
        let text = segment.strip_prefix('v')?;
        let (major, minor) = text.split_once('.')?;
        let number =
            |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?;
        let version = Self::new(number(major)?, number(minor)?);
        Some(if version < Self::MIN {
            Err(Error::ClientTooOld { client: version })
        } else if version > Self::MAX {
            Err(Error::ClientTooNew { client: version })
        } else {
            Ok(version)
        })
    }
}

/// Shorthand for comparisons: `version < since(44)`.
pub(crate) const fn since(minor: u32) -> ApiVersion {
    ApiVersion::new(1, minor)
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_read_and_limits_worded_as_dockers() {
        let text = |prefix| {
            ApiVersion::from_prefix(prefix).map(|v| v.map_or_else(|e| e.to_string(), |v| v.to_string()))
        };
        assert_eq!(text("v1.47").unwrap(), "1.47");
        assert_eq!(
            text("v1.20").unwrap(),
            "client version 1.20 is too old. Minimum supported API version is 1.40, please upgrade your client to a newer version"
        );
        assert_eq!(
            text("v1.99").unwrap(),
            "client version 1.99 is too new. Maximum supported API version is 1.51"
        );
        for other in ["version", "v1", "v1.x", "v1.", "v.1", "1.47", "v+1.47", "v1.99999999999999"] {
            assert!(text(other).is_none(), "{other}");
        }
    }

    #[test]
    fn minor_versions_compare_as_numbers() {
        assert!(since(9) < since(40));
    }
}
