//! Interfaces: bridges, veth pairs, and what is set on them.

use super::{Change, Netlink};
use crate::{error::Result, lan, mac::MacAddr};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    RouteNetlinkMessage as Message,
    link::{
        BridgeStpState, InfoBridge, InfoBridgePort, InfoData, InfoIpVlan, InfoKind, InfoMacVlan,
        InfoPortData, InfoPortKind, InfoVeth, IpVlanFlags, IpVlanMode, LinkAttribute as Attribute, LinkFlags,
        LinkInfo, LinkMessage, MacVlanMode,
    },
};
use rustix::io::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};

/// A bridge to be made.
pub(crate) struct Bridge<'a> {
    pub name: &'a str,
    /// None: one that the kernel chooses and keeps until a port is added. A bridge without ports has a carrier, which
    /// interfaces on it need, only while its address is not set (net/bridge/br_stp.c, `br_port_state_selection`).
    pub mac: Option<MacAddr>,
    pub mtu: u32,
}

/// A veth pair to be made: one end on a bridge here, the other in a container's namespace.
pub(crate) struct Veth<'a> {
    /// The end in the router namespace.
    pub name: &'a str,
    pub bridge: u32,
    pub mtu: u32,
    /// The end in the container.
    pub peer: &'a str,
    pub peer_mac: MacAddr,
    pub peer_namespace: BorrowedFd<'a>,
}

/// An interface on a parent of this namespace, to be made in a container's.
pub(crate) struct Lan<'a> {
    /// Its name there.
    pub interface: &'a str,
    pub parent: u32,
    pub kind: lan::Kind,
    pub namespace: BorrowedFd<'a>,
}

/// What is read of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub index: u32,
    pub name: String,
    pub is_bridge: bool,
    pub is_veth: bool,
}

fn up(message: &mut LinkMessage) {
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
}

/// The bridge, up. Spanning tree is off and ports forward at once: nothing here can make a loop.
pub(crate) fn add_bridge(bridge: &Bridge<'_>) -> Change {
    let mut message = LinkMessage::default();
    up(&mut message);
    message.attributes = vec![
        Attribute::IfName(bridge.name.to_owned()),
        Attribute::Mtu(bridge.mtu),
        Attribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Bridge),
            LinkInfo::Data(InfoData::Bridge(vec![
                InfoBridge::StpState(BridgeStpState::Disabled),
                InfoBridge::ForwardDelay(0),
                // Without a querier, snooping cuts multicast between containers off after some minutes.
                InfoBridge::MulticastSnooping(false),
            ])),
        ]),
    ];
    // Fixed, because a bridge without an address of its own takes its ports' lowest and changes with them.
    message.attributes.extend(bridge.mac.map(|mac| Attribute::Address(mac.0.to_vec())));
    Change::route(
        format!("make bridge {}", bridge.name),
        &Message::NewLink(message),
        NLM_F_CREATE | NLM_F_EXCL,
    )
}

/// The pair, with the near end up and on its bridge. The far end still has to be brought up in its namespace.
pub(crate) fn add_veth(veth: &Veth<'_>) -> Change {
    // What a pair has anyway unless asked: made with a queue for each processor, it is cut down to one, which waits for a
    // grace period of RCU at both ends (drivers/net/veth.c, `veth_init_queues`).
    let one_queue = [Attribute::NumTxQueues(1), Attribute::NumRxQueues(1)];
    let mut peer = LinkMessage::default();
    peer.attributes = vec![
        Attribute::IfName(veth.peer.to_owned()),
        Attribute::Address(veth.peer_mac.0.to_vec()),
        Attribute::Mtu(veth.mtu),
        Attribute::NetNsFd(veth.peer_namespace.as_raw_fd()),
    ];
    peer.attributes.extend(one_queue.clone());
    let mut message = LinkMessage::default();
    up(&mut message);
    message.attributes = vec![
        Attribute::IfName(veth.name.to_owned()),
        Attribute::Mtu(veth.mtu),
        Attribute::Controller(veth.bridge),
        Attribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]),
    ];
    message.attributes.extend(one_queue);
    let operation = format!("make veth pair {} ↔ {}", veth.name, veth.peer);
    Change::route(operation, &Message::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
}

