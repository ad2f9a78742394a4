//! Container names: what is allowed (moby `daemon/names`).

use crate::Error;

/// The characters of a name after its first, as the error message shows them.
pub const ALLOWED: &str = "[a-zA-Z0-9][a-zA-Z0-9_.-]";

/// `name` without the leading slash Docker adds, when it is a valid name: at least two characters.
pub fn parse(name: &str) -> Result<&str, Error> {
    let bare = name.strip_prefix('/').unwrap_or(name);
    let mut bytes = bare.bytes();
    let valid = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
        && bare.len() >= 2
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if valid { Ok(bare) } else { Err(Error::InvalidName { name: name.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_dockers_pattern() {
        for (name, bare) in [("web", "web"), ("/web", "web"), ("a1", "a1"), ("0_.-", "0_.-")] {
            assert_eq!(parse(name).unwrap(), bare);
        }
        for name in ["", "/", "a", "/a", "_a", "-a", ".a", "a b", "a/b", "//ab", "ä1", "a\n"] {
            let text = parse(name).unwrap_err().to_string();
            assert_eq!(
                text,
                format!("Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
            );
        }
    }
}
