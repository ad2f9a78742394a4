//! vpnkit (moby/vpnkit): what Docker Desktop leads out by, and RootlessKit where there is no slirp4netns. It terminates
//! TCP in OCaml behind an Ethernet socket; an uplink relays the tap's frames to it.

use super::{
    Driver, Ground, Started,
    program::{Wanted, ask_version, check_tun},
    through_uplink::{self, Far},
};
use crate::error::OutwardError;
use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};
use uplink::Protocol;

pub(super) const NAME: &str = "vpnkit";

/// The default gateway of its network, which answers DNS too.
const RESOLVER: Ipv4Addr = Ipv4Addr::new(192, 168, 65, 1);

/// What is known to work with it (rootless-containers/rootlesskit issue 6).
const MTU: u32 = 1500;

const PROGRAM: Wanted = Wanted {
    name: NAME,
    packages: "docker-ce-rootless-extras from Docker's repositories (apt, dnf, zypper), or a build of \
               https://github.com/moby/vpnkit",
    elsewhere: &[],
};

struct Vpnkit {
    program: PathBuf,
    version: String,
}

pub(super) fn probe() -> Result<Box<dyn Driver>, OutwardError> {
    let program = PROGRAM.find()?;
    // Its version is a commit's; whether the protocol is spoken shows in the handshake.
    let version = ask_version(&program)?;
    check_tun()?;
    Ok(Box::new(Vpnkit { program, version }))
}

impl Driver for Vpnkit {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn resolver(&self) -> Option<IpAddr> {
        Some(RESOLVER.into())
    }

    fn start(&self, ground: &Ground<'_>) -> Result<Started, OutwardError> {
        let socket = ground.run.join("vpnkit.sock");
        let mtu = ground.config.mtu.unwrap_or(MTU);
        if mtu != MTU {
            tracing::warn!(mtu, "vpnkit is known to lose connections with any other MTU than 1500");
        }
        let mut arguments = vec!["--ethernet".into(), socket.clone().into(), "--mtu".into()];
        arguments.push(mtu.to_string().into());
        if ground.config.disable_host_loopback {
            // No address that stands for the host.
            arguments.extend(["--host-ip".into(), "0.0.0.0".into()]);
        }
        let program = self.program.clone();
        through_uplink::start(
            ground,
            &Far::Program { protocol: Protocol::Vpnkit, socket, program, arguments },
        )
    }
}
