//! gvisor-tap-vsock by its program gvproxy: gVisor's TCP stack behind a socket that takes qemu's frames. RootlessKit has
//! the same as a library.
//!
//! gvproxy's network is 192.168.127.0/24. Two of its addresses are more than containers may have: 192.168.127.254 stands
//! for the host's loopback, and the gateway serves an HTTP interface by which anyone inside could publish ports on the
//! host. Routing rules leave them the resolver there.

use super::{
    Driver, Ground, Started,
    program::{Wanted, ask_version, check_tun, numbers},
    through_uplink::{self, Far},
};
use crate::{
    config::LARGE_MTU,
    error::{Error, OutwardError},
    netlink::{Change, route},
};
use std::{
    ffi::OsString,
    net::{IpAddr, Ipv4Addr},
    ops::RangeInclusive,
    path::PathBuf,
};
use uplink::Protocol;

pub(super) const NAME: &str = "gvisor-tap-vsock";

/// The first with `-listen-qemu` (containers/gvisor-tap-vsock v0.3.0).
const NEEDED: (u32, u32) = (0, 3);

const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 168, 127, 1);
const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 127, 254);

/// What is closed at the gateway: all but 53 (DNS) and 67 (DHCP, for the uplink's renewals).
const CLOSED: [RangeInclusive<u16>; 3] = [1..=52, 54..=66, 68..=65_534];

const PROGRAM: Wanted = Wanted {
    name: "gvproxy",
    packages: "gvisor-tap-vsock (dnf, pacman, apk), or a release of \
               https://github.com/containers/gvisor-tap-vsock where there is no such package (apt, zypper)",
    // Podman's, which is the only one to use it otherwise.
    elsewhere: &["/usr/libexec/podman", "/usr/lib/podman"],
};

struct Gvisor {
    program: PathBuf,
    version: String,
}

pub(super) fn probe() -> Result<Box<dyn Driver>, OutwardError> {
    let program = PROGRAM.find()?;
    let line = ask_version(&program)?;
    let version = line.trim_start_matches("gvproxy").trim_start_matches(" version").trim().to_owned();
    if numbers(&version).is_some_and(|found| found < NEEDED) {
        return Err(OutwardError::TooOld { found: version, needed: "0.3.0", purpose: "" });
    }
    check_tun()?;
    Ok(Box::new(Gvisor { program, version }))
}

impl Driver for Gvisor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn resolver(&self) -> Option<IpAddr> {
        Some(GATEWAY.into())
    }

    fn start(&self, ground: &Ground<'_>) -> Result<Started, OutwardError> {
        let failed =
            |source: Error| OutwardError::Step { step: "close gvproxy's services", source: source.into() };
        let host_is_closed = ground.config.disable_host_loopback;
        let wanted = guards().filter(|(to, _)| *to != HOST || host_is_closed);
        let guards: Vec<Change> = wanted.map(|(to, ports)| route::prohibit(to, &ports)).collect();
        ground.router.netlink(|netlink| netlink.changes(&guards)).map_err(failed)?;
        let socket = ground.run.join("gvproxy.sock");
        let mut listen = OsString::from("unix://");
        listen.push(&socket);
        let mtu = ground.config.mtu.unwrap_or(LARGE_MTU).to_string();
        // No port of the host's for SSH into a virtual machine that is not there.
        let arguments: Vec<OsString> = ["-mtu".into(), mtu.into(), "-ssh-port".into(), "-1".into()]
            .into_iter()
            .chain(["-listen-qemu".into(), listen])
            .collect();
        let program = self.program.clone();
        through_uplink::start(ground, &Far::Program { protocol: Protocol::Qemu, socket, program, arguments })
    }
}

/// What is not to be reached through the tap.
fn guards() -> impl Iterator<Item = (Ipv4Addr, Option<RangeInclusive<u16>>)> {
    CLOSED.into_iter().map(|ports| (GATEWAY, Some(ports))).chain([(HOST, None)])
}

/// Takes back what [`Gvisor::start`] closed.
pub(super) fn unguard() -> impl Iterator<Item = Change> {
    guards().map(|(to, ports)| route::allow(to, &ports))
}
