//! Why a container cannot be made as asked. Texts are moby's (`daemon/container.go`, `daemon/daemon_unix.go`).

use crate::mounts::MountError;

#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    #[error("config cannot be empty in order to create a container")]
    NoConfig,
    #[error("no command specified")]
    NoCommand,
    #[error("hostname \"{0}\" is too long (maximum 64 bytes)")]
    HostnameTooLong(String),
    #[error("the working directory '{0}' is invalid, it needs to be an absolute path")]
    WorkingDir(String),
    #[error("invalid signal: {0}")]
    Signal(String),
    #[error("invalid environment variable: {0}")]
    Env(String),
    #[error("{0} in Healthcheck cannot be less than 1ms")]
    HealthTime(&'static str),
    #[error("Retries in Healthcheck cannot be negative")]
    HealthRetries,
    #[error("can't create 'AutoRemove' container with restart policy")]
    AutoRemoveWithRestart,
    #[error(
        "invalid restart policy: unknown policy '{0}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
    )]
    RestartPolicy(String),
    #[error("invalid restart policy: maximum retry count can only be used with 'on-failure'{}", if *.negative { " and cannot be negative" } else { "" })]
    RestartRetries { negative: bool },
    #[error("invalid restart policy: maximum retry count cannot be negative")]
    NegativeRetries,
    #[error("bad format for add-host: \"{0}\"")]
    ExtraHost(String),
    #[error("invalid IP address in add-host: \"{0}\"")]
    ExtraHostAddress(String),
    #[error("invalid port specification: \"{0}\"")]
    Port(String),
    #[error("invalid {option}: unknown capability: \"{name}\"")]
    Capability { option: &'static str, name: String },
    #[error("invalid isolation '{0}' on linux")]
    Isolation(String),
    #[error("invalid Annotations: the empty string is not permitted as an annotation key")]
    EmptyAnnotation,
    #[error("invalid annotation {name}={value}: expected {expected}")]
    Annotation { name: &'static str, value: String, expected: &'static str },
    #[error("invalid IPC mode: {0}")]
    IpcMode(String),
    #[error("invalid PID mode: {0}")]
    PidMode(String),
    #[error("invalid UTS mode: {0}")]
    UtsMode(String),
    #[error("invalid userns mode: {0}")]
    UsernsMode(String),
    #[error("invalid cgroup namespace mode: {0}")]
    CgroupnsMode(String),
    #[error("conflicting options: {0}")]
    Conflict(&'static str),
    #[error("SHM size can not be less than 0")]
    ShmSize,
    #[error("Invalid value {0}, range for oom score adj is [-1000, 1000]")]
    OomScoreAdj(i64),
    #[error("unknown or invalid runtime name: {0}")]
    Runtime(String),
    #[error("{0}")]
    Limit(String),
    #[error("invalid ulimit {name}: {reason}")]
    Ulimit { name: String, reason: &'static str },
    #[error("invalid --security-opt: \"{0}\"")]
    SecurityOpt(String),
    #[error("logger: no log driver named '{0}' is registered")]
    LogDriver(String),
    #[error(transparent)]
    LogOptions(logs::Error),
    #[error("{0}")]
    Mount(#[from] MountError),
    #[error("invalid config for network {network}: {reason}")]
    Endpoint { network: String, reason: String },
    #[error(
        "container sharing network namespace with another container or host cannot be connected to any other network"
    )]
    SharedWithNetworks,
    #[error(
        "invalid mount config: must use either propagation mode \"rslave\" or \"rshared\" when mount source is within the daemon root, daemon root: \"{data}\", bind mount source: \"{bound}\", propagation: \"{propagation}\""
    )]
    DataRootPropagation { data: String, bound: String, propagation: String },
    #[error("bad format for links: {0}")]
    Link(String),
    #[error("bad format for path: {0}")]
    DevicePath(String),
    #[error("invalid device cgroup rule format: '{0}'")]
    DeviceRule(String),
    #[error("could not select device driver \"{driver}\" with capabilities: {capabilities}")]
    DeviceRequest { driver: String, capabilities: String },
    #[error("--storage-opt is supported only for overlay over xfs with 'pquota' mount option")]
    StorageOpt,
    #[error("sysctl '{0}' is not in a separate kernel namespace")]
    Sysctl(String),
    #[error("No exec command specified")]
    NoExecCommand,
    #[error("Invalid escape keys ({0}) provided")]
    DetachKeys(String),
    #[error("cannot mount volume over existing file, file exists {0}")]
    VolumeOverFile(String),
}
