//! Who a container's process runs as: names looked up in the container's own passwd and group files.
//!
//! Both files are the image's, so they are hostile: they are opened below the root's descriptor without ever leaving
//! it, only regular files are read (a FIFO would hang the engine, CVE-2024-9676), reading is bounded, a line that does
//! not parse is passed over as libc does, and a number that does not fit an ID is an error rather than a wrap to root
//! (CVE-2024-40635).

use model::ErrorKind;
use rustix::{
    fs::{FileType, Mode, OFlags, ResolveFlags},
    io::Errno,
};
use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    os::fd::BorrowedFd,
};

/// IDs above this do not fit the signed numbers that much of user space keeps them in; Docker refuses them too.
const MAX_ID: u32 = i32::MAX as u32;
/// Large directories of users have some ten thousand lines.
const MAX_FILE: u64 = 16 << 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedUser {
    pub uid: u32,
    pub gid: u32,
    /// Without `gid`, in ascending order.
    pub additional_gids: Vec<u32>,
    /// The home directory, for `HOME`.
    pub home: String,
}

#[derive(Debug, thiserror::Error)]
pub enum UserError {
    #[error("unable to find user {0}: no matching entries in passwd file")]
    NoUser(String),
    #[error("unable to find group {0}: no matching entries in group file")]
    NoGroup(String),
    #[error("uids and gids must be in range 0-{MAX_ID}: {0}")]
    Range(String),
    #[error("read /etc/{file} in the container: {source}")]
    Read { file: &'static str, source: std::io::Error },
}

impl UserError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Read { .. } => ErrorKind::System,
            _ => ErrorKind::InvalidParameter,
        }
    }
}

struct Passwd {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

struct Group {
    name: String,
    gid: u32,
    members: Vec<String>,
}

/// Resolves `spec`, `[USER][:GROUP]` by name or number, and the further groups `group_add`, below `root`.
///
/// A number needs no entry. Without a group, the user's own and the ones that list it apply.
pub fn resolve(root: BorrowedFd<'_>, spec: &str, group_add: &[String]) -> Result<ResolvedUser, UserError> {
    let (user, group) = match spec.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|g| !g.is_empty())),
        None => (spec, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let entry = find_user(root, user)?;
    let uid = match (&entry, number(user)) {
        (Some(entry), _) => in_range(entry.uid, user)?,
        (None, Some(uid)) => in_range(uid?, user)?,
        (None, None) => return Err(UserError::NoUser(user.to_owned())),
    };
    // Most containers need no group file at all: it is read when something asks for it.
    let groups =
        if group.is_some() || entry.is_some() || !group_add.is_empty() { read_groups(root)? } else { vec![] };
    let gid = match group {
        Some(group) => find_group(&groups, group)?,
        None => in_range(entry.as_ref().map_or(0, |e| e.gid), user)?,
    };
    let mut additional: Vec<u32> = match (&entry, group) {
        (Some(entry), None) => {
            groups.iter().filter(|g| g.members.contains(&entry.name)).map(|g| g.gid).collect()
        }
        _ => vec![],
    };
    for group in group_add {
        additional.push(find_group(&groups, group)?);
    }
    additional.retain(|g| *g != gid && *g <= MAX_ID);
    additional.sort_unstable();
    additional.dedup();
    let home = entry.map(|e| e.home).filter(|h| !h.is_empty()).unwrap_or_else(|| "/".to_owned());
    Ok(ResolvedUser { uid, gid, additional_gids: additional, home })
}

/// None for a name; an error for a number that is too large to be one.
fn number(text: &str) -> Option<Result<u32, UserError>> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().map_err(|_| UserError::Range(text.to_owned())))
}

fn in_range(id: u32, asked: &str) -> Result<u32, UserError> {
    if id <= MAX_ID { Ok(id) } else { Err(UserError::Range(asked.to_owned())) }
}

fn find_user(root: BorrowedFd<'_>, user: &str) -> Result<Option<Passwd>, UserError> {
    let wanted = number(user).and_then(Result::ok);
    let mut by_number = None;
    for line in lines(root, "passwd")? {
        let mut fields = line.split(':');
        let (Some(name), Some(_), Some(Ok(uid)), Some(Ok(gid)), _, home) = (
            fields.next(),
            fields.next(),
            fields.next().map(str::parse),
            fields.next().map(str::parse),
            fields.next(),
            fields.next(),
        ) else {
            continue;
        };
        let entry = || Passwd { name: name.to_owned(), uid, gid, home: home.unwrap_or("").to_owned() };
        if name == user {
            return Ok(Some(entry()));
        }
        if by_number.is_none() && wanted == Some(uid) {
            by_number = Some(entry());
        }
    }
    Ok(by_number)
}

fn read_groups(root: BorrowedFd<'_>) -> Result<Vec<Group>, UserError> {
    let parse = |line: String| {
        let mut fields = line.split(':');
        let (name, _, gid) = (fields.next()?, fields.next()?, fields.next()?.parse().ok()?);
        let members =
            fields.next().unwrap_or("").split(',').filter(|m| !m.is_empty()).map(str::to_owned).collect();
        Some(Group { name: name.to_owned(), gid, members })
    };
    Ok(lines(root, "group")?.into_iter().filter_map(parse).collect())
}

fn find_group(groups: &[Group], group: &str) -> Result<u32, UserError> {
    if let Some(found) = groups.iter().find(|g| g.name == group) {
        return in_range(found.gid, group);
    }
    number(group).ok_or_else(|| UserError::NoGroup(group.to_owned()))?.and_then(|gid| in_range(gid, group))
}

/// The lines of `/etc/<file>`; none when there is no such file.
fn lines(root: BorrowedFd<'_>, file: &'static str) -> Result<Vec<String>, UserError> {
    let failed = |source: std::io::Error| UserError::Read { file, source };
    // O_NONBLOCK: opening a FIFO for reading would otherwise wait for a writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let fd = match rustix::fs::openat2(root, format!("etc/{file}"), flags, Mode::empty(), resolve) {
        Ok(fd) => fd,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(vec![]),
        Err(errno) => return Err(failed(errno.into())),
    };
    let meta = rustix::fs::fstat(&fd).map_err(|errno| failed(errno.into()))?;
    if FileType::from_raw_mode(meta.st_mode) != FileType::RegularFile {
        return Err(failed(std::io::Error::new(
            std::io::ErrorKind::InvalidInput,
            "it is not a regular file",
        )));
    }
    let mut lines = Vec::new();
    let mut reader = BufReader::new(File::from(fd).take(MAX_FILE));
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).map_err(failed)? > 0 {
        lines.push(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned());
        line.clear();
    }
    Ok(lines)
}

#[cfg(test)]
mod tests;
