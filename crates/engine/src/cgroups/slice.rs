//! Slices: the inner nodes of systemd's tree, whose names are their paths (systemd.slice(5)).

use std::path::PathBuf;

/// Whether this names a slice: `a-b.slice`, or `-.slice` for the root.
pub fn is_slice(name: &str) -> bool {
    let Some(stem) = name.strip_suffix(".slice") else { return false };
    let part = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || ":_.\\@".contains(c))
    };
    name.len() < 256 && (stem == "-" || stem.split('-').all(part))
}

/// The directory of a slice below its manager's: `a.slice/a-b.slice` for `a-b.slice`.
pub(super) fn path(slice: &str) -> PathBuf {
    let stem = slice.strip_suffix(".slice").unwrap_or(slice);
    if stem == "-" {
        return PathBuf::new();
    }
    let ends = stem.match_indices('-').map(|(at, _)| at).chain([stem.len()]);
    ends.map(|end| format!("{}.slice", &stem[..end])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_slice_is_below_those_that_its_name_begins_with() {
        let check = |slice: &str, expected: &str| assert_eq!(path(slice), Path::new(expected), "{slice}");
        check("user.slice", "user.slice");
        check("a-b-c.slice", "a.slice/a-b.slice/a-b-c.slice");
        check("-.slice", "");
    }

    #[test]
    fn only_slices_are_slices() {
        for name in ["user.slice", "a-b.slice", "-.slice", "x@1.slice"] {
            assert!(is_slice(name), "{name}");
        }
        for name in
            ["", ".slice", "a", "/a.slice", "a--b.slice", "-a.slice", "a-.slice", "a/b.slice", "../x.slice"]
        {
            assert!(!is_slice(name), "{name}");
        }
    }
}
