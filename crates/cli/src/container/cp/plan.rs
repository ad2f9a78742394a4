//! Where a copy ends up, and under which name: the rules of `cp`, as docker documents them.

use crate::error::Error;

/// What is copied. The path keeps a trailing `/` or `/.`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub path: String,
    pub is_dir: bool,
}

/// Where it is copied to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    pub path: String,
    pub exists: bool,
    pub is_dir: bool,
}

/// The directory to unpack in, and the name of the copy there; no name means the contents only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    pub directory: String,
    pub base: String,
}

/// The last part of a path; `.` for a path that ends in `/.`, `/` for the root.
pub fn base(path: &str) -> String {
    if path.ends_with("/.") || path == "." {
        return ".".into();
    }
    match path.trim_end_matches('/').rsplit('/').next() {
        None | Some("") => "/".into(),
        Some(name) => name.into(),
    }
}

fn parent(path: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    match trimmed.rsplit_once('/') {
        Some(("", _)) => "/".into(),
        Some((dir, _)) => dir.into(),
        None => ".".into(),
    }
}

pub fn place(source: &Source, destination: &Destination) -> Result<Placement, Error> {
    let contents_only = source.path.ends_with("/.") || source.path == ".";
    let named_as = |base: String| Placement { directory: parent(&destination.path), base };
    if destination.exists && destination.is_dir {
        let base = if contents_only { ".".into() } else { base(&source.path) };
        return Ok(Placement { directory: destination.path.clone(), base });
    }
    if destination.exists && source.is_dir {
        return Err(Error::invalid("cannot copy directory"));
    }
    if !destination.exists && !source.is_dir && destination.path.ends_with('/') {
        return Err(Error::invalid("no such directory"));
    }
    Ok(named_as(base(&destination.path)))
}

/// An entry's name after its first part was replaced, as the placement wants it.
pub fn rebase(name: &str, old: &str, new: &str) -> String {
    let name = name.trim_start_matches("./");
    let rest = match (old, name.strip_prefix(old)) {
        ("/" | ".", _) => name,
        (_, Some(rest)) if rest.is_empty() || rest.starts_with('/') => rest.trim_start_matches('/'),
        _ => name,
    };
    match (new, rest) {
        ("." | "/", rest) => rest.to_owned(),
        (new, "") => new.to_owned(),
        (new, rest) => format!("{new}/{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(source: (&str, bool), destination: (&str, bool, bool)) -> Result<(String, String), String> {
        let source = Source { path: source.0.into(), is_dir: source.1 };
        let destination =
            Destination { path: destination.0.into(), exists: destination.1, is_dir: destination.2 };
        place(&source, &destination).map(|p| (p.directory, p.base)).map_err(|error| error.to_string())
    }

    #[test]
    fn rules() {
        let ok = |a: &str, b: &str| Ok((a.to_owned(), b.to_owned()));
        assert_eq!(placed(("/s/f", false), ("/d", true, true)), ok("/d", "f"));
        assert_eq!(placed(("/s/f", false), ("/d/new", false, false)), ok("/d", "new"));
        assert_eq!(placed(("/s/f", false), ("/d/old", true, false)), ok("/d", "old"));
        assert_eq!(placed(("/s/f", false), ("/d/new/", false, false)), Err("no such directory".into()));
        assert_eq!(placed(("/s/dir", true), ("/d", true, true)), ok("/d", "dir"));
        assert_eq!(placed(("/s/dir/.", true), ("/d", true, true)), ok("/d", "."));
        assert_eq!(placed(("/s/dir", true), ("/d/new", false, false)), ok("/d", "new"));
        assert_eq!(placed(("/s/dir/.", true), ("/d/new", false, false)), ok("/d", "new"));
        assert_eq!(placed(("/s/dir", true), ("/d/f", true, false)), Err("cannot copy directory".into()));
        assert_eq!(placed(("/", true), ("/d", true, true)), ok("/d", "/"));
    }

    #[test]
    fn renaming() {
        assert_eq!(rebase("dir/a/b", "dir", "new"), "new/a/b");
        assert_eq!(rebase("dir/", "dir", "new"), "new");
        assert_eq!(rebase("dir/a", "dir", "."), "a");
        assert_eq!(rebase("./a", ".", "new"), "new/a");
        assert_eq!(rebase("dirty/a", "dir", "new"), "new/dirty/a");
    }
}
