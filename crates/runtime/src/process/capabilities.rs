//! Capabilities of the new process.

use crate::{
    Failure, Warning,
    report::{Reporter, failed},
};
use oci_spec::runtime::{Capabilities as Names, LinuxCapabilities};
use sys::caps::{Mask, Sets};

/// Numbers are positions in this list (`<linux/capability.h>`).
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// The capabilities that a specification may name, for `features`.
pub fn capability_names() -> Vec<String> {
    NAMES.iter().map(|name| format!("CAP_{name}")).collect()
}

/// The five sets, as masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Capabilities {
    bounding: Mask,
    effective: Mask,
    permitted: Mask,
    inheritable: Mask,
    ambient: Mask,
}

/// What this process can hand on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Available {
    permitted: Mask,
    last: u32,
}

impl Capabilities {
    /// No capabilities in the specification are none at all.
    pub(super) fn plan(capabilities: Option<&LinuxCapabilities>) -> Self {
        let Some(sets) = capabilities else { return Self::default() };
        Self {
            bounding: mask(sets.bounding()),
            effective: mask(sets.effective()),
            permitted: mask(sets.permitted()),
            inheritable: mask(sets.inheritable()),
            ambient: mask(sets.ambient()),
        }
    }

    /// While CAP_SETPCAP is still there. What the engine itself lacks is reported.
    pub(super) fn limit_bounding(&self, reporter: &Reporter) -> Result<Available, Failure> {
        let available = Available {
            permitted: sys::caps::get().map_err(failed("read capabilities"))?.permitted,
            last: sys::caps::last(),
        };
        let missing = (self.permitted | self.effective) & !available.permitted;
        for (_, name) in NAMES.iter().enumerate().filter(|(n, _)| missing & (1 << n) != 0) {
            reporter.warn(Warning::CapabilityDropped { name: format!("CAP_{name}") });
        }
        sys::caps::limit_bounding(self.bounding, available.last).map_err(failed("limit bounding set"))?;
        Ok(available)
    }

    /// Gives up everything else. Nothing is inheritable that was not asked for (CVE-2022-29162).
    pub(super) fn apply(&self, available: &Available) -> Result<(), Failure> {
        let permitted = self.permitted & available.permitted;
        let effective = self.effective & permitted;
        let inheritable = self.inheritable & available.permitted;
        sys::caps::set(Sets { effective, permitted, inheritable }).map_err(failed("set capabilities"))?;
        let ambient = self.ambient & permitted & inheritable;
        sys::caps::set_ambient(ambient, available.last).map_err(failed("set ambient capabilities"))
    }
}

/// setuid(2) to another user emptied the effective set; the permitted one was kept. A seccomp filter without
/// no_new_privs wants CAP_SYS_ADMIN to be effective.
pub(super) fn raise_effective() -> Result<(), Failure> {
    let sets = sys::caps::get().map_err(failed("read capabilities"))?;
    sys::caps::set(Sets { effective: sets.permitted, ..sets }).map_err(failed("raise capabilities"))
}

fn mask(names: &Option<Names>) -> Mask {
    let number = |name: String| NAMES.iter().position(|n| *n == name.trim_start_matches("CAP_"));
    names.iter().flatten().filter_map(|c| number(c.to_string())).fold(0, |mask, n| mask | 1 << n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_their_numbers() {
        let json =
            r#"{"bounding":["CAP_CHOWN","CAP_SYS_ADMIN","CAP_CHECKPOINT_RESTORE"],"ambient":["CAP_BPF"]}"#;
        let sets = Capabilities::plan(Some(&serde_json::from_str(json).unwrap()));
        assert_eq!(sets.bounding, 1 | 1 << 21 | 1 << 40);
        assert_eq!(sets.ambient, 1 << 39);
        assert_eq!(sets.inheritable, 0);
    }

    #[test]
    fn every_name_of_the_specification_has_a_number() {
        for (number, name) in NAMES.iter().enumerate() {
            let json = format!(r#"{{"bounding":["CAP_{name}"]}}"#);
            let sets = Capabilities::plan(Some(&serde_json::from_str(&json).unwrap()));
            assert_eq!(sets.bounding, 1 << number, "{name}");
        }
    }
}
