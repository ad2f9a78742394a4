//! What changed between two trees, as a list and as a layer archive.
//!
//! Theory of operation: the newer tree is walked; beside it, for each level, the directory of the older tree is held
//! open, if there is one. An upper directory of an overlay shows a deletion as a whiteout; a whole tree, and what lies
//! below an opaque directory, shows it by absence. Directories above a change are changes too (`C /etc`), since Docker's
//! list and its layers have them.
//!
//! A file is unchanged when all that stat(2) tells but its inode and its access and change times, and its capabilities,
//! are the same; of directories only mode and owner count. These are moby's rules (pkg/archive, statDifferent), and
//! they let a file that was opened for writing but not written be what it is. One thing is added: a file with more links
//! than before is modified, so that a layer archive has both ends of the new link.
//!
//! What a runtime makes in every tree to mount on ([`mount_points`]) is no change. Docker keeps these files in a layer of
//! their own between image and container (moby `daemon/initlayer`), so that neither `docker diff` nor `docker commit`
//! shows them, while `docker export` does.

use crate::{
    Change, ChangeKind, Error, Result, at, mount_points,
    pack::Packer,
    path,
    walk::{Found, Walk},
    whiteout::{self, FUSE_OPAQUE, Marks, OPAQUE, OVERLAY_OPAQUE, PREFIX},
};
use rustix::fs::{FileType, OFlags, Stat};
use std::{
    collections::BTreeMap,
    io::{self, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// The upper directory of an overlay and a mount of the layers below it.
pub struct Overlay<'a> {
    pub upper: BorrowedFd<'a>,
    pub below: BorrowedFd<'a>,
    pub marks: Marks,
}

/// A whole tree and an earlier state of it.
pub struct Trees<'a> {
    pub newer: BorrowedFd<'a>,
    /// None for a tree that began empty.
    pub older: Option<BorrowedFd<'a>>,
}

impl Overlay<'_> {
    /// The changes, sorted by path.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn changes(&self) -> Result<Vec<Change>> {
        compare(self.upper, Some(self.below), Some(self.marks)).map(list)
    }

    /// The changes as an uncompressed layer archive.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Write`].
    pub fn write_archive(&self, out: &mut dyn Write) -> Result<()> {
        write(self.upper, &compare(self.upper, Some(self.below), Some(self.marks))?, out)
    }
}

impl Trees<'_> {
    /// The changes, sorted by path.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn changes(&self) -> Result<Vec<Change>> {
        compare(self.newer, self.older, None).map(list)
    }

    /// The changes as an uncompressed layer archive.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Write`].
    pub fn write_archive(&self, out: &mut dyn Write) -> Result<()> {
        write(self.newer, &compare(self.newer, self.older, None)?, out)
    }
}

/// By path relative to the root. Sorted bytewise, a directory precedes what is in it.
type Changes = BTreeMap<Vec<u8>, ChangeKind>;

/// The one directory that is made for mount points: new only if something else is in it, too.
const ETC: &[u8] = b"etc";

fn list(changes: Changes) -> Vec<Change> {
    changes.into_iter().map(|(path, kind)| Change::new(&path, kind)).collect()
}

/// The older side of a directory of the newer tree.
struct Level {
    older: Option<OwnedFd>,
    /// Whether what the newer directory does not list is gone, rather than unchanged.
    complete: bool,
}

