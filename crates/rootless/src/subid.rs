//! Subordinate ID ranges (subuid(5), subgid(5), getsubids(1)).

use crate::{Error, Result, User};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

/// Users or groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    Uid,
    Gid,
}

impl Kind {
    pub fn file(self) -> &'static Path {
        Path::new(match self {
            Self::Uid => "/etc/subuid",
            Self::Gid => "/etc/subgid",
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uid => "subuid",
            Self::Gid => "subgid",
        })
    }
}

/// `count` IDs from `start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    pub start: u32,
    pub count: u32,
}

impl Range {
    fn end(self) -> u64 {
        u64::from(self.start) + u64::from(self.count)
    }

    fn overlaps(self, other: Self) -> bool {
        u64::from(self.start) < other.end() && u64::from(other.start) < self.end()
    }
}

/// The ranges given to `user`: from `getsubids` where nsswitch.conf names another source than the files and the program
/// is installed, else from the file, by name and by number. None is no error here.
pub fn ranges(kind: Kind, user: &User) -> Result<Vec<Range>> {
    let nsswitch = fs::read_to_string("/etc/nsswitch.conf").unwrap_or_default();
    if names_subid(&nsswitch)
        && let Some(ranges) = from_getsubids(kind, &user.name).filter(|r| !r.is_empty())
    {
        return Ok(disjoint(ranges));
    }
    let path = kind.file();
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("read", path)(e)),
    };
    let entries = parse(path, &text)?;
    let mine = entries.into_iter().filter(|(owner, _)| is_owner(owner, user)).map(|(_, range)| range);
    Ok(disjoint(mine.collect()))
}

/// Ranges of other users that overlap `mine`: whoever owns them can act as this user's containers.
pub fn overlaps(kind: Kind, user: &User, mine: &[Range]) -> Vec<(String, Range)> {
    let text = fs::read_to_string(kind.file()).unwrap_or_default();
    let others = parse(kind.file(), &text).unwrap_or_default();
    others
        .into_iter()
        .filter(|(owner, range)| !is_owner(owner, user) && mine.iter().any(|m| m.overlaps(*range)))
        .collect()
}

fn is_owner(owner: &str, user: &User) -> bool {
    owner == user.name || owner.parse() == Ok(user.uid)
}

fn parse(path: &Path, text: &str) -> Result<Vec<(String, Range)>> {
    let mut entries = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let entry = parse_line(line).ok_or_else(|| Error::MalformedRange {
            path: path.to_owned(),
            line: number + 1,
            text: line.to_owned(),
        })?;
        entries.push(entry);
    }
    Ok(entries)
}

fn parse_line(line: &str) -> Option<(String, Range)> {
    let mut fields = line.split(':');
    let (owner, start, count) = (fields.next()?, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    (fields.next().is_none() && !owner.is_empty()).then(|| (owner.to_owned(), Range { start, count }))
}

/// Whether `subid:` has a source; without one it is the files (subuid(5), nsswitch.conf(5)).
fn names_subid(nsswitch: &str) -> bool {
    nsswitch.lines().any(|line| line.trim_start().starts_with("subid:"))
}

/// None when the program is missing or knows nothing of the user.
fn from_getsubids(kind: Kind, name: &str) -> Option<Vec<Range>> {
    let mut command = Command::new("getsubids");
    if kind == Kind::Gid {
        command.arg("-g");
    }
    let output = command.arg(name).output().ok().filter(|o| o.status.success())?;
    Some(parse_getsubids(&String::from_utf8(output.stdout).ok()?))
}

/// Lines such as `0: user 231072 65536`.
fn parse_getsubids(text: &str) -> Vec<Range> {
    let line = |line: &str| {
        let mut words = line.split_whitespace().skip(2);
        Some(Range { start: words.next()?.parse().ok()?, count: words.next()?.parse().ok()? })
    };
    text.lines().filter_map(line).collect()
}

/// The kernel refuses maps that overlap themselves (EINVAL); a range listed twice, or inside another, counts once.
fn disjoint(ranges: Vec<Range>) -> Vec<Range> {
    let mut kept: Vec<Range> = Vec::new();
    for range in ranges.into_iter().filter(|r| r.count > 0 && r.end() <= u64::from(u32::MAX)) {
        if !kept.iter().any(|k| k.overlaps(range)) {
            kept.push(range);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_program_is_asked_only_where_nsswitch_names_another_source() {
        assert!(!names_subid("passwd: files\n# subid: sss\n"));
        assert!(names_subid("passwd: files\nsubid:  sss\n"));
    }

    fn range(start: u32, count: u32) -> Range {
        Range { start, count }
    }

    #[test]
    fn lines_are_read_by_name_and_number_and_bad_ones_are_named() {
        let text = "# comment\n\nuser:231072:65536\n1001:500000:10\nother:1:2\n";
        let entries = parse(Path::new("/etc/subuid"), text).unwrap();
        let user = User { uid: 1001, gid: 1001, name: "user".into() };
        let mine: Vec<Range> = entries.into_iter().filter(|(o, _)| is_owner(o, &user)).map(|e| e.1).collect();
        assert_eq!(mine, [range(231_072, 65_536), range(500_000, 10)]);

        let error = parse(Path::new("/etc/subuid"), "user:1:2\nuser:x:2\n").unwrap_err().to_string();
        assert!(error.ends_with("/etc/subuid, line 2: \"user:x:2\": expected NAME:START:COUNT"), "{error}");
    }

    #[test]
    fn getsubids_output_is_read() {
        assert_eq!(
            parse_getsubids("0: user 231072 65536\n1: user 7 3\n"),
            [range(231_072, 65_536), range(7, 3)]
        );
    }

    #[test]
    fn ranges_that_overlap_an_earlier_one_count_once() {
        let given = vec![range(100, 50), range(120, 5), range(150, 10), range(100, 50), range(9, 0)];
        assert_eq!(disjoint(given), [range(100, 50), range(150, 10)]);
        assert_eq!(disjoint(vec![range(u32::MAX - 5, 100)]), []);
    }
}
