//! Addresses, routes, and routing rules.

use super::{Change, Netlink};
use crate::error::Result;
use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage as Message,
    address::{AddressAttribute, AddressFlags, AddressMessage},
    route::{RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType},
    rule::{RuleAction, RuleAttribute, RuleMessage, RulePortRange},
};
use rustix::io::Errno;
use std::{
    net::{IpAddr, Ipv4Addr},
    ops::RangeInclusive,
};

/// The main routing table (rtnetlink(7), `RT_TABLE_MAIN`).
pub(crate) const MAIN: u32 = 254;

/// IP version 4 or 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    fn raw(self) -> AddressFamily {
        match self {
            Self::V4 => AddressFamily::Inet,
            Self::V6 => AddressFamily::Inet6,
        }
    }
}

/// An address on an interface. Duplicate detection is off: this crate gives each address out once, and a container's
/// first packet must not wait a second for it.
pub(crate) fn add_address(interface: u32, address: IpNet) -> Change {
    let ip = address.addr();
    let mut message = AddressMessage::default();
    message.header.family = Family::of(ip).raw();
    message.header.prefix_len = address.prefix_len();
    message.header.index = interface;
    message.attributes = vec![AddressAttribute::Address(ip)];
    match address {
        IpNet::V4(net) => {
            message.attributes.push(AddressAttribute::Local(ip));
            if net.prefix_len() < 31 {
                message.attributes.push(AddressAttribute::Broadcast(net.broadcast()));
            }
        }
        IpNet::V6(_) => message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad)),
    }
    Change::route(format!("add address {address}"), &Message::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL)
        .tolerating(Errno::EXIST)
}

/// What a route does with the packets it matches.
pub(crate) enum Via {
    Gateway {
        address: IpAddr,
        interface: u32,
    },
    /// To neighbours on the link.
    Link {
        interface: u32,
    },
    /// Delivered here, whatever the address (table 100 of [`crate::router`]).
    Local {
        interface: u32,
    },
    /// Answered with "communication administratively prohibited".
    Prohibit,
}

fn route(table: u32, to: IpNet, via: &Via) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = Family::of(to.addr()).raw();
    message.header.destination_prefix_length = to.prefix_len();
    message.header.protocol = RouteProtocol::Boot;
    message.header.scope = RouteScope::Universe;
    message.attributes = vec![RouteAttribute::Table(table)];
    if to.prefix_len() > 0 {
        message.attributes.push(RouteAttribute::Destination(to.network().into()));
    }
    match via {
        Via::Gateway { address, interface } => {
            message.header.kind = RouteType::Unicast;
            message.attributes.push(RouteAttribute::Gateway((*address).into()));
            message.attributes.push(RouteAttribute::Oif(*interface));
        }
        Via::Link { interface } => {
            message.header.kind = RouteType::Unicast;
            message.header.scope = RouteScope::Link;
            message.attributes.push(RouteAttribute::Oif(*interface));
        }
        Via::Local { interface } => {
            message.header.kind = RouteType::Local;
            message.header.scope = RouteScope::Host;
            message.attributes.push(RouteAttribute::Oif(*interface));
        }
        Via::Prohibit => message.header.kind = RouteType::Prohibit,
    }
    message
}

pub(crate) fn add_route(table: u32, to: IpNet, via: &Via) -> Change {
    let message = Message::NewRoute(route(table, to, via));
    Change::route(format!("add route to {to} in table {table}"), &message, NLM_F_CREATE | NLM_F_EXCL)
        .tolerating(Errno::EXIST)
}

pub(crate) fn delete_route(table: u32, to: IpNet, via: &Via) -> Change {
    let message = Message::DelRoute(route(table, to, via));
    Change::route(format!("delete route to {to} in table {table}"), &message, 0).tolerating(Errno::SRCH)
}

impl Netlink {
    /// The destinations that a table prohibits.
    pub(crate) fn prohibited(&mut self, table: u32) -> Result<Vec<IpNet>> {
        let mut found = Vec::new();
        for family in [Family::V4, Family::V6] {
            let mut message = RouteMessage::default();
            message.header.address_family = family.raw();
            let routes = self.dump("list routes", &Message::GetRoute(message))?;
            found.extend(routes.into_iter().filter_map(|route| prohibited(route, table)));
        }
        Ok(found)
    }
}

