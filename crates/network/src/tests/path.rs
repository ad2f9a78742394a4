//! What routers between the host and a server say of containers' packets: that they have passed too many, that they are too
//! large.

use super::*;
use netd::outward::ping_socket;
use nix::{
    cmsg_space, libc,
    sys::socket::{
        ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt as nix_options,
    },
};
use rustix::{
    io::Errno,
    net::{
        AddressFamily, SendFlags, SocketFlags, SocketType,
        sockopt::{self, Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery},
    },
};

/// A server behind the client of the host's network, over a link of so many bytes.
const FAR: &str = "203.0.113.9";
const FAR6: &str = "2001:db8:2::9";
const NARROW: u32 = 1300;

struct Path {
    host: Host,
    sandbox: Sandbox,
    far: OwnedFd,
}

/// The container's gateway and then two more routers to [`FAR`]: the host, which is none to them, and its client.
fn path() -> Path {
    let host = Host::with(OutwardChoice::Lichen);
    let (far, mut there) = netns::create(Netlink::route_here).unwrap();
    at(&host.client, || {
        for key in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            crate::netns::set(key, "1").unwrap();
        }
        let mut router = Netlink::route_here().unwrap();
        let bridge = link::Bridge { name: "beyond", mac: Some(crate::MacAddr::random()), mtu: NARROW };
        router.changes(&[link::add_bridge(&bridge)]).unwrap();
        let index = router.link("beyond").unwrap().index;
        let veth = link::Veth {
            name: "far",
            bridge: index,
            mtu: NARROW,
            peer: "eth0",
            peer_mac: crate::MacAddr::random(),
            peer_namespace: far.as_fd(),
        };
        let near = [net("203.0.113.1", 24), net("2001:db8:2::1", 64)];
        router.changes(&[link::add_veth(&veth)]).unwrap();
        router.changes(&near.map(|address| route::add_address(index, address))).unwrap();
    });
    let index = there.link("eth0").unwrap().index;
    there
        .changes(&[
            link::set_up("lo"),
            link::set_up("eth0"),
            route::add_address(index, net(FAR, 24)),
            route::add_address(index, net(FAR6, 64)),
        ])
        .unwrap();
    let via = |address: &str, interface| route::Via::Gateway { address: ip(address), interface };
    there
        .changes(&[
            route::add_route(route::MAIN, net("0.0.0.0", 0), &via("203.0.113.1", index)),
            route::add_route(route::MAIN, net("::", 0), &via("2001:db8:2::1", index)),
        ])
        .unwrap();
    let mut here = Netlink::route_here().unwrap();
    let lan = here.link("lan").unwrap().index;
    here.changes(&[route::add_route(route::MAIN, net("2001:db8:2::", 64), &via(CLIENT6, lan))]).unwrap();
    host.networks.create(user_network("dual", |n| n.enable_ipv6 = Some(true))).unwrap();
    let (_, sandbox) = host.container(&["dual"], &[]);
    crate::netns::set("ipv4/ping_group_range", "0 0").unwrap();
    Path { host, sandbox, far }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Udp,
    Tcp,
    Echo,
}

impl Path {
    fn socket(&self, kind: Kind, v4: bool) -> OwnedFd {
        let family = if v4 { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = at(&self.sandbox.netns, || match kind {
            Kind::Echo => ping_socket(v4).unwrap(),
            Kind::Udp | Kind::Tcp => {
                let what = if kind == Kind::Udp { SocketType::DGRAM } else { SocketType::STREAM };
                rustix::net::socket_with(family, what, SocketFlags::NONBLOCK, None).unwrap()
            }
        });
        match v4 {
            true => setsockopt(&socket, nix_options::Ipv4RecvErr, &true).unwrap(),
            false => setsockopt(&socket, nix_options::Ipv6RecvErr, &true).unwrap(),
        }
        socket
    }

    /// What becomes of a packet to the server that may pass so many routers: the type and code of an ICMP error, and whose
    /// it is.
    fn probe(&self, kind: Kind, v4: bool, hops: u8) -> (u8, u8, String) {
        let to =
            SocketAddr::new(ip(if v4 { FAR } else { FAR6 }), if kind == Kind::Echo { 0 } else { 33_434 });
        eventually(|| {
            // A socket of its own for each probe, as traceroute(8) has.
            let socket = self.socket(kind, v4);
            match v4 {
                true => sockopt::set_ip_ttl(&socket, hops.into()).unwrap(),
                false => sockopt::set_ipv6_unicast_hops(&socket, Some(hops)).unwrap(),
            }
            let connected = rustix::net::connect(&socket, &to);
            assert!(matches!(connected, Ok(()) | Err(Errno::INPROGRESS)), "{connected:?}");
            if kind != Kind::Tcp {
                rustix::net::send(&socket, &request(v4, 2), SendFlags::empty()).unwrap();
            }
            // Routers tell so often and no more (icmp(7), `icmp_ratelimit`).
            for _ in 0..50 {
                if let Some((error, Some(by))) = error_of(&socket) {
                    return Ok((error.ee_type, error.ee_code, by.to_string()));
                }
                thread::sleep(Duration::from_millis(10));
            }
            Err(format!("{kind:?}, IPv4 {v4}, {hops} hops: nothing is heard"))
        })
    }
}

/// An echo request with so many bytes of data, which is as good as others for a datagram.
fn request(v4: bool, size: usize) -> Vec<u8> {
    let mut request = vec![if v4 { 8 } else { 128 }, 0, 0, 0, 0, 0, 0, 7];
    request.resize(8 + size, 1);
    request
}

/// The next of a socket's errors: all that the kernel says of it, and whose it is.
fn error_of(socket: &OwnedFd) -> Option<(libc::sock_extended_err, Option<IpAddr>)> {
    let mut space = cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut [], Some(&mut space), flags).ok()?;
    message.cmsgs().unwrap().find_map(|control| match control {
        ControlMessageOwned::Ipv4RecvErr(error, by) => {
            let address = |by: libc::sockaddr_in| u32::from_be(by.sin_addr.s_addr).to_be_bytes();
            Some((error, by.map(|by| address(by).into())))
        }
        ControlMessageOwned::Ipv6RecvErr(error, by) => {
            Some((error, by.map(|by| by.sin6_addr.s6_addr.into())))
        }
        _ => None,
    })
}

