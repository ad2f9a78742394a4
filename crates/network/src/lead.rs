//! The forwarder as the way out: what the router namespace needs for it.

use crate::{
    config::OutwardConfig,
    error::Result,
    netlink::{
        Netlink, link, nft,
        route::{self, Family, Rule, Then, Via},
    },
    netns, outward,
    router::{OUTWARD_INTERFACE, RETURNING_MARK, Router, everywhere, family_of},
};
use ipnet::IpNet;
use netd::outward::{CATCH_PORT, INTERFACE, OWN_V4, Settings};
use std::os::fd::AsFd;

/// Packets that may wait for the forwarder: a burst of new connections.
const QUEUE: u32 = 4096;

/// How the forwarder is to lead out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lead {
    pub settings: Settings,
    pub mtu: u32,
}

/// What was found out about the kernel.
pub(crate) struct Filtering {
    /// Why source addresses of clients cannot be kept, if so.
    pub without_nft: Option<String>,
    /// Why the forwarder cannot lead out, if so.
    pub cannot_catch: Option<String>,
}

impl Filtering {
    pub(crate) fn none(reason: &str) -> Self {
        Self { without_nft: Some(reason.to_owned()), cannot_catch: Some(reason.to_owned()) }
    }
}

/// Installs the table for the forwarder leading out where that may be wanted and is possible, or else the one for other
/// programs. In the calling thread's network namespace.
pub(crate) fn install_filter(outward: &OutwardConfig, tproxy: &'static str) -> Result<Filtering> {
    let mut netfilter = Netlink::netfilter_here()?;
    let tried = if outward.driver.may_be_lichen() {
        try_catching(&mut netfilter, tproxy)
    } else {
        Err("another driver was chosen".to_owned())
    };
    let Err(reason) = tried else {
        return Ok(Filtering { without_nft: None, cannot_catch: None });
    };
    let refused = nft::install(&mut netfilter, RETURNING_MARK, OUTWARD_INTERFACE).err();
    Ok(Filtering { without_nft: refused.map(|error| error.to_string()), cannot_catch: Some(reason) })
}

fn try_catching(netfilter: &mut Netlink, tproxy: &'static str) -> Result<(), String> {
    // Making one and deleting it again would take milliseconds of every start.
    outward::check_tun().map_err(|error| error.to_string())?;
    nft::catch::install(netfilter, RETURNING_MARK, INTERFACE, CATCH_PORT, tproxy).map_err(|error| {
        format!(
            "the kernel refuses nf_tables or its tproxy expression: {error} (run `sudo modprobe -a nf_tables nft_socket \
             nft_tproxy`; where the modules are missing, the kernel needs CONFIG_NFT_SOCKET and CONFIG_NFT_TPROXY)"
        )
    })
}

impl Router {
    /// Brings the forwarder's tun up and leads everything into it that has no other way.
    pub(crate) fn raise_tun(&self, mtu: u32) -> Result<()> {
        let has_v6 = netns::inside(self.namespace().as_fd(), || {
            // What this namespace itself sends out comes back by the tun with its own address.
            netns::set(&format!("ipv4/conf/{INTERFACE}/accept_local"), "1")?;
            netns::set_if_present(&format!("ipv6/conf/{INTERFACE}/disable_ipv6"), "0")?;
            // A SYN whose addresses a socket in TIME_WAIT has is never forwarded: early demultiplexing ties it to that
            // socket, and ip_forward() drops packets that are tied to any. Old segments, which that state is for, do not
            // turn up late on a bridge; a last acknowledgement that was lost is made up for by a reset.
            netns::set_if_present("ipv4/tcp_max_tw_buckets", "0")?;
            Ok(std::path::Path::new("/proc/sys/net/ipv6").exists())
        })?;
        self.netlink(|netlink| {
            let interface = netlink.link(INTERFACE)?.index;
            let own = IpNet::new(OWN_V4.into(), 32).expect("32 is a prefix length");
            let mut changes =
                vec![link::set_up_with(INTERFACE, mtu, QUEUE), route::add_address(interface, own)];
            for net in everywhere().into_iter().filter(|net| net.addr().is_ipv4() || has_v6) {
                changes.push(route::add_route(route::MAIN, net, &Via::Link { interface }));
                changes.extend(tun_rules(family_of(&net)).iter().map(Rule::add));
            }
            netlink.changes(&changes)
        })
    }

    /// Whether the forwarder's tun is there; also where that cannot be found out.
    pub(crate) fn has_tun(&self) -> bool {
        let links = self.netlink(Netlink::links);
        links.map_or(true, |links| links.iter().any(|link| link.name == INTERFACE))
    }
}

fn tun_rules(family: Family) -> [Rule; 2] {
    let rule =
        |priority, then| Rule { family, priority, input: Some(INTERFACE.to_owned()), mark: None, then };
    [rule(150, Then::LookupSpecific(route::MAIN)), rule(160, Then::Blackhole)]
}