/// Dumps are of all tables (rtnetlink(7)).
fn prohibited(message: Message, of: u32) -> Option<IpNet> {
    let Message::NewRoute(route) = message else { return None };
    let (mut table, mut destination) = (u32::from(route.header.table), None);
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Destination(RouteAddress::Inet(v4)) => destination = Some((*v4).into()),
            RouteAttribute::Destination(RouteAddress::Inet6(v6)) => destination = Some((*v6).into()),
            _ => {}
        }
    }
    let fits = table == of && route.header.kind == RouteType::Prohibit;
    IpNet::new(destination.filter(|_| fits)?, route.header.destination_prefix_length).ok()
}

/// A rule that answers packets to an address, or to these ports of it, with "administratively prohibited", before any route is looked
/// up. The kernel takes no range that ends beyond 65534 (`FRA_DPORT_RANGE`, since Linux 4.17; net/core/fib_rules.c).
pub(crate) fn prohibit(to: Ipv4Addr, ports: &Option<RangeInclusive<u16>>) -> Change {
    let message = Message::NewRule(guard(to, ports));
    Change::route(format!("close ports {ports:?} of {to}"), &message, NLM_F_CREATE | NLM_F_EXCL)
        .tolerating(Errno::EXIST)
}

/// Takes a [`prohibit`] back.
pub(crate) fn allow(to: Ipv4Addr, ports: &Option<RangeInclusive<u16>>) -> Change {
    let message = Message::DelRule(guard(to, ports));
    Change::route(format!("open ports {ports:?} of {to}"), &message, 0).tolerating(Errno::NOENT)
}

fn guard(to: Ipv4Addr, ports: &Option<RangeInclusive<u16>>) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.dst_len = 32;
    message.header.action = RuleAction::Prohibit;
    message.attributes = vec![RuleAttribute::Priority(GUARD_PRIORITY), RuleAttribute::Destination(to.into())];
    message.attributes.extend(ports.as_ref().map(|ports| {
        RuleAttribute::DestinationPortRange(RulePortRange { start: *ports.start(), end: *ports.end() })
    }));
    message
}

/// Before anything that could lead there.
const GUARD_PRIORITY: u32 = 90;

/// A routing rule (ip-rule(8)).
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub family: Family,
    pub priority: u32,
    pub input: Option<String>,
    pub mark: Option<u32>,
    pub then: Then,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    Lookup(u32),
    /// Look up, and take no default route for an answer.
    LookupSpecific(u32),
    Prohibit,
    Blackhole,
}

impl Rule {
    fn message(&self) -> RuleMessage {
        let mut message = RuleMessage::default();
        message.header.family = self.family.raw();
        message.attributes = vec![RuleAttribute::Priority(self.priority)];
        message.attributes.extend(self.input.clone().map(RuleAttribute::Iifname));
        message.attributes.extend(self.mark.map(RuleAttribute::FwMark));
        match self.then {
            Then::Lookup(table) => {
                message.header.action = RuleAction::ToTable;
                message.attributes.push(RuleAttribute::Table(table));
            }
            Then::LookupSpecific(table) => {
                message.header.action = RuleAction::ToTable;
                message.attributes.push(RuleAttribute::Table(table));
                message.attributes.push(RuleAttribute::SuppressPrefixLen(0));
            }
            Then::Prohibit => message.header.action = RuleAction::Prohibit,
            Then::Blackhole => message.header.action = RuleAction::Blackhole,
        }
        message
    }

    pub(crate) fn add(&self) -> Change {
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        Change::route(format!("add routing rule {self:?}"), &Message::NewRule(self.message()), flags)
            .tolerating(Errno::EXIST)
    }

    pub(crate) fn delete(&self) -> Change {
        Change::route(format!("delete routing rule {self:?}"), &Message::DelRule(self.message()), 0)
            .tolerating(Errno::NOENT)
    }
}
