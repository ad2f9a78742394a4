//! Which system calls a container may make (seccomp(2)).

mod default;
mod profile;
mod table;

pub use default::default_filter;
pub use profile::{ProfileError, from_profile};

use oci_spec::runtime::{Arch, Capabilities};

/// What a profile's conditions are about.
#[derive(Debug, Clone)]
pub struct Conditions<'a> {
    pub capabilities: &'a Capabilities,
    /// Major and minor version.
    pub kernel: (u32, u32),
}

impl<'a> Conditions<'a> {
    /// The running kernel's.
    pub fn here(capabilities: &'a Capabilities) -> Self {
        Self {
            capabilities,
            kernel: kernel_version(rustix::system::uname().release().to_str().unwrap_or("")),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.capabilities.iter().any(|cap| crate::caps::name(*cap) == name)
    }
}

/// `6.18.44-fc` is (6, 18); what cannot be read is (0, 0), which fulfils no condition.
fn kernel_version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// This machine's architecture as Go spells it, and the ones its kernel runs.
fn native() -> (&'static str, Vec<Arch>) {
    match std::env::consts::ARCH {
        "x86_64" => ("amd64", vec![Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32]),
        "aarch64" => ("arm64", vec![Arch::ScmpArchAarch64, Arch::ScmpArchArm]),
        "riscv64" => ("riscv64", vec![Arch::ScmpArchRiscv64]),
        "s390x" => ("s390x", vec![Arch::ScmpArchS390x, Arch::ScmpArchS390]),
        "powerpc64" => ("ppc64le", vec![Arch::ScmpArchPpc64le]),
        other => (other, vec![]),
    }
}

#[cfg(test)]
mod tests;
