//! Small content by digest: configurations and manifests, verbatim.
//!
//! `content/sha256/HEX`, written to a temporary name, synced, renamed; verified whenever it is read.

use crate::{Error, Result, chain::digest_of};
use model::Digest;
use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

/// The directory of small content.
#[derive(Debug, Clone)]
pub struct Content {
    root: PathBuf,
}

impl Content {
    /// Opens the directory, making it when absent, and removes what a crash left.
    pub fn open(root: &Path) -> Result<Self> {
        let root = root.join("sha256");
        fs::create_dir_all(&root).map_err(Error::file("mkdir", &root))?;
        let content = Self { root };
        for entry in fs::read_dir(&content.root).map_err(Error::file("readdir", &content.root))? {
            let path = entry.map_err(Error::file("readdir", &content.root))?.path();
            if path.extension().is_some_and(|e| e == "tmp") {
                fs::remove_file(&path).map_err(Error::file("unlink", &path))?;
            }
        }
        Ok(content)
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.root.join(digest.hex())
    }

    /// Stores `bytes`, durably before it returns.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = digest_of(bytes);
        let path = self.path(&digest);
        if fs::metadata(&path).is_ok_and(|m| m.len() == bytes.len() as u64) {
            return Ok(digest);
        }
        let temporary = self.root.join(format!("{}.{}.tmp", digest.hex(), model::Id::random().short()));
        let written = fs::File::create(&temporary)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&temporary, &path))
            .and_then(|()| fs::File::open(&self.root)?.sync_all());
        if let Err(source) = written {
            // The first failure is the one to report; the leftover goes when the engine next starts.
            drop(fs::remove_file(&temporary));
            return Err(Error::file("write", path)(source));
        }
        Ok(digest)
    }

    /// The bytes, verified.
    pub fn get(&self, digest: &Digest) -> Result<Vec<u8>> {
        let damaged =
            |reason: String| Error::Content { digest: digest.clone(), root: self.root.clone(), reason };
        let bytes = fs::read(self.path(digest)).map_err(|e| damaged(archive::error::errno_text(&e)))?;
        if digest_of(&bytes) != *digest {
            return Err(damaged("its bytes have another digest".to_owned()));
        }
        Ok(bytes)
    }

    pub fn contains(&self, digest: &Digest) -> bool {
        self.path(digest).exists()
    }

    /// Removes what may be absent already.
    pub fn remove(&self, digest: &Digest) -> Result<()> {
        let path = self.path(digest);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::file("unlink", path)(e)),
            _ => Ok(()),
        }
    }

    /// Every digest there is.
    pub fn list(&self) -> Result<Vec<Digest>> {
        let entries = fs::read_dir(&self.root).map_err(Error::file("readdir", &self.root))?;
        let mut digests = Vec::new();
        for entry in entries {
            let name = entry.map_err(Error::file("readdir", &self.root))?.file_name();
            digests.extend(name.to_str().and_then(|hex| format!("sha256:{hex}").parse().ok()));
        }
        Ok(digests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_kept_verified_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let content = Content::open(dir.path()).unwrap();
        let digest = content.put(b"{}").unwrap();
        assert_eq!(content.get(&digest).unwrap(), b"{}");
        assert_eq!(content.list().unwrap(), vec![digest.clone()]);
        fs::write(content.path(&digest), b"[]").unwrap();
        let error = content.get(&digest).unwrap_err().to_string();
        assert!(error.contains("is missing or damaged"), "{error}");
        content.remove(&digest).unwrap();
        content.remove(&digest).unwrap();
        assert!(!content.contains(&digest));
    }

    #[test]
    fn leftovers_of_a_crash_are_collected() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sha256")).unwrap();
        let leftover = dir.path().join("sha256").join(format!("{}.abc.tmp", "0".repeat(64)));
        fs::write(&leftover, b"half").unwrap();
        Content::open(dir.path()).unwrap();
        assert!(!leftover.exists());
    }
}
