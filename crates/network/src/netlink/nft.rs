//! The few nf_tables messages that are needed, written out: netlink attributes of `linux/netfilter/nf_tables.h`, byte
//! order big-endian throughout (`NLA_BE32`).
//!
//! One table of ours in the router namespace, made anew at each start of the engine in one transaction; this one when
//! another program leads out, that of [`catch`] when the forwarder does:
//!
//! ```text
//! table inet lichen {
//!   chain returning { type filter hook prerouting priority mangle; socket transparent 1 meta mark set 1 }
//!   chain outward   { type nat hook postrouting priority srcnat; oifname "tap0" masquerade }
//! }
//! ```
//!
//! And one in the namespace of each container on user-defined networks, which leads port 53 of 127.0.0.11 to where its
//! resolver listens, so that the container may have a server of its own on port 53. It rewrites the port of each packet
//! without connection tracking, which would cost all of the container's traffic:
//!
//! ```text
//! table inet lichen {
//!   chain resolver { type filter hook output priority mangle;
//!     ip daddr 127.0.0.11 udp dport 53 udp dport set P    ip saddr 127.0.0.11 udp sport P udp sport set 53
//!     ip daddr 127.0.0.11 tcp dport 53 tcp dport set Q    ip saddr 127.0.0.11 tcp sport Q tcp sport set 53 }
//! }
//! ```

pub(crate) mod catch;

use super::{Change, Netlink};
use crate::error::{Error, Result};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use rustix::io::Errno;
use std::net::Ipv4Addr;

const TABLE: &str = "lichen";

const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFPROTO_INET: u8 = 1;

const NFT_MSG_NEWTABLE: u16 = 0;
const NFT_MSG_GETTABLE: u16 = 1;
const NFT_MSG_DELTABLE: u16 = 2;
const NFT_MSG_NEWCHAIN: u16 = 3;
const NFT_MSG_NEWRULE: u16 = 6;

const NF_INET_PRE_ROUTING: u32 = 0;
const NF_INET_LOCAL_OUT: u32 = 3;
const NF_INET_POST_ROUTING: u32 = 4;
const PRIORITY_MANGLE: i32 = -150;
const PRIORITY_SRCNAT: i32 = 100;

const NFT_REG_1: u32 = 1;
const NFT_REG32_00: u32 = 8;
const NFT_META_MARK: u32 = 3;
const NFT_META_OIFNAME: u32 = 7;
const NFT_META_NFPROTO: u32 = 15;
const NFT_META_L4PROTO: u32 = 16;
const NFPROTO_IPV4: u8 = 2;
const NFT_PAYLOAD_NETWORK_HEADER: u32 = 1;
const NFT_PAYLOAD_TRANSPORT_HEADER: u32 = 2;
const NFT_PAYLOAD_CSUM_INET: u32 = 1;
const NFT_SOCKET_TRANSPARENT: u32 = 0;
const NFT_CMP_EQ: u32 = 0;
const NLA_F_NESTED: u16 = 1 << 15;
const IFNAMSIZ: usize = 16;

/// Netlink attributes: length, type, value, padding to four bytes.
#[derive(Default)]
struct Attributes(Vec<u8>);

impl Attributes {
    fn bytes(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(4 + value.len()).expect("attributes written here are short");
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn text(&mut self, kind: u16, value: &str) {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes);
    }

