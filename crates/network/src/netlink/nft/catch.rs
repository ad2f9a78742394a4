//! The router namespace's table when the forwarder leads out (`netd::outward`):
//!
//! ```text
//! table inet lichen {
//!   chain returning { type filter hook prerouting priority mangle;
//!     iifname "lichen0" tcp flags & (fin|syn|rst|ack) == syn  nfproto ipv4  tproxy to 127.0.0.1:9  meta mark set 1  accept
//!     …the same for ipv6 and [::1]:9
//!     socket transparent 1  meta mark set 1 }
//! }
//! ```
//!
//! A SYN that comes from a bridge is nobody's and is led into the tun by routing. `tproxy` also has fragments put together
//! before anything is looked at (`nf_defrag_ipv4_enable`), without connection tracking.

use super::{
    Attributes, IFNAMSIZ, NF_INET_PRE_ROUTING, NFPROTO_IPV4, NFT_META_L4PROTO, NFT_META_NFPROTO,
    NFT_PAYLOAD_TRANSPORT_HEADER, NFT_REG_1, NFT_REG32_00, PRIORITY_MANGLE, attributes, base_chain, compare,
    load, load_meta, replace, returning, rule, set_mark, value,
};
use crate::{error::Result, netlink::Netlink};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const NFPROTO_IPV6: u8 = 10;
const NFT_META_IIFNAME: u32 = 6;
const NFT_REG_VERDICT: u32 = 0;
const NFT_REG_2: u32 = 2;
const NF_ACCEPT: u32 = 1;
const PROTOCOL_TCP: u8 = 6;
/// Where the flags of a segment are, and FIN, SYN, RST and ACK of them (RFC 9293, 3.1).
const FLAGS_OFFSET: u32 = 13;
const FLAGS_ASKED: u8 = 0x17;
const FLAGS_SYN: u8 = 0x02;

/// The expression that some kernels lack (`CONFIG_NFT_TPROXY`).
pub(crate) const TPROXY: &str = "tproxy";

type Expression = (&'static str, Attributes);

/// Replaces the table by this one.
///
/// `tproxy` is the name of that expression: by one that no kernel has, tests see what a kernel without it says.
///
/// # Errors
/// Refused as a whole by a kernel without nf_tables, or without its `socket` or `tproxy` expression.
pub(crate) fn install(
    netlink: &mut Netlink,
    mark: u32,
    interface: &str,
    port: u16,
    tproxy: &'static str,
) -> Result<()> {
    let to_listener = |loopback: IpAddr| {
        let mut expressions = vec![load_input(), compare(NFT_REG_1, &name(interface))];
        expressions.extend(opens_connection());
        expressions.extend(lead_to(loopback, port, tproxy));
        expressions.extend(set_mark(mark));
        expressions.push(accept());
        rule("returning", expressions)
    };
    let content = [
        base_chain("returning", "filter", NF_INET_PRE_ROUTING, PRIORITY_MANGLE),
        to_listener(Ipv4Addr::LOCALHOST.into()),
        to_listener(Ipv6Addr::LOCALHOST.into()),
        returning(mark),
    ];
    replace(netlink, content)
}

fn name(interface: &str) -> [u8; IFNAMSIZ] {
    let mut name = [0; IFNAMSIZ];
    name[..interface.len()].copy_from_slice(interface.as_bytes());
    name
}

fn load_input() -> Expression {
    let list = attributes(|a| {
        a.number(1, NFT_REG_1);
        a.number(2, NFT_META_IIFNAME);
    });
    ("meta", list)
}

/// Matches segments that ask for a connection and do nothing else.
fn opens_connection() -> Vec<Expression> {
    let mask = attributes(|a| {
        a.number(1, NFT_REG32_00);
        a.number(2, NFT_REG32_00);
        a.number(3, 1);
        value(a, 4, &[FLAGS_ASKED]);
        value(a, 5, &[0]);
    });
    vec![
        load_meta(NFT_META_L4PROTO),
        compare(NFT_REG32_00, &[PROTOCOL_TCP]),
        load(NFT_PAYLOAD_TRANSPORT_HEADER, FLAGS_OFFSET, 1),
        ("bitwise", mask),
        compare(NFT_REG32_00, &[FLAGS_SYN]),
    ]
}

/// Gives the packet to the listener at `loopback`, packets of its family only.
fn lead_to(loopback: IpAddr, port: u16, expression: &'static str) -> Vec<Expression> {
    let (family, address) = match loopback {
        IpAddr::V4(v4) => (NFPROTO_IPV4, v4.octets().to_vec()),
        IpAddr::V6(v6) => (NFPROTO_IPV6, v6.octets().to_vec()),
    };
    let put = |register: u32, bytes: &[u8]| {
        let list = attributes(|a| {
            a.number(1, register);
            value(a, 2, bytes);
        });
        ("immediate", list)
    };
    let tproxy = attributes(|a| {
        a.number(1, u32::from(family));
        a.number(2, NFT_REG_1);
        a.number(3, NFT_REG_2);
    });
    vec![
        load_meta(NFT_META_NFPROTO),
        compare(NFT_REG32_00, &[family]),
        put(NFT_REG_1, &address),
        put(NFT_REG_2, &port.to_be_bytes()),
        (expression, tproxy),
    ]
}

fn accept() -> Expression {
    let list = attributes(|a| {
        a.number(1, NFT_REG_VERDICT);
        // NFTA_DATA_VERDICT, with NFTA_VERDICT_CODE inside.
        a.nested(2, attributes(|data| data.nested(2, attributes(|verdict| verdict.number(1, NF_ACCEPT)))));
    });
    ("immediate", list)
}
