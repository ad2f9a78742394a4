//! What a container may do, decided and validated.

use crate::oci::{Capabilities, LinuxDevice, LinuxResources, LinuxSeccomp};
use model::Id;
use std::{collections::BTreeMap, path::PathBuf};

/// Everything about one container that the runtime must know, with nothing left to decide.
///
/// Who the process runs as is not here: names are looked up below the mounted root file system, by the shim
/// ([`crate::user`]).
#[derive(Debug, Clone)]
pub struct ContainerPlan {
    pub id: Id,
    /// Entry point and arguments; never empty.
    pub args: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Absolute.
    pub cwd: String,
    pub terminal: bool,
    /// Columns and rows.
    pub console_size: Option<(u16, u16)>,
    pub hostname: Option<String>,
    pub domainname: Option<String>,
    pub namespaces: Namespaces,
    /// Binds, volumes and tmpfs beyond the defaults, in the order they are mounted. One whose destination is a default
    /// mount's replaces it.
    pub mounts: Vec<PlannedMount>,
    pub capabilities: Capabilities,
    /// All devices, no masks, writable /sys and /proc/sys.
    pub privileged: bool,
    pub no_new_privileges: bool,
    /// None is `seccomp=unconfined`.
    pub seccomp: Option<LinuxSeccomp>,
    /// See [`crate::paths`]; empty for privileged containers and `systempaths=unconfined`.
    pub masked_paths: Vec<String>,
    pub readonly_paths: Vec<String>,
    /// Host device nodes beyond the default ones.
    pub devices: Vec<LinuxDevice>,
    pub rlimits: Vec<Rlimit>,
    pub sysctls: BTreeMap<String, String>,
    /// None where there is no usable cgroup.
    pub resources: Option<LinuxResources>,
    /// Below the engine's own cgroup; none where there is no usable cgroup.
    pub cgroup_path: Option<PathBuf>,
    pub oom_score_adj: Option<i32>,
    pub readonly_rootfs: bool,
    /// Whether group 5 (`tty`) is mapped, for devpts.
    pub many_ids: bool,
    pub annotations: BTreeMap<String, String>,
}

/// Where the container finds one kind of namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Namespace {
    New,
    /// The engine's own ("host").
    Host,
    /// Another container's, by its path in /proc or a descriptor of it.
    Join(PathBuf),
}

#[derive(Debug, Clone)]
pub struct Namespaces {
    pub pid: Namespace,
    pub uts: Namespace,
    pub ipc: Ipc,
    /// [`Namespace::Join`] names what the engine prepared; `Host` is the host's real network.
    pub network: Namespace,
    pub cgroup: Namespace,
}

/// The IPC namespace and the /dev/shm that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ipc {
    /// A new namespace; /dev/shm of so many bytes.
    Private { shm_size: u64 },
    /// A new namespace without /dev/shm (`--ipc none`).
    NoShm,
    /// The engine's own namespace and /dev/shm, and /dev/mqueue where the engine sees one.
    Host { has_mqueue: bool },
    /// Another container's namespace, and its /dev/shm as `/proc/PID/root/dev/shm`, which the shim knows how to reach.
    Join { namespace: PathBuf, shm: PathBuf },
}

/// One mount beyond the defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlannedMount {
    Bind {
        source: PathBuf,
        destination: PathBuf,
        read_only: bool,
        /// Submounts read-only too (`rro`, Linux 5.12).
        recursive_read_only: bool,
        /// Submounts are left out (`bind-nonrecursive`).
        non_recursive: bool,
        propagation: BindPropagation,
    },
    Tmpfs {
        destination: PathBuf,
        /// As mount(8) spells them: `size=64m`, `mode=1777`, `noexec`…
        options: Vec<String>,
    },
}

impl PlannedMount {
    pub fn destination(&self) -> &PathBuf {
        match self {
            Self::Bind { destination, .. } | Self::Tmpfs { destination, .. } => destination,
        }
    }
}

/// mount_namespaces(7), "Shared subtrees".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BindPropagation {
    #[default]
    RPrivate,
    Private,
    RShared,
    Shared,
    RSlave,
    Slave,
}

impl BindPropagation {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RPrivate => "rprivate",
            Self::Private => "private",
            Self::RShared => "rshared",
            Self::Shared => "shared",
            Self::RSlave => "rslave",
            Self::Slave => "slave",
        }
    }
}

/// One limit of setrlimit(2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rlimit {
    /// Docker's short name: `nofile`, `nproc`, …
    pub name: String,
    pub soft: u64,
    pub hard: u64,
}
