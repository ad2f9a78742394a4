//! What the fuzz targets call: each function holds for any bytes.

use crate::{
    Protocol, dhcp,
    framing::{Decoder, MAX_FRAME},
    vpnkit,
};
use std::{
    io::{self, Read, Write},
    time::Instant,
};

struct Peer<'a>(&'a [u8]);

impl Read for Peer<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Peer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What vpnkit or gvproxy may send: a handshake with vpnkit, then frames, cut as the first byte says.
///
/// # Panics
/// When a frame is longer than any may be, or an interface is accepted that the kernel would refuse.
pub fn peer(bytes: &[u8]) {
    let Some((cut, rest)) = bytes.split_first() else { return };
    for protocol in [Protocol::Vpnkit, Protocol::Qemu] {
        let mut peer = Peer(rest);
        if protocol == Protocol::Vpnkit
            && let Ok(vif) = vpnkit::shake_hands(&mut peer, [0; 16])
        {
            assert!(vif.mtu >= 576 && vif.mac[0] & 1 == 0);
        }
        let mut decoder = Decoder::new(protocol);
        'stream: for chunk in peer.0.chunks(usize::from(*cut).max(1)) {
            decoder.put(chunk);
            loop {
                match decoder.frame() {
                    Ok(Some(frame)) => assert!((14..=MAX_FRAME).contains(&frame.len())),
                    Ok(None) => break,
                    Err(_) => break 'stream,
                }
            }
        }
    }
}

/// What a DHCP server may send, as the answer to every message of a client's.
///
/// # Panics
/// When a lease comes of it whose gateway is not beside its address.
pub fn dhcp_reply(bytes: &[u8]) {
    let now = Instant::now();
    let mut client = dhcp::Client::new([2, 0, 0, 0, 0, 1], 0x0102_0304, now);
    for _ in 0..2 {
        if !matches!(client.due(now), Ok(Some(_))) {
            break;
        }
        if let Ok(Some(lease)) = client.receive(bytes, now) {
            let mask = u32::MAX << (32 - lease.prefix);
            assert_eq!(lease.address.to_bits() & mask, lease.gateway.to_bits() & mask);
            assert_ne!(lease.address, lease.gateway);
        }
    }
}