/// The interface, still down. It has its parent's MTU, and on ipvlan its address.
pub(crate) fn add_lan(wanted: &Lan<'_>) -> Change {
    let (kind, data) = match wanted.kind {
        lan::Kind::Macvlan(mode) => {
            let mode = match mode {
                lan::MacvlanMode::Bridge => MacVlanMode::Bridge,
                lan::MacvlanMode::Private => MacVlanMode::Private,
                lan::MacvlanMode::Vepa => MacVlanMode::Vepa,
                lan::MacvlanMode::Passthru => MacVlanMode::Passthrough,
            };
            (InfoKind::MacVlan, InfoData::MacVlan(vec![InfoMacVlan::Mode(mode)]))
        }
        lan::Kind::Ipvlan(mode, flag) => {
            let mode = match mode {
                lan::IpvlanMode::L2 => IpVlanMode::L2,
                lan::IpvlanMode::L3 => IpVlanMode::L3,
                lan::IpvlanMode::L3s => IpVlanMode::L3S,
            };
            let flags = match flag {
                lan::IpvlanFlag::Bridge => IpVlanFlags::empty(),
                lan::IpvlanFlag::Private => IpVlanFlags::Private,
                lan::IpvlanFlag::Vepa => IpVlanFlags::Vepa,
            };
            (InfoKind::IpVlan, InfoData::IpVlan(vec![InfoIpVlan::Mode(mode), InfoIpVlan::Flags(flags)]))
        }
    };
    let mut message = LinkMessage::default();
    message.attributes = vec![
        Attribute::IfName(wanted.interface.to_owned()),
        Attribute::Link(wanted.parent),
        Attribute::NetNsFd(wanted.namespace.as_raw_fd()),
        Attribute::LinkInfo(vec![LinkInfo::Kind(kind), LinkInfo::Data(data)]),
    ];
    let operation = format!("make interface {} on interface {}", wanted.interface, wanted.parent);
    Change::route(operation, &Message::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
}

/// Forbids a bridge port to talk to other isolated ports (`bridge link set … isolated on`, since Linux 4.18).
pub(crate) fn isolate_port(name: &str) -> Change {
    let mut message = LinkMessage::default();
    message.attributes = vec![
        Attribute::IfName(name.to_owned()),
        Attribute::LinkInfo(vec![
            LinkInfo::PortKind(InfoPortKind::Bridge),
            LinkInfo::PortData(InfoPortData::BridgePort(vec![InfoBridgePort::Isolated(true)])),
        ]),
    ];
    Change::route(format!("isolate bridge port {name}"), &Message::NewLink(message), 0)
}

pub(crate) fn set_up(name: &str) -> Change {
    let mut message = LinkMessage::default();
    up(&mut message);
    message.attributes = vec![Attribute::IfName(name.to_owned())];
    Change::route(format!("bring {name} up"), &Message::SetLink(message), 0)
}

/// Brings a link to the outside up, with room for as many packets as may have to wait.
pub(crate) fn set_up_with(name: &str, mtu: u32, queue: u32) -> Change {
    let mut message = LinkMessage::default();
    up(&mut message);
    message.attributes =
        vec![Attribute::IfName(name.to_owned()), Attribute::Mtu(mtu), Attribute::TxQueueLen(queue)];
    Change::route(format!("bring {name} up with an MTU of {mtu}"), &Message::SetLink(message), 0)
}

/// Brings an interface up with an address of its own.
pub(crate) fn set_up_as(name: &str, mac: MacAddr) -> Change {
    let mut message = LinkMessage::default();
    up(&mut message);
    message.attributes = vec![Attribute::IfName(name.to_owned()), Attribute::Address(mac.0.to_vec())];
    Change::route(format!("bring {name} up as {mac}"), &Message::SetLink(message), 0)
}

/// Deletes an interface; that it is gone already is no error.
pub(crate) fn delete(name: &str) -> Change {
    let mut message = LinkMessage::default();
    message.attributes = vec![Attribute::IfName(name.to_owned())];
    Change::route(format!("delete interface {name}"), &Message::DelLink(message), 0).tolerating(Errno::NODEV)
}

/// Puts an interface into a group (`ip link set … group`); that it is gone already is no error.
pub(crate) fn set_group(name: &str, group: u32) -> Change {
    let mut message = LinkMessage::default();
    message.attributes = vec![Attribute::IfName(name.to_owned()), Attribute::Group(group)];
    Change::route(format!("put {name} into group {group}"), &Message::SetLink(message), 0)
        .tolerating(Errno::NODEV)
}

/// Deletes all interfaces of a group; that there are none is no error.
pub(crate) fn delete_group(group: u32) -> Change {
    let mut message = LinkMessage::default();
    message.attributes = vec![Attribute::Group(group)];
    Change::route(format!("delete interface group {group}"), &Message::DelLink(message), 0)
        .tolerating(Errno::NODEV)
}

impl Netlink {
    pub(crate) fn link(&mut self, name: &str) -> Result<Link> {
        let mut message = LinkMessage::default();
        message.attributes = vec![Attribute::IfName(name.to_owned())];
        let found = self.get(&format!("look up interface {name}"), &Message::GetLink(message))?;
        match read(found) {
            Some(link) => Ok(link),
            None => Err(crate::Error::Netlink {
                operation: format!("look up interface {name}"),
                source: std::io::ErrorKind::InvalidData.into(),
            }),
        }
    }

    pub(crate) fn links(&mut self) -> Result<Vec<Link>> {
        let found = self.dump("list interfaces", &Message::GetLink(LinkMessage::default()))?;
        Ok(found.into_iter().filter_map(read).collect())
    }
}

fn read(message: Message) -> Option<Link> {
    let Message::NewLink(message) = message else { return None };
    let mut link =
        Link { index: message.header.index, name: String::new(), is_bridge: false, is_veth: false };
    for attribute in message.attributes {
        match attribute {
            Attribute::IfName(name) => link.name = name,
            Attribute::LinkInfo(infos) => {
                link.is_bridge |= infos.contains(&LinkInfo::Kind(InfoKind::Bridge));
                link.is_veth |= infos.contains(&LinkInfo::Kind(InfoKind::Veth));
            }
            _ => {}
        }
    }
    Some(link)
}
