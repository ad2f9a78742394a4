//! Datagrams that a program hands to the kernel as one piece, as those that speak QUIC do (udp(7), `UDP_SEGMENT`).

use super::{lead::at_port, *};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use std::io::IoSliceMut;

const EACH: usize = 700;
const LENGTH: usize = 4 * EACH + 200;

fn socket(namespace: &OwnedFd, bind: &str) -> UdpSocket {
    let socket = at(namespace, || UdpSocket::bind(bind).unwrap());
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn piece(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 100) as u8).collect()
}

/// Sends to the connected peer, as datagrams of `each`.
fn send(socket: &UdpSocket, length: usize, each: usize) {
    setsockopt(socket, sockopt::UdpGsoSegment, &(each as i32)).unwrap();
    assert_eq!(socket.send(&piece(length)).unwrap(), length);
    setsockopt(socket, sockopt::UdpGsoSegment, &0).unwrap();
}

/// The datagrams arrive one by one, whole and in order.
#[track_caller]
fn assert_arrives(socket: &UdpSocket, length: usize, each: usize) {
    let mut buffer = [0; 1 << 16];
    for datagram in piece(length).chunks(each) {
        let received = socket.recv(&mut buffer).unwrap();
        assert!(&buffer[..received] == datagram, "{received} bytes, not the {} expected", datagram.len());
    }
}

/// They arrive as one piece, at a socket that takes such.
#[track_caller]
fn assert_arrives_as_one(socket: &UdpSocket) {
    let (mut buffer, mut control) = ([0; 1 << 16], nix::cmsg_space!(i32));
    let mut slices = [IoSliceMut::new(&mut buffer)];
    let message =
        recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::empty()).unwrap();
    let each = message.cmsgs().unwrap().find_map(|said| match said {
        ControlMessageOwned::UdpGroSegments(each) => Some(each),
        _ => None,
    });
    assert_eq!((message.bytes, each), (LENGTH, Some(EACH as i32)));
    assert!(buffer[..LENGTH] == piece(LENGTH));
}

/// Between two sockets that are connected with each other, with the forwarder in between.
#[track_caller]
fn assert_pieces_pass(from: &UdpSocket, to: &UdpSocket) {
    send(from, LENGTH, EACH);
    assert_arrives(to, LENGTH, EACH);
    setsockopt(to, sockopt::UdpGroSegment, &true).unwrap();
    send(from, LENGTH, EACH);
    assert_arrives_as_one(to);
    setsockopt(to, sockopt::UdpGroSegment, &false).unwrap();
}

/// Connects both: `asking` sends the first datagram to `there`.
fn meet(asking: &UdpSocket, there: &str, asked: &UdpSocket) {
    asking.connect(there).unwrap();
    asking.send(b"first").unwrap();
    let (_, peer) = asked.recv_from(&mut [0; 8]).unwrap();
    asked.connect(peer).unwrap();
    asked.send(b"answer").unwrap();
    assert_eq!(asking.recv(&mut [0; 8]).unwrap(), 6);
}

#[test]
fn pieces_pass_a_published_port_both_ways() {
    testing::in_userns("tests::segments::pieces_pass_a_published_port_both_ways", || {
        let host = Host::new();
        host.networks.create(user_network("dual", |n| n.enable_ipv6 = Some(true))).unwrap();
        let (_, sandbox) = host.container(&["dual"], &[port(Protocol::Udp, 4433, 443)]);
        for (own, there) in [("0.0.0.0:0", HOST), ("[::]:0", HOST6)] {
            let server = socket(&sandbox.netns, "[::]:443");
            let client = socket(&host.client, own);
            meet(&client, &at_port(there, 4433), &server);
            assert_pieces_pass(&client, &server);
            assert_pieces_pass(&server, &client);
        }
    });
}

#[test]
fn pieces_pass_outward_both_ways() {
    testing::in_userns("tests::segments::pieces_pass_outward_both_ways", || {
        let host = Host::with(OutwardChoice::Lichen);
        let (_, sandbox) = host.container(&["bridge"], &[]);
        let server = socket(&host.client, "0.0.0.0:4433");
        let client = socket(&sandbox.netns, "0.0.0.0:0");
        meet(&client, &at_port(CLIENT, 4433), &server);
        assert_pieces_pass(&client, &server);
        assert_pieces_pass(&server, &client);
    });
}

/// Over the host's loopback datagrams may be larger than fits a container's network; they are cut as if sent one by one.
#[test]
fn pieces_of_datagrams_larger_than_the_mtu_arrive_too() {
    testing::in_userns("tests::segments::pieces_of_datagrams_larger_than_the_mtu_arrive_too", || {
        let host = Host::new();
        let (_, sandbox) = host.container(&["bridge"], &[port(Protocol::Udp, 4433, 443)]);
        let server = socket(&sandbox.netns, "0.0.0.0:443");
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        meet(&client, "127.0.0.1:4433", &server);
        send(&client, 17_000, 4000);
        assert_arrives(&server, 17_000, 4000);
    });
}
