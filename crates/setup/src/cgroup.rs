//! Which limits this user's containers can have (cgroups(7)).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The controllers that container limits use.
pub const WANTED: [&str; 5] = ["cpu", "cpuset", "io", "memory", "pids"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cgroup {
    /// Version 1, or both at once: nothing can be delegated safely.
    Old,
    /// Version 2, with the controllers that are delegated to the user.
    Unified { controllers: BTreeSet<String> },
}

impl Cgroup {
    /// What is wanted and not delegated.
    pub fn missing(&self) -> Vec<&'static str> {
        match self {
            Self::Old => WANTED.to_vec(),
            Self::Unified { controllers } => {
                WANTED.into_iter().filter(|c| !controllers.contains(*c)).collect()
            }
        }
    }
}

const MOUNT: &str = "/sys/fs/cgroup";

/// The user's own systemd manager gets what systemd delegates; where there is none, this process's own cgroup counts, if
/// this user may write to it.
pub fn read(uid: u32) -> Cgroup {
    if !Path::new(MOUNT).join("cgroup.controllers").exists() {
        return Cgroup::Old;
    }
    let manager = Path::new(MOUNT).join(format!("user.slice/user-{uid}.slice/user@{uid}.service"));
    let directory = if manager.is_dir() { Some(manager) } else { own().filter(|dir| delegated(dir)) };
    let text = directory.and_then(|dir| fs::read_to_string(dir.join("cgroup.controllers")).ok());
    Cgroup::Unified { controllers: text.unwrap_or_default().split_whitespace().map(str::to_owned).collect() }
}

fn own() -> Option<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(Path::new(MOUNT).join(path))
}

/// cgroups(7), "Cgroups delegation": the directory and these files are the user's.
fn delegated(directory: &Path) -> bool {
    ["", "cgroup.procs", "cgroup.subtree_control"]
        .iter()
        .all(|file| rustix::fs::access(directory.join(file), rustix::fs::Access::WRITE_OK).is_ok())
}
