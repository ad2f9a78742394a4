//! Text operations on container paths, as Go's package `path` does them. Nothing here touches a file system.

/// Go's `path.Clean`: no `.`, no `..` beyond the root, no double or trailing slashes.
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|p| *p != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// Go's `filepath.IsLocal`: relative, not empty, and never above where it starts.
pub fn is_local(path: &str) -> bool {
    !path.is_empty() && !path.starts_with('/') && {
        let clean = clean(path);
        clean != ".." && !clean.starts_with("../")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaned_as_go_cleans() {
        for (path, expected) in [
            ("/", "/"),
            ("//a//b/", "/a/b"),
            ("/a/./b/../c", "/a/c"),
            ("/../..", "/"),
            ("", "."),
            ("a/..", "."),
            ("../a", "../a"),
            ("../../a/..", "../.."),
        ] {
            assert_eq!(clean(path), expected, "{path}");
        }
    }

    #[test]
    fn local_paths_stay_below() {
        assert!(is_local("a/b/../c") && is_local("."));
        for path in ["", "/a", "..", "a/../../b"] {
            assert!(!is_local(path), "{path}");
        }
    }
}
