//! What vpnkit and gvproxy are to an engine, with nobody behind it: started under the name of either, it speaks its
//! protocol, answers ARP for every address, gives one address by DHCP, replies to echo requests and DNS queries, and
//! refuses TCP connections.
//!
//! `ETHERNET_PEER` has it misbehave: `old`, `refuse`, `silent` (no DHCP), `runt` (a frame that is none).
#![forbid(unsafe_code)]

use std::{
    io::{self, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
};

/// Its own Ethernet address.
const MAC: [u8; 6] = [0x5a, 0x94, 0xef, 0xe4, 0x0c, 0xdd];
/// The client's, where the protocol has the server choose it.
const CLIENT: [u8; 6] = [2, 0x50, 0, 0, 0, 1];
const DNS_ANSWER: [u8; 4] = [192, 0, 2, 77];

/// Source, destination, protocol, payload.
type Reply = ([u8; 4], [u8; 4], u8, Vec<u8>);

struct Peer {
    stream: UnixStream,
    vpnkit: bool,
    gateway: [u8; 4],
    client: [u8; 4],
    silent: bool,
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let vpnkit = arguments[0].ends_with("vpnkit");
    if arguments.iter().any(|a| a == "--version") {
        println!("{}", if vpnkit { "0.6.0" } else { "gvproxy version v0.8.1" });
        return Ok(());
    }
    let after = |flag: &str| arguments.iter().skip_while(|a| *a != flag).nth(1).cloned();
    let socket = after("--ethernet").or(after("-listen-qemu")).expect("told where to listen");
    let mtu: u16 = after("--mtu").or(after("-mtu")).expect("told the MTU").parse().expect("a number");
    let (stream, _) = UnixListener::bind(socket.trim_start_matches("unix://"))?.accept()?;
    let odd = std::env::var("ETHERNET_PEER").unwrap_or_default();
    let net = if vpnkit { 65 } else { 127 };
    let mut peer = Peer {
        stream,
        vpnkit,
        gateway: [192, 168, net, 1],
        client: [192, 168, net, 2],
        silent: odd == "silent",
    };
    if vpnkit {
        peer.shake_hands(mtu, &odd)?;
    }
    if odd == "runt" {
        peer.stream.write_all(if vpnkit { &[3, 0, 1, 2, 3] } else { &[0, 0, 0, 3, 1, 2, 3] })?;
    }
    loop {
        let frame = peer.receive()?;
        if let Some(reply) = peer.answer(&frame) {
            peer.send(&reply)?;
        }
    }
}

impl Peer {
    fn shake_hands(&mut self, mtu: u16, odd: &str) -> io::Result<()> {
        let mut greeting = [0; 49];
        self.stream.read_exact(&mut greeting)?;
        assert_eq!(&greeting[..9], b"VMN3T\x16\0\0\0");
        greeting[5] = if odd == "old" { 2 } else { 22 };
        self.stream.write_all(&greeting)?;
        let mut command = [0; 41];
        self.stream.read_exact(&mut command)?;
        assert_eq!(command[0], 1, "an Ethernet interface is wanted");
        let mut answer = [0; 258];
        if odd == "refuse" {
            answer[..2].copy_from_slice(&[2, 9]);
            answer[2..11].copy_from_slice(b"no thanks");
        } else {
            answer[0] = 1;
            answer[1..3].copy_from_slice(&mtu.to_le_bytes());
            answer[3..5].copy_from_slice(&(mtu + 50).to_le_bytes());
            answer[5..11].copy_from_slice(&CLIENT);
        }
        self.stream.write_all(&answer)
    }

    fn receive(&mut self) -> io::Result<Vec<u8>> {
        let length = if self.vpnkit {
            let mut length = [0; 2];
            self.stream.read_exact(&mut length)?;
            u16::from_le_bytes(length).into()
        } else {
            let mut length = [0; 4];
            self.stream.read_exact(&mut length)?;
            u32::from_be_bytes(length) as usize
        };
        let mut frame = vec![0; length];
        self.stream.read_exact(&mut frame)?;
        Ok(frame)
    }

    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        if self.vpnkit {
            self.stream.write_all(&(frame.len() as u16).to_le_bytes())?;
        } else {
            self.stream.write_all(&(frame.len() as u32).to_be_bytes())?;
        }
        self.stream.write_all(frame)
    }

    fn answer(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let body = frame.get(14..)?;
        match frame[12..14] {
            // ARP (RFC 826), a request.
            [8, 6] if body.get(7) == Some(&1) => {
                let parts = [&[0, 1, 8, 0, 6, 4, 0, 2][..], &MAC, &body[24..28], &body[8..18]];
                Some(ethernet(&frame[6..12], [8, 6], &parts.concat()))
            }
            [8, 0] => {
                let (from, to) = (body[12..16].try_into().ok()?, body[16..20].try_into().ok()?);
                let data = body.get(usize::from(body[0] & 15) * 4..)?;
                let (source, target, protocol, reply) = match body[9] {
                    1 if data[0] == 8 => (to, from, 1, echo(data)),
                    6 => (to, from, 6, reset(data)),
                    17 => self.answer_udp(to, from, data)?,
                    _ => return None,
                };
                let target_mac = if target == [255; 4] { &[255; 6] } else { &frame[6..12] };
                Some(ethernet(target_mac, [8, 0], &ip(source, target, protocol, reply)))
            }
            _ => None,
        }
    }

    fn answer_udp(&self, to: [u8; 4], from: [u8; 4], data: &[u8]) -> Option<Reply> {
        let (ports, payload) = (data.get(..4)?, data.get(8..)?);
        match ports[2..] {
            [0, 67] if !self.silent => {
                Some((self.gateway, [255; 4], 17, udp([67, 68], &self.lease(payload)?)))
            }
            [0, 53] => {
                let mut answer = payload.to_vec();
                answer[2] |= 0x80;
                let end = 12 + payload.get(12..)?.iter().position(|b| *b == 0)? + 5;
                answer.truncate(end);
                answer[10..12].fill(0);
                answer[7] = 1;
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4]);
                answer.extend(DNS_ANSWER);
                let mut reply = udp([53, 0], &answer);
                reply[2..4].copy_from_slice(&ports[..2]);
                Some((to, from, 17, reply))
            }
            _ => None,
        }
    }

    /// An offer for a discovery, an acknowledgement for a request (RFC 2131).
    fn lease(&self, request: &[u8]) -> Option<Vec<u8>> {
        let kind = request.get(242)?;
        let mut reply = request.get(..240)?.to_vec();
        reply[0] = 2;
        reply[16..20].copy_from_slice(&self.client);
        reply.extend([53, 1, if *kind == 1 { 2 } else { 5 }]);
        for (option, address) in
            [(54, self.gateway), (1, [255, 255, 255, 0]), (3, self.gateway), (6, self.gateway)]
        {
            reply.extend([option, 4]);
            reply.extend(address);
        }
        reply.extend([51, 4, 0, 0, 14, 16, 255]);
        Some(reply)
    }
}

