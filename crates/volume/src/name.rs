//! Names of volumes. A name is also the name of a directory, so what passes here can never leave the root.

/// Marks a volume that was made without a name (moby `volume/service.AnonymousLabel`).
pub const ANONYMOUS_LABEL: &str = "com.docker.volume.anonymous";

/// The texts are Docker's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    #[error("volume name is too short, names should be at least two alphanumeric characters")]
    TooShort,
    #[error(
        "{0:?} includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )]
    Characters(String),
    /// `NAME_MAX`, path_resolution(7).
    #[error("{0:?} is longer than the 255 bytes that a file name may have")]
    TooLong(String),
}

pub(crate) fn validate(name: &str) -> Result<(), InvalidName> {
    if name.chars().count() == 1 {
        return Err(InvalidName::TooShort);
    }
    if name.len() > 255 {
        return Err(InvalidName::TooLong(name.to_owned()));
    }
    if is_valid(name) { Ok(()) } else { Err(InvalidName::Characters(name.to_owned())) }
}

pub(crate) fn is_valid(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && name.len() > 1
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_file_names() {
        for good in ["ab", "a.b", "data_1", &"a".repeat(255)] {
            assert_eq!(validate(good), Ok(()), "{good}");
        }
        for bad in ["", "..", ".a", "-a", "a/b", "a b", "a\0b", "é1", "../etc"] {
            assert_eq!(validate(bad), Err(InvalidName::Characters(bad.to_owned())));
        }
        assert_eq!(validate("a"), Err(InvalidName::TooShort));
        assert_eq!(validate(&"a".repeat(256)), Err(InvalidName::TooLong("a".repeat(256))));
    }
}
