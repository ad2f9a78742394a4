//! What was asked for and could not be given, without being an error.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Something the caller should pass on to whoever asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Warning {
    /// A resource limit above the hard limit of the engine; an unprivileged user cannot raise it (getrlimit(2)).
    RlimitClamped { name: String, wanted: u64, given: u64 },
    /// A control group limit that nothing can enforce here. The name is the field of the OCI specification.
    LimitDiscarded { limit: String, reason: String },
    /// Supplementary groups cannot be set where setgroups(2) is denied (single-ID maps, user_namespaces(7)).
    GroupsDropped { groups: Vec<u32> },
    /// A mount that this user cannot make was replaced by a bind of the host's.
    MountReplaced { target: String, by: String },
    /// A capability the engine itself does not have.
    CapabilityDropped { name: String },
    /// `oom_score_adj` below the engine's own needs CAP_SYS_RESOURCE in the initial user namespace.
    OomScoreKept { wanted: i32, kept: i32 },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RlimitClamped { name, wanted, given } => {
                write!(f, "ulimit {name}: {wanted} is above the hard limit of this user; {given} is used")
            }
            Self::LimitDiscarded { limit, reason } => write!(f, "limit {limit} discarded: {reason}"),
            Self::GroupsDropped { groups } => {
                write!(
                    f,
                    "supplementary groups {groups:?} dropped: setgroups is denied with a single mapped ID"
                )
            }
            Self::MountReplaced { target, by } => write!(f, "{target}: replaced by {by}"),
            Self::CapabilityDropped { name } => write!(f, "capability {name} is not available here"),
            Self::OomScoreKept { wanted, kept } => {
                write!(f, "oom_score_adj {wanted} needs real root; {kept} is kept")
            }
        }
    }
}
