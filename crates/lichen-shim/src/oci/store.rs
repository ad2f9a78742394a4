//! The state directory: `ROOT/ID/{state.json,config.json,exec.fifo}`.

use super::args::Global;
use anyhow::{Context, Result, bail};
use model::ProcessRef;
use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, OpenOptions},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// What is remembered of a container between two commands.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct State {
    pub(super) id: String,
    pub(super) bundle: PathBuf,
    pub(super) rootfs: PathBuf,
    pub(super) init: ProcessRef,
    pub(super) created: String,
    pub(super) owner: u32,
    pub(super) cgroup: Option<PathBuf>,
}

/// A container's directory.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
}

impl Directory {
    /// The directory of a new container; an error when there is one.
    pub(super) fn make(global: &Global, id: &str) -> Result<Self> {
        check_id(id)?;
        let mut builder = std::fs::DirBuilder::new();
        builder.mode(0o700);
        builder
            .recursive(true)
            .create(&global.root)
            .with_context(|| format!("make {}", global.root.display()))?;
        let path = global.root.join(id);
        match builder.recursive(false).create(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                bail!("container with given ID already exists")
            }
            made => made.with_context(|| format!("make {}", path.display()))?,
        }
        Ok(Self { path })
    }

    /// The directory of an existing container.
    pub(super) fn open(global: &Global, id: &str) -> Result<Self> {
        check_id(id)?;
        let path = global.root.join(id);
        if !path.is_dir() {
            bail!("container {id:?} does not exist");
        }
        Ok(Self { path })
    }

    pub(super) fn remove(&self) -> Result<()> {
        std::fs::remove_dir_all(&self.path).with_context(|| format!("remove {}", self.path.display()))
    }

    /// Renamed into place, so that another command finds it whole or not at all.
    pub(super) fn write(&self, state: &State, spec: &Spec) -> Result<()> {
        self.put("config.json", &serde_json::to_vec(spec)?)?;
        self.put("state.json", &serde_json::to_vec(state)?)
    }

    fn put(&self, name: &str, contents: &[u8]) -> Result<()> {
        let (path, temporary) = (self.path.join(name), self.path.join(format!(".{name}")));
        std::fs::write(&temporary, contents).with_context(|| format!("write {}", temporary.display()))?;
        std::fs::rename(&temporary, &path).with_context(|| format!("write {}", path.display()))
    }

    pub(super) fn state(&self) -> Result<State> {
        read_json(&self.path.join("state.json"))
    }

    /// The specification as it was when the container was made.
    pub(super) fn spec(&self) -> Result<Spec> {
        read_json(&self.path.join("config.json"))
    }

    fn fifo(&self) -> PathBuf {
        self.path.join("exec.fifo")
    }

    /// Makes what the container waits on, and opens it for both directions, so that it outlives its creator.
    pub(super) fn make_gate(&self) -> Result<File> {
        let path = self.fifo();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0)
            .with_context(|| format!("make {}", path.display()))?;
        File::options().read(true).write(true).open(&path).with_context(|| format!("open {}", path.display()))
    }

    /// Whether the container still waits for `start`.
    pub(super) fn is_waiting(&self) -> bool {
        self.fifo().exists()
    }

    /// Lets the container go on. ENXIO: nobody holds the other end, so the process is gone.
    pub(super) fn open_gate(&self) -> Result<()> {
        let path = self.fifo();
        let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let gate = OpenOptions::new().write(true).custom_flags(flags).open(&path);
        let gate = gate.with_context(|| format!("open {}: the container has gone", path.display()))?;
        // First the file, then the byte: whoever sees the container run also sees it started.
        std::fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
        rustix::io::write(&gate, &[1]).context("start the container")?;
        Ok(())
    }
}

/// IDs become file names (runc, `validateID`).
fn check_id(id: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || "_+-.".contains(c);
    if id.is_empty() || id == "." || id == ".." || !id.chars().all(good) {
        bail!("invalid container ID {id:?}: letters, digits, '_', '+', '-' and '.' make an ID");
    }
    Ok(())
}

/// The IDs of all containers.
pub(super) fn ids(global: &Global) -> Result<Vec<String>> {
    let entries = match std::fs::read_dir(&global.root) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.with_context(|| format!("read {}", global.root.display()))?,
    };
    let mut ids = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.path().join("state.json").exists() {
            ids.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    ids.sort();
    Ok(ids)
}

pub(super) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_are_no_file_names_are_refused() {
        for bad in ["", ".", "..", "a/b", "a b", "é"] {
            assert!(check_id(bad).is_err(), "{bad:?}");
        }
        assert!(check_id("a-B_1.2+3").is_ok());
    }
}
