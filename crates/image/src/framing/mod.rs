//! Writing a layer's archive again, byte for byte, without keeping it.
//!
//! # Theory of operation
//! The same files can be archived in many ways, and a layer's diff ID is the digest of one of them. While a layer is
//! unpacked, its archive also streams through a [`Recorder`], which notes everything but the contents of regular files:
//! headers, padding, the trailer. That *framing*, compressed, is well under one percent of the layer. [`rebuild`] plays
//! it back and takes the contents from the unpacked files. (The idea is tar-split's; the format is our own.)
//!
//! What was rebuilt is digested and compared with the diff ID, so a file that changed, or an archive that held the same
//! path twice (the first contents are lost), gives an error and never a wrong archive.
//!
//! # Format
//! A zstd stream of segments. `R LEN bytes`: bytes as they are. `F LEN PATHLEN path`: LEN bytes of the file at `path`.
//! `I LEN PATHLEN path bytes`: the same for a small file, whose bytes are here too. `T`, at the end: one of these came
//! twice. Numbers are LEB128.

mod parse;
mod record;
mod replay;
#[cfg(test)]
mod tests;

pub(crate) use record::Recorder;
pub(crate) use replay::{Purpose, is_comparable, rebuild};

use crate::{Error, Result};
use model::Digest;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Files shorter than this have their contents recorded: opening them would cost more.
const INLINE_MAX: u64 = 256;
/// The longest path that is recorded (`PATH_MAX`).
const PATH_MAX: usize = 4096;

/// The directory of framings, by diff ID.
#[derive(Debug, Clone)]
pub(crate) struct Framings {
    root: PathBuf,
}

impl Framings {
    /// Opens the directory, making it when absent, and removes what a crash left.
    pub fn open(content: &Path) -> Result<Self> {
        let root = content.join("framing");
        fs::create_dir_all(&root).map_err(Error::file("mkdir", &root))?;
        for entry in fs::read_dir(&root).map_err(Error::file("readdir", &root))? {
            let path = entry.map_err(Error::file("readdir", &root))?.path();
            if path.extension().is_some_and(|e| e == "tmp") {
                fs::remove_file(&path).map_err(Error::file("unlink", &path))?;
            }
        }
        Ok(Self { root })
    }

    fn path(&self, diff_id: &Digest) -> PathBuf {
        self.root.join(diff_id.hex())
    }

    /// Starts recording. The recording disappears unless it is kept.
    pub fn record(&self) -> Result<Recorder<fs::File>> {
        let path = self.root.join(format!("{}.tmp", model::Id::random().short()));
        let file = fs::File::create(&path).map_err(Error::file("create", &path))?;
        Recorder::new(file).map(|r| r.at(path.clone())).map_err(Error::file("write", path))
    }

    /// Keeps a finished recording under the diff ID it belongs to. Not synced: the commit of the layer, which follows,
    /// writes the whole file system to the disk.
    pub fn keep(&self, recorder: Recorder<fs::File>, diff_id: &Digest) -> Result<()> {
        let path = self.path(diff_id);
        recorder.finish(&path).map_err(Error::file("write", &path))
    }

    /// The framing of a layer, compressed.
    pub fn get(&self, diff_id: &Digest) -> Result<fs::File> {
        fs::File::open(self.path(diff_id)).map_err(|e| Error::Inexact {
            diff_id: diff_id.clone(),
            reason: format!("its framing cannot be opened ({})", archive::error::errno_text(&e)),
        })
    }

    pub fn contains(&self, diff_id: &Digest) -> bool {
        self.path(diff_id).exists()
    }

    pub fn remove(&self, diff_id: &Digest) -> Result<()> {
        let path = self.path(diff_id);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::file("unlink", path)(e)),
            _ => Ok(()),
        }
    }

    /// Every diff ID that has a framing.
    pub fn list(&self) -> Result<Vec<Digest>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(Error::file("readdir", &self.root))? {
            let name = entry.map_err(Error::file("readdir", &self.root))?.file_name();
            found.extend(name.to_str().and_then(|hex| format!("sha256:{hex}").parse().ok()));
        }
        Ok(found)
    }
}
