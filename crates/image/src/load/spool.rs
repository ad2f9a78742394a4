//! The members of an archive in temporary files, or of a directory as they lie there.

use super::InvalidArchive;
use crate::{Error, Result, blob::Blob, manifest::DOCUMENT_MAX, stack::BlobFile};
use archive::{
    Limits,
    read::{Entry, Kind, Reader},
};
use std::{
    collections::HashMap,
    fs::File,
    io::{BufReader, Read, Write},
    path::{Path, PathBuf},
};

/// Members of one archive. An image of the largest layer count has some hundreds.
const MEMBERS_MAX: u64 = 100_000;
/// Links to links, as old releases of `docker save` write them for equal layers.
const LINKS_MAX: usize = 8;

/// An archive that was read, whose files disappear with the value; or a directory, which stays as it is.
pub(super) struct Spool {
    place: Place,
    members: HashMap<String, Content>,
    files: u64,
}

enum Place {
    Temporary(Directory),
    /// Somebody else's: its members are looked for when they are asked for.
    Layout(PathBuf),
}

enum Content {
    File(BlobFile),
    /// The name of another member.
    Link(String),
}

/// A temporary directory of our own.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            // It lies below the directory that is emptied when the engine starts.
            tracing::warn!(path = %self.0.display(), %error, "temporary files stay until the next start");
        }
    }
}

impl Spool {
    /// Reads all of an archive, plain or compressed.
    pub fn read(archive: impl Read, tmp: &Path) -> Result<Self> {
        let path = tmp.join(format!("load-{}", model::Id::random().short()));
        std::fs::create_dir(&path).map_err(Error::file("mkdir", &path))?;
        let place = Place::Temporary(Directory(path));
        let mut spool = Self { place, members: HashMap::new(), files: 0 };
        let limits = Limits { entries: MEMBERS_MAX, ..Limits::default() };
        let mut blob = Blob::new(archive, &limits)?;
        let mut reader = Reader::new(BufReader::with_capacity(128 << 10, &mut blob), &limits);
        let outcome = spool.members(&mut reader);
        drop(reader);
        match (outcome, blob.take_failure()) {
            (Err(_), Some(source)) => Err(Error::Stream { operation: "read archive", source }),
            (outcome, _) => outcome.map(|()| spool),
        }
    }

    /// An OCI image layout that lies unpacked at `path`.
    pub fn layout(path: &Path) -> Self {
        Self { place: Place::Layout(path.to_owned()), members: HashMap::new(), files: 0 }
    }

    fn path(&self, name: &str) -> PathBuf {
        match &self.place {
            Place::Temporary(directory) => directory.0.join(name),
            Place::Layout(path) => path.join(name),
        }
    }

    fn members(&mut self, reader: &mut Reader<impl std::io::BufRead>) -> Result<()> {
        while let Some(entry) = reader.next_entry()? {
            let Some(name) = normal(&entry.path) else { continue };
            let content = match entry.kind {
                Kind::File => Content::File(self.store(reader)?),
                Kind::Symlink | Kind::HardLink => Content::Link(link_target(&name, &entry)?),
                _ => continue,
            };
            self.members.insert(name, content);
        }
        reader.drain()?;
        Ok(())
    }

    fn store(&mut self, reader: &mut Reader<impl std::io::BufRead>) -> Result<BlobFile> {
        self.files += 1;
        let path = self.path(&self.files.to_string());
        let failed = |e| Error::file("write", &path)(e);
        let mut file = File::create(&path).map_err(failed)?;
        let mut size = 0;
        loop {
            let bytes = reader.payload()?;
            let length = bytes.len();
            if length == 0 {
                return Ok(BlobFile { path, size });
            }
            file.write_all(bytes).map_err(Error::file("write", &path))?;
            reader.consume(length);
            size += length as u64;
        }
    }

    pub fn contains(&self, name: &str) -> bool {
        match &self.place {
            Place::Temporary(_) => self.members.contains_key(name),
            Place::Layout(_) => self.member(name).is_ok(),
        }
    }

    /// A regular file, through links if need be.
    pub fn member(&self, name: &str) -> Result<BlobFile> {
        let missing = || InvalidArchive::Missing { member: name.to_owned() };
        let mut current = normal(name.as_bytes()).ok_or_else(missing)?;
        if let Place::Layout(_) = self.place {
            let not_a_file = || InvalidArchive::NotAFile { member: name.to_owned() };
            return Ok(BlobFile::at(self.path(&current))?.ok_or_else(not_a_file)?);
        }
        for _ in 0..LINKS_MAX {
            match self.members.get(&current).ok_or_else(missing)? {
                Content::File(member) => return Ok(member.clone()),
                Content::Link(target) => current = target.clone(),
            }
        }
        Err(InvalidArchive::Link { member: name.to_owned() }.into())
    }

    /// The bytes of a small file.
    pub fn document(&self, name: &str) -> Result<Vec<u8>> {
        let member = self.member(name)?;
        if member.size > DOCUMENT_MAX {
            return Err(InvalidArchive::TooLarge { member: name.to_owned(), limit: DOCUMENT_MAX }.into());
        }
        let mut bytes = Vec::new();
        member
            .open()?
            .take(DOCUMENT_MAX)
            .read_to_end(&mut bytes)
            .map_err(Error::file("read", &member.path))?;
        Ok(bytes)
    }
}

/// `./a//b/` is `a/b`; nothing for the root itself, for a path that climbs, and for one that is not UTF-8: no document
/// of the archive could name those.
fn normal(path: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(path).ok()?;
    let parts: Vec<_> = text.split('/').filter(|p| !matches!(*p, "" | ".")).collect();
    (!parts.is_empty() && !parts.contains(&"..")).then(|| parts.join("/"))
}

/// Where a link leads, as a member's name: hard links from the root, symbolic ones from where they stand.
fn link_target(name: &str, entry: &Entry) -> Result<String> {
    let bad = || InvalidArchive::Link { member: name.to_owned() };
    let target = std::str::from_utf8(&entry.link).map_err(|_| bad())?;
    if entry.kind == Kind::HardLink {
        return Ok(normal(target.as_bytes()).ok_or_else(bad)?);
    }
    if target.starts_with('/') {
        return Err(bad().into());
    }
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop().ok_or_else(bad)?),
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}
