//! Paths of archives, as bytes.

use crate::error::Malformed;
use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::PathBuf};

/// The components of a path of an archive, read as below its root: `/a/./b/../c` is `a`, `c`. `..` is taken lexically,
/// as Docker does, and may not lead above the root.
pub fn components(path: &[u8]) -> Result<Vec<&[u8]>, Malformed> {
    let mut parts = Vec::new();
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop().ok_or_else(|| Malformed::Escape(to_path(path)))?;
            }
            part => parts.push(part),
        }
    }
    Ok(parts)
}

/// The components between slashes again, relative; `.` for none.
pub fn join(parts: &[&[u8]]) -> Vec<u8> {
    if parts.is_empty() { b".".to_vec() } else { parts.join(&b'/') }
}

pub fn to_path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_root() {
        let check = |path: &str, expect: Option<&str>| {
            let got = components(path.as_bytes()).ok().map(|parts| String::from_utf8(join(&parts)).unwrap());
            assert_eq!(got.as_deref(), expect, "{path}");
        };
        check("a/b", Some("a/b"));
        check("/a//./b/", Some("a/b"));
        check("./", Some("."));
        check("a/../b", Some("b"));
        check("..", None);
        check("a/../../b", None);
        check("/../etc/passwd", None);
        check("..a/...", Some("..a/..."));
    }
}
