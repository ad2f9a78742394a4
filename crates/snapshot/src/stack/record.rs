//! A layer's record: one small JSON file.

use crate::Usage;
use model::Digest;
use rustix::fs::{self, Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, Write},
    os::fd::BorrowedFd,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Name of the layer's directory in `l/`.
    pub dir: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<Digest>,
    pub usage: Usage,
}

const SUFFIX: &str = ".json";

impl Record {
    pub fn name(chain: &Digest) -> String {
        format!("{}{SUFFIX}", chain.hex())
    }

    /// The chain ID that a record of this name is of.
    pub fn chain(name: &str) -> Option<Digest> {
        format!("sha256:{}", name.strip_suffix(SUFFIX)?).parse().ok()
    }

    /// The caller's syncfs(2) brings it to the disk with the layer.
    pub fn write(&self, dir: BorrowedFd<'_>, name: &str) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mut file = File::from(fs::openat(dir, name, flags, Mode::from(0o600))?);
        file.write_all(&serde_json::to_vec(self)?)
    }

    pub fn read(dir: BorrowedFd<'_>, name: &str) -> io::Result<Self> {
        let file = File::from(fs::openat(dir, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?);
        let record: Self = serde_json::from_reader(io::BufReader::new(file))?;
        // It becomes part of a path.
        if record.dir.is_empty() || !record.dir.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("directory {:?}", record.dir)));
        }
        Ok(record)
    }
}
