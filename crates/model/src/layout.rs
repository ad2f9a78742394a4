//! Where everything lives. Nothing else in the code base spells these paths.

use crate::Id;
use std::path::{Path, PathBuf};

/// What survives a reboot: `${XDG_DATA_HOME:-~/.local/share}/lichen`, or `--data-root`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataLayout {
    root: PathBuf,
}

impl DataLayout {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// The database of records (crate `store`).
    pub fn database(&self) -> PathBuf {
        self.root.join("lichen.db")
    }
    /// Half-made things; emptied when the engine starts.
    pub fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }
    /// A storage driver's own directory.
    pub fn driver(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
    /// Manifests, configurations and other blobs by digest.
    pub fn content(&self) -> PathBuf {
        self.root.join("content")
    }
    pub fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }
    pub fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }
    /// Logs, `hosts`, `hostname`, `resolv.conf` of one container.
    pub fn container(&self, id: &Id) -> PathBuf {
        self.containers().join(id.as_str())
    }
}

/// What a reboot clears: `$XDG_RUNTIME_DIR/lichen`, or `--exec-root`. Mode 0700.
///
/// Socket paths stay within the 108 bytes of `sun_path` (unix(7)), so container directories use the short ID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunLayout {
    root: PathBuf,
}

impl RunLayout {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// Who the holder is (`ProcessRef` and namespace inodes).
    pub fn holder_state(&self) -> PathBuf {
        self.root.join("holder.json")
    }
    pub fn holder_socket(&self) -> PathBuf {
        self.root.join("holder.sock")
    }
    /// What the holder and the shims print before they can say it by message; panics, mostly.
    pub fn holder_log(&self) -> PathBuf {
        self.root.join("holder.log")
    }
    /// Where the detached ("router") network namespace is bound, in the holder's mount namespace only.
    pub fn router_netns(&self) -> PathBuf {
        self.root.join("router.net")
    }
    /// Exit statuses of orphans that the holder reaped, one file a PID.
    pub fn holder_exits(&self) -> PathBuf {
        self.root.join("exits")
    }
    pub fn netd_state(&self) -> PathBuf {
        self.root.join("netd.json")
    }
    pub fn netd_socket(&self) -> PathBuf {
        self.root.join("netd.sock")
    }
    /// Where containers may connect to by sockets of the host's, one file each (`bypass::policy`).
    pub fn bypasses(&self) -> PathBuf {
        self.root.join("bypass")
    }
    pub fn bypass(&self, id: &Id) -> PathBuf {
        self.bypasses().join(id.short())
    }
    /// One directory a live container.
    pub fn shims(&self) -> PathBuf {
        self.root.join("c")
    }
    pub fn shim(&self, id: &Id) -> PathBuf {
        self.shims().join(id.short())
    }
    pub fn shim_socket(&self, id: &Id) -> PathBuf {
        self.shim(id).join("shim.sock")
    }
    /// Who the shim and its container's init are.
    pub fn shim_state(&self, id: &Id) -> PathBuf {
        self.shim(id).join("shim.json")
    }
    /// Written, whole, before the exit is announced.
    pub fn shim_exit(&self, id: &Id) -> PathBuf {
        self.shim(id).join("exit.json")
    }
}