fn ethernet(to: &[u8], kind: [u8; 2], body: &[u8]) -> Vec<u8> {
    [to, &MAC, &kind, body].concat()
}

fn echo(request: &[u8]) -> Vec<u8> {
    let mut reply = request.to_vec();
    reply[..4].fill(0);
    let sum = checksum(&reply, 0);
    reply[2..4].copy_from_slice(&sum.to_be_bytes());
    reply
}

/// A reset that acknowledges the SYN; its checksum is filled in with the addresses.
fn reset(syn: &[u8]) -> Vec<u8> {
    let sequence = u32::from_be_bytes([syn[4], syn[5], syn[6], syn[7]]).wrapping_add(1);
    [&syn[2..4], &syn[..2], &[0; 4], &sequence.to_be_bytes(), &[0x50, 0x14, 0, 0, 0, 0, 0, 0]].concat()
}

/// Without a checksum, which IPv4 allows.
fn udp([from, to]: [u8; 2], payload: &[u8]) -> Vec<u8> {
    [&[0, from, 0, to], &(8 + payload.len() as u16).to_be_bytes()[..], &[0, 0], payload].concat()
}

fn ip(from: [u8; 4], to: [u8; 4], protocol: u8, mut data: Vec<u8>) -> Vec<u8> {
    if protocol == 6 {
        let pseudo = [&from[..], &to, &[0, 6], &(data.len() as u16).to_be_bytes()].concat();
        let sum = checksum(&data, sum(&pseudo));
        data[16..18].copy_from_slice(&sum.to_be_bytes());
    }
    let length = (20 + data.len() as u16).to_be_bytes();
    let mut header = [&[0x45, 0], &length[..], &[0, 0, 0, 0, 64, protocol, 0, 0], &from, &to].concat();
    let sum = checksum(&header, 0);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    [header, data].concat()
}

fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum()
}

/// RFC 1071.
fn checksum(bytes: &[u8], start: u32) -> u16 {
    let mut total = start + sum(bytes);
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    !(total as u16)
}