#[test]
fn each_router_on_the_way_is_seen() {
    testing::in_userns("tests::path::each_router_on_the_way_is_seen", || {
        let path = path();
        for kind in [Kind::Udp, Kind::Echo, Kind::Tcp] {
            for (v4, expired, router) in [(true, (11, 0), CLIENT), (false, (3, 0), CLIENT6)] {
                let (expired, code) = expired;
                let (kind_of_first, _, gateway) = path.probe(kind, v4, 1);
                assert_eq!(kind_of_first, expired, "{kind:?}");
                let own = path.sandbox.endpoints[0].clone();
                let first =
                    if v4 { own.gateway_v4.map(IpAddr::from) } else { own.gateway_v6.map(IpAddr::from) };
                assert_eq!(Some(gateway), first.map(|address| address.to_string()), "{kind:?}: the bridge");
                assert_eq!(path.probe(kind, v4, 2), (expired, code, router.to_owned()), "{kind:?}");
            }
        }
        for (v4, refused, server) in [(true, (3, 3), FAR), (false, (1, 4), FAR6)] {
            assert_eq!(path.probe(Kind::Udp, v4, 3), (refused.0, refused.1, server.to_owned()));
        }
        drop(path.far);
        drop(path.host);
    });
}

#[test]
fn what_does_not_fit_the_path_is_told_and_arrives_when_it_may_be_cut() {
    testing::in_userns(
        "tests::path::what_does_not_fit_the_path_is_told_and_arrives_when_it_may_be_cut",
        || {
            let mut path = path();
            for (v4, far) in [(true, FAR), (false, FAR6)] {
                let server = at(&path.far, || UdpSocket::bind(SocketAddr::new(ip(far), 7001)).unwrap());
                server.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
                let cut = path.socket(Kind::Udp, v4);
                rustix::net::connect(&cut, &SocketAddr::new(ip(far), 7001)).unwrap();
                // Those that were on their way when a router said that they are too large are lost, as on any way.
                eventually(|| {
                    rustix::net::send(&cut, &[7; 4000], SendFlags::empty()).ok();
                    let (length, _) = server.recv_from(&mut [0; 5000]).map_err(|e| format!("{far}: {e}"))?;
                    (length == 4000).then_some(()).ok_or_else(|| format!("{length} bytes"))
                });
                for kind in [Kind::Udp, Kind::Echo] {
                    // Not one whose kernel knows the path already.
                    path.sandbox = path.host.container(&["dual"], &[]).1;
                    let whole = path.socket(kind, v4);
                    never_cut(&whole, v4);
                    let port = if kind == Kind::Echo { 0 } else { 7002 };
                    rustix::net::connect(&whole, &SocketAddr::new(ip(far), port)).unwrap();
                    let mtu = eventually(|| {
                        match rustix::net::send(&whole, &request(v4, 1360), SendFlags::empty()) {
                            Err(Errno::MSGSIZE) => Ok(mtu_of(&whole)),
                            other => {
                                thread::sleep(Duration::from_millis(50));
                                Err(format!("{kind:?} to {far}: {other:?}"))
                            }
                        }
                    });
                    assert_eq!(mtu, Some(NARROW), "{kind:?} to {far}");
                }
            }
            drop(path.host);
        },
    );
}

fn never_cut(socket: &OwnedFd, v4: bool) {
    match v4 {
        true => sockopt::set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::DO).unwrap(),
        false => sockopt::set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::DO).unwrap(),
    }
}

/// Of the path, as the kernel said when it did not send.
fn mtu_of(socket: &OwnedFd) -> Option<u32> {
    let too_big = |error: &libc::sock_extended_err| error.ee_errno == libc::EMSGSIZE.cast_unsigned();
    let mut all = std::iter::from_fn(|| error_of(socket)).map(|(error, _)| error);
    all.find(too_big).map(|error| error.ee_info)
}