fn compare(newer: BorrowedFd<'_>, older: Option<BorrowedFd<'_>>, marks: Option<Marks>) -> Result<Changes> {
    let mut changes = Changes::new();
    let older = older.map(|dir| at::open_dir(dir, b".")).transpose().map_err(fail("open", b"/"))?;
    let mut levels = vec![Level { older, complete: marks.is_none() }];
    let mut walk = Walk::new(newer).map_err(fail("read", b"/"))?;
    report_missing(newer, &levels[0], b"", &mut changes)?;
    loop {
        let found = match walk.next_found() {
            Ok(Some(found)) => found,
            Ok(None) => break,
            Err(e) => return Err(fail("read", walk.path())(e)),
        };
        let path = found.path.to_vec();
        let enter = found.is_dir();
        let depth = walk_depth(&path);
        levels.truncate(depth);
        let level = levels
            .last()
            .map_or(Level { older: None, complete: true }, |l| Level { older: None, complete: l.complete });
        let beside = levels.last().and_then(|l| l.older.as_ref());
        let next = one(&found, beside, level.complete, marks, &mut changes)?;
        if enter {
            walk.enter().map_err(fail("read", &path))?;
            levels.push(next);
        }
    }
    let older = levels.first().and_then(|level| level.older.as_ref());
    let had_etc = older.map(|dir| at::stat(dir.as_fd(), ETC)).transpose().map_err(fail("stat", ETC))?;
    if let (None | Some(None), Some(kind)) = (had_etc, changes.get_mut(ETC)) {
        *kind = ChangeKind::Added;
    }
    Ok(changes)
}

/// Directories above a path: the index of its level.
fn walk_depth(path: &[u8]) -> usize {
    1 + path.iter().filter(|b| **b == b'/').count()
}

/// Judges one file and gives the level below it, should it be a directory.
fn one(
    found: &Found<'_>,
    beside: Option<&OwnedFd>,
    complete: bool,
    marks: Option<Marks>,
    changes: &mut Changes,
) -> Result<Level> {
    let path = found.path;
    if let (Some(Marks::Fuse), true) = (marks, found.name.starts_with(PREFIX)) {
        return removed_by_file(found, beside, changes);
    }
    let old = match beside {
        Some(dir) => at::stat(dir.as_fd(), found.name).map_err(fail("stat", path))?,
        None => None,
    };
    let nothing_below = Level { older: None, complete: true };
    if marks.is_some() && at::is_whiteout(&found.stat) {
        if old.is_some() {
            note(changes, path, ChangeKind::Deleted);
        }
        return Ok(nothing_below);
    }
    let Some(old) = old else {
        if mount_points::is_made(found).map_err(fail("readlink", path))? {
            return Ok(Level { older: None, complete: true });
        }
        if !(path == ETC && found.is_dir()) {
            note(changes, path, ChangeKind::Added);
        }
        return Ok(nothing_below);
    };
    if different(found, beside, &old).map_err(fail("stat", path))? {
        note(changes, path, ChangeKind::Modified);
    }
    if !found.is_dir() || at::file_type(&old) != FileType::Directory {
        return Ok(nothing_below);
    }
    let dir = at::open_dir(found.dir, found.name).map_err(fail("open", path))?;
    let opaque = is_opaque(&dir, marks).map_err(fail("getxattr", path))?;
    let older = match beside {
        Some(beside) => Some(at::open_dir(beside.as_fd(), found.name).map_err(fail("open", path))?),
        None => None,
    };
    let level = Level { older, complete: complete || opaque };
    report_missing(dir.as_fd(), &level, path, changes)?;
    Ok(level)
}

/// A file of fuse-overlayfs that is a mark.
fn removed_by_file(found: &Found<'_>, beside: Option<&OwnedFd>, changes: &mut Changes) -> Result<Level> {
    if let (Some(name), Some(beside)) = (whiteout::removed_name(found.name), beside)
        && at::stat(beside.as_fd(), name).map_err(fail("stat", found.path))?.is_some()
    {
        let directory = &found.path[..found.path.len() - found.name.len()];
        note(changes, &[directory, name].concat(), ChangeKind::Deleted);
    }
    Ok(Level { older: None, complete: true })
}

fn is_opaque(dir: &OwnedFd, marks: Option<Marks>) -> io::Result<bool> {
    let has = |mark| at::xattr(dir, mark).map(|value| value.is_some());
    match marks {
        None => Ok(false),
        Some(Marks::Kernel) => has(OVERLAY_OPAQUE),
        Some(Marks::Fuse) => Ok(has(FUSE_OPAQUE)? || at::stat(dir.as_fd(), OPAQUE)?.is_some()),
    }
}