    fn number(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    fn nested(&mut self, kind: u16, inner: Self) {
        self.bytes(kind | NLA_F_NESTED, &inner.0);
    }
}

fn attributes(fill: impl FnOnce(&mut Attributes)) -> Attributes {
    let mut list = Attributes::default();
    fill(&mut list);
    list
}

/// `struct nfgenmsg` (family, version, resource) and the attributes.
fn message(operation: &str, kind: u16, flags: u16, list: Attributes) -> Change {
    let mut payload = vec![NFPROTO_INET, 0, 0, 0];
    payload.extend(list.0);
    Change::new(format!("nf_tables: {operation}"), (NFNL_SUBSYS_NFTABLES << 8) | kind, flags, payload)
}

fn batch(kind: u16) -> Change {
    let mut payload = vec![0, 0];
    payload.extend(NFNL_SUBSYS_NFTABLES.to_be_bytes());
    Change::frame("nf_tables: transaction", kind, payload)
}

fn table(kind: u16, flags: u16) -> Change {
    let list = attributes(|a| a.text(1, TABLE));
    message("table", kind, flags, list)
}

fn base_chain(name: &str, kind: &str, hook: u32, priority: i32) -> Change {
    let list = attributes(|a| {
        a.text(1, TABLE);
        a.text(3, name);
        a.nested(
            4,
            attributes(|hooked| {
                hooked.number(1, hook);
                hooked.number(2, priority.cast_unsigned());
            }),
        );
        a.text(7, kind);
    });
    message(name, NFT_MSG_NEWCHAIN, NLM_F_CREATE, list)
}

fn rule(chain: &str, expressions: Vec<(&str, Attributes)>) -> Change {
    let list = attributes(|a| {
        a.text(1, TABLE);
        a.text(2, chain);
        a.nested(
            4,
            attributes(|list| {
                for (name, data) in expressions {
                    list.nested(
                        1,
                        attributes(|expression| {
                            expression.text(1, name);
                            expression.nested(2, data);
                        }),
                    );
                }
            }),
        );
    });
    message(chain, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, list)
}

const NLM_F_APPEND: u16 = 0x800;

/// `NFTA_DATA_VALUE` inside the attribute `kind`.
fn value(a: &mut Attributes, kind: u16, bytes: &[u8]) {
    a.nested(kind, attributes(|data| data.bytes(1, bytes)));
}

fn compare(register: u32, bytes: &[u8]) -> (&'static str, Attributes) {
    let list = attributes(|a| {
        a.number(1, register);
        a.number(2, NFT_CMP_EQ);
        value(a, 3, bytes);
    });
    ("cmp", list)
}

/// Packets that belong to a transparent socket of the forwarder get the mark that routes them to it.
fn returning(mark: u32) -> Change {
    let socket = attributes(|a| {
        a.number(1, NFT_SOCKET_TRANSPARENT);
        a.number(2, NFT_REG32_00);
    });
    let mut expressions = vec![("socket", socket), compare(NFT_REG32_00, &[1])];
    expressions.extend(set_mark(mark));
    rule("returning", expressions)
}

fn set_mark(mark: u32) -> [(&'static str, Attributes); 2] {
    let immediate = attributes(|a| {
        a.number(1, NFT_REG32_00);
        value(a, 2, &mark.to_ne_bytes());
    });
    let set = attributes(|a| {
        a.number(2, NFT_META_MARK);
        a.number(3, NFT_REG32_00);
    });
    [("immediate", immediate), ("meta", set)]
}

/// What leaves by `interface` takes its address.
fn masquerade(interface: &str) -> Change {
    let mut name = [0; IFNAMSIZ];
    name[..interface.len()].copy_from_slice(interface.as_bytes());
    let output = attributes(|a| {
        a.number(1, NFT_REG_1);
        a.number(2, NFT_META_OIFNAME);
    });
    let expressions = vec![("meta", output), compare(NFT_REG_1, &name), ("masq", Attributes::default())];
    rule("outward", expressions)
}

/// One direction of a port's rewriting.
struct Rewrite {
    protocol: u8,
    /// Offsets in the headers: of the IPv4 address and of the port that are looked at, and of the checksum to mend.
    address: u32,
    port: u32,
    checksum: u32,
    from: u16,
    to: u16,
}

/// Destination and source of IPv4 (RFC 791, 3.1), ports and checksums of UDP and TCP (RFC 768, RFC 9293).
fn rewrites(udp: u16, tcp: u16) -> [Rewrite; 4] {
    const DOMAIN: u16 = 53;
    let to = |protocol, checksum, port| Rewrite {
        protocol,
        address: 16,
        port: 2,
        checksum,
        from: DOMAIN,
        to: port,
    };
    let back = |protocol, checksum, port| Rewrite {
        protocol,
        address: 12,
        port: 0,
        checksum,
        from: port,
        to: DOMAIN,
    };
    [to(17, 6, udp), back(17, 6, udp), to(6, 16, tcp), back(6, 16, tcp)]
}

fn load_meta(key: u32) -> (&'static str, Attributes) {
    let list = attributes(|a| {
        a.number(1, NFT_REG32_00);
        a.number(2, key);
    });
    ("meta", list)
}

fn load(base: u32, offset: u32, length: u32) -> (&'static str, Attributes) {
    let list = attributes(|a| {
        a.number(1, NFT_REG32_00);
        a.number(2, base);
        a.number(3, offset);
        a.number(4, length);
    });
    ("payload", list)
}

fn rewrite(resolver: Ipv4Addr, wanted: &Rewrite) -> Change {
    let value_of_port = attributes(|a| {
        a.number(1, NFT_REG32_00);
        value(a, 2, &wanted.to.to_be_bytes());
    });
    let store = attributes(|a| {
        a.number(2, NFT_PAYLOAD_TRANSPORT_HEADER);
        a.number(3, wanted.port);
        a.number(4, 2);
        a.number(5, NFT_REG32_00);
        a.number(6, NFT_PAYLOAD_CSUM_INET);
        a.number(7, wanted.checksum);
    });
    let expressions = vec![
        load_meta(NFT_META_NFPROTO),
        compare(NFT_REG32_00, &[NFPROTO_IPV4]),
        load(NFT_PAYLOAD_NETWORK_HEADER, wanted.address, 4),
        compare(NFT_REG32_00, &resolver.octets()),
        load_meta(NFT_META_L4PROTO),
        compare(NFT_REG32_00, &[wanted.protocol]),
        load(NFT_PAYLOAD_TRANSPORT_HEADER, wanted.port, 2),
        compare(NFT_REG32_00, &wanted.from.to_be_bytes()),
        ("immediate", value_of_port),
        ("payload", store),
    ];
    rule("resolver", expressions)
}

/// Makes our table with these chains and rules, in the place of one that is there, in one transaction.
fn replace(netlink: &mut Netlink, content: impl IntoIterator<Item = Change>) -> Result<()> {
    let mut changes = vec![batch(NFNL_MSG_BATCH_BEGIN)];
    if exists(netlink)? {
        changes.push(table(NFT_MSG_DELTABLE, 0));
    }
    changes.push(table(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL));
    changes.extend(content);
    changes.push(batch(NFNL_MSG_BATCH_END));
    netlink.changes(&changes)
}

/// Whether our table is there. Deleting what is not would need it to be added first, and what has been deleted keeps the
/// socket's close(2) waiting for a grace period of RCU (`nf_tables_trans_destroy_flush_work`): 15 ms of a start.
fn exists(netlink: &mut Netlink) -> Result<bool> {
    match netlink.change(table(NFT_MSG_GETTABLE, 0)) {
        Ok(()) => Ok(true),
        Err(Error::Netlink { source, .. }) if Errno::from_io_error(&source) == Some(Errno::NOENT) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// The router namespace's table: the returning rule, and masquerading on `outward`.
///
/// # Errors
/// Refused as a whole by a kernel without nf_tables, its `socket` or its `masq` expression.
pub(crate) fn install(netlink: &mut Netlink, mark: u32, outward: &str) -> Result<()> {
    let content = [
        base_chain("returning", "filter", NF_INET_PRE_ROUTING, PRIORITY_MANGLE),
        returning(mark),
        base_chain("outward", "nat", NF_INET_POST_ROUTING, PRIORITY_SRCNAT),
        masquerade(outward),
    ];
    replace(netlink, content)
}

/// A container's table: port 53 of `resolver` leads to the ports it listens on.
pub(crate) fn lead_to_resolver(netlink: &mut Netlink, resolver: Ipv4Addr, udp: u16, tcp: u16) -> Result<()> {
    let chain = base_chain("resolver", "filter", NF_INET_LOCAL_OUT, PRIORITY_MANGLE);
    let rules = rewrites(udp, tcp);
    replace(netlink, [chain].into_iter().chain(rules.iter().map(|wanted| rewrite(resolver, wanted))))
}
