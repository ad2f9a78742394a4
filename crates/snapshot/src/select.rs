//! Which driver this machine can run.

use crate::{
    Driver, Error, Result, fs_type,
    overlay::{self, Mounter, Overlays},
    whole::{self, Cloner, WholeTrees},
};
use archive::unpack::Ownership;
use model::DataLayout;
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The driver in use, and why it is not a better one.
pub struct Selected {
    pub driver: Arc<dyn Driver>,
    /// One line for each faster driver that was passed over, for `docker info` and the start-up log. Empty when the
    /// fastest one runs, and when the driver was asked for by name.
    pub warnings: Vec<String>,
}

/// Why a driver cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error("there is no such driver; Lichen has {}", DRIVERS.map(|d| d.name).join(", "))]
    Unknown,
    #[error("{program} is not on PATH; install the package of that name")]
    Missing { program: &'static str },
    #[error("{} has version {version:?}; {}.{} or later is needed", .program.display(), .oldest.0, .oldest.1)]
    Old { program: PathBuf, version: String, oldest: (u32, u32) },
    #[error("the data root is not on {needed} but on {found}")]
    FileSystem { needed: &'static str, found: String },
    /// The probe did for real what the driver does for each container.
    #[error("{operation}: {}{hint}", archive::error::errno_text(.source))]
    Probe { operation: &'static str, source: io::Error, hint: &'static str },
}

/// A driver before it is opened.
struct Candidate {
    name: &'static str,
    probe: fn(&Path) -> Result<Result<(), Unusable>>,
    open: fn(&Path, Ownership) -> Result<Arc<dyn Driver>>,
}

/// Fastest first, but for one thing: fuse-overlayfs is before btrfs because it shares pages between containers and needs
/// no care of the file system.
const DRIVERS: [Candidate; 4] = [
    Candidate {
        name: overlay::KERNEL,
        probe: |root| overlay::probe(root, &Mounter::Kernel),
        open: |root, ownership| Ok(Arc::new(Overlays::open(root, Mounter::Kernel, ownership)?)),
    },
    Candidate {
        name: overlay::FUSE,
        probe: |root| Ok(overlay::find_fuse(root)?.map(drop)),
        open: |root, ownership| {
            let unusable = |reason| Error::Unusable { name: overlay::FUSE.to_owned(), reason };
            let mounter = overlay::fuse_program().map_err(unusable)?;
            Ok(Arc::new(Overlays::open(root, mounter, ownership)?))
        },
    },
    Candidate {
        name: whole::BTRFS,
        probe: whole::probe_btrfs,
        open: |root, ownership| Ok(Arc::new(WholeTrees::open(root, Cloner::Snapshot, ownership)?)),
    },
    Candidate {
        name: whole::VFS,
        probe: |_| Ok(Ok(())),
        open: |root, ownership| Ok(Arc::new(WholeTrees::open(root, Cloner::Copy, ownership)?)),
    },
];

/// Whether there is a driver of this name. Whether it can be used on a data root, [`open`] finds out.
///
/// # Errors
/// [`Error::Unusable`]
pub fn check_name(name: &str) -> Result<()> {
    find(name).map(drop)
}

fn find(name: &str) -> Result<&'static Candidate> {
    let unknown = || Error::Unusable { name: name.to_owned(), reason: Unusable::Unknown };
    DRIVERS.iter().find(|candidate| candidate.name == name).ok_or_else(unknown)
}

/// Opens the driver to use: `forced` (`--storage-driver`, `storage-driver` in daemon.json) or else the first of
/// the drivers, fastest first, whose probe succeeds on the data root. Collects what a crash left behind.
///
/// # Errors
/// [`Error::DataRoot`] when the file system cannot keep ownership, [`Error::Unusable`] when the forced driver cannot
/// run, [`Error::NoDriver`].
pub fn open(layout: &DataLayout, forced: Option<&str>) -> Result<Selected> {
    let root = layout.root();
    std::fs::create_dir_all(root).map_err(Error::file("mkdir", root))?;
    let (uids, gids) = (fs_type::own_map("uid")?, fs_type::own_map("gid")?);
    fs_type::check_data_root(root, &uids, &gids)?;
    // With one ID there is nobody else to own anything.
    let ownership = if uids.len() > 1 && gids.len() > 1 { Ownership::Archive } else { Ownership::Recorded };
    let open = |candidate: &Candidate| (candidate.open)(&layout.driver(candidate.name), ownership);
    if let Some(name) = forced {
        let candidate = find(name)?;
        let unusable = |reason| Error::Unusable { name: name.to_owned(), reason };
        (candidate.probe)(root)?.map_err(unusable)?;
        return Ok(Selected { driver: open(candidate)?, warnings: Vec::new() });
    }
    let mut reasons = Vec::new();
    for candidate in &DRIVERS {
        match (candidate.probe)(root)? {
            Ok(()) => {
                let passed_over = reasons.iter();
                let passed_over =
                    passed_over.map(|(name, reason): &(&str, _)| warning(name, reason, candidate.name));
                let warnings = passed_over.chain(hidden_layers(layout, candidate.name)).collect();
                return Ok(Selected { driver: open(candidate)?, warnings });
            }
            Err(reason) => reasons.push((candidate.name, reason)),
        }
    }
    Err(Error::NoDriver { root: root.to_owned(), reasons })
}

/// One warning for each other driver that has layers here: their images and containers are not shown.
fn hidden_layers(layout: &DataLayout, chosen: &str) -> Vec<String> {
    let has_layers = |candidate: &&Candidate| {
        let records = layout.driver(candidate.name).join("layers");
        std::fs::read_dir(records).is_ok_and(|mut records| records.next().is_some())
    };
    let others = DRIVERS.iter().filter(|candidate| candidate.name != chosen);
    let warn = |other: &Candidate| {
        format!(
            "WARNING: images of storage driver {0} are in {1} and not shown; use --storage-driver={0} to work with them",
            other.name,
            layout.driver(other.name).display()
        )
    };
    others.filter(has_layers).map(warn).collect()
}

fn warning(passed_over: &str, reason: &Unusable, instead: &str) -> String {
    format!(
        "WARNING: storage driver {passed_over} cannot be used ({reason}); using {instead}, which is slower"
    )
}

/// A driver by its name, without probing, for the process that a test kills.
#[cfg(test)]
pub(crate) fn open_named(name: &str, root: &Path) -> Arc<dyn Driver> {
    let candidate = DRIVERS.iter().find(|c| c.name == name).expect("a driver of ours");
    (candidate.open)(root, Ownership::Archive).expect("the driver opens")
}

#[cfg(test)]
mod tests;
