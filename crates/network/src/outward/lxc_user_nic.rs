//! lxc-user-nic(1): the setuid program with which LXC gives an unprivileged user's containers an interface on a bridge of
//! the host's. Packets go through the kernel only, at its speed; in return the administrator has made a bridge with a DHCP
//! server (lxc-net), and allowed the user so many interfaces on it (lxc-usernet(5)).
//!
//! Setuid programs mean nothing in a user namespace of ours, so the launcher runs it. The namespace that the interface is
//! for is named by a process in it: the uplink, which then leases an address.

use super::{
    Driver, Ground, Started,
    program::Wanted,
    through_uplink::{self, Far},
};
use crate::{error::OutwardError, router::OUTWARD_INTERFACE};
use std::{net::IpAddr, os::unix::fs::PermissionsExt};

pub(super) const NAME: &str = "lxc-user-nic";

const SETUID: u32 = 0o4000;

const PROGRAM: Wanted = Wanted {
    name: NAME,
    packages: "liblxc-common (apt) or lxc (dnf, zypper, pacman, apk)",
    elsewhere: &[
        "/usr/libexec/lxc",
        "/usr/lib/lxc",
        "/usr/lib/x86_64-linux-gnu/lxc",
        "/usr/lib/aarch64-linux-gnu/lxc",
    ],
};

struct LxcUserNic;

pub(super) fn probe() -> Result<Box<dyn Driver>, OutwardError> {
    let program = PROGRAM.find()?;
    let failed = |source| OutwardError::Run { program: program.clone(), source };
    let mode = std::fs::metadata(&program).map_err(failed)?.permissions().mode();
    if mode & SETUID == 0 {
        return Err(OutwardError::NotSetuid { program });
    }
    Ok(Box::new(LxcUserNic))
}

impl Driver for LxcUserNic {
    fn name(&self) -> &'static str {
        NAME
    }

    /// It tells nobody.
    fn version(&self) -> &str {
        ""
    }

    fn resolver(&self) -> Option<IpAddr> {
        None
    }

    fn start(&self, ground: &Ground<'_>) -> Result<Started, OutwardError> {
        let launcher = ground.launcher.ok_or(OutwardError::NoLauncher)?;
        let make =
            |pid| launcher.attach(pid, OUTWARD_INTERFACE).map_err(|source| OutwardError::Attach { source });
        through_uplink::start(ground, &Far::Elsewhere(&make))
    }
}