/// What the older directory has and the newer, when it tells all, has not.
fn report_missing(newer: BorrowedFd<'_>, level: &Level, path: &[u8], changes: &mut Changes) -> Result<()> {
    let (Some(older), true) = (&level.older, level.complete) else { return Ok(()) };
    for name in at::names(older.as_fd()).map_err(fail("read", path))? {
        if at::stat(newer, name.to_bytes()).map_err(fail("stat", path))?.is_none() {
            let prefix = if path.is_empty() { Vec::new() } else { [path, b"/"].concat() };
            note(changes, &[prefix.as_slice(), name.to_bytes()].concat(), ChangeKind::Deleted);
        }
    }
    Ok(())
}

/// Records a change and the directories above it. One that is not listed when something below it is was either there
/// before or is [`ETC`], which [`compare`] puts right.
fn note(changes: &mut Changes, path: &[u8], kind: ChangeKind) {
    changes.insert(path.to_vec(), kind);
    let mut above = path;
    while let Some(slash) = above.iter().rposition(|b| *b == b'/') {
        above = &above[..slash];
        if changes.contains_key(above) {
            return;
        }
        changes.insert(above.to_vec(), ChangeKind::Modified);
    }
}

fn different(found: &Found<'_>, beside: Option<&OwnedFd>, old: &Stat) -> io::Result<bool> {
    let new = &found.stat;
    if (new.st_mode, new.st_uid, new.st_gid, new.st_rdev)
        != (old.st_mode, old.st_uid, old.st_gid, old.st_rdev)
    {
        return Ok(true);
    }
    if found.is_dir() {
        return Ok(false);
    }
    let data = |s: &Stat| (s.st_size, s.st_mtime, s.st_mtime_nsec);
    if data(new) != data(old) || new.st_nlink > old.st_nlink {
        return Ok(true);
    }
    let Some(beside) = beside.filter(|_| found.kind() == FileType::RegularFile) else { return Ok(false) };
    const CAPABILITY: &str = "security.capability";
    let (new, old) = (
        at::xattr_at(found.dir, found.name, CAPABILITY)?,
        at::xattr_at(beside.as_fd(), found.name, CAPABILITY)?,
    );
    Ok(new != old)
}

/// All that was added or modified is in `tree`.
fn write(tree: BorrowedFd<'_>, changes: &Changes, out: &mut dyn Write) -> Result<()> {
    let mut packer = Packer::new(out);
    let mut held: Option<(Vec<u8>, OwnedFd)> = None;
    for (path, kind) in changes {
        let slash = path.iter().rposition(|b| *b == b'/');
        let (above, name) = slash.map_or((&b"."[..], path.as_slice()), |at| (&path[..at], &path[at + 1..]));
        if *kind == ChangeKind::Deleted {
            let directory = if slash.is_some() { [above, b"/"].concat() } else { Vec::new() };
            packer.whiteout(&[directory.as_slice(), PREFIX, name].concat())?;
            continue;
        }
        if held.as_ref().is_none_or(|(path, _)| path != above) {
            let dir = at::open_in_root(tree, above, OFlags::PATH | OFlags::DIRECTORY)
                .map_err(fail("open", above))?;
            held = Some((above.to_vec(), dir));
        }
        let Some((_, dir)) = &held else { continue };
        // What vanished since belongs to a container that is running.
        if let Some(stat) = at::stat(dir.as_fd(), name).map_err(fail("stat", path))? {
            packer.add(&Found { dir: dir.as_fd(), name, path, stat }, path)?;
        }
    }
    packer.finish()
}

fn fail(operation: &'static str, path: &[u8]) -> impl FnOnce(io::Error) -> Error {
    let path = path::to_path(path);
    move |source| Error::File { operation, path, source }
}
