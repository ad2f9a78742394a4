//! What the fuzz target calls, and the tests with its corpus: it holds for any bytes.

use crate::{
    answer::{self, Reason},
    fragments::{self, Fragments},
    packet::{self, Content, Packet},
};

/// A packet from a container. Every answer is a packet itself, to whoever sent it, no longer than the limits say, and
/// none is answered in turn: no two answers can play ping-pong.
///
/// # Panics
/// When that does not hold.
pub fn packet(bytes: &[u8]) {
    let Ok(packet) = packet::parse(bytes) else { return };
    assert!(packet.bytes.len() <= bytes.len());
    assert_eq!(packet::parse(packet.bytes), Ok(packet), "what followed the packet does not matter");
    let reasons = [
        Reason::Network,
        Reason::Host,
        Reason::Port,
        Reason::Prohibited,
        Reason::TooBig(1280),
        Reason::Expired,
    ];
    for reason in reasons {
        if let Some(error) = answer::unreachable(&packet, reason) {
            assert!(error.len() <= 1280);
            let error = check_answer(&packet, &error);
            assert_eq!(answer::unreachable(&error, reason), None);
        }
    }
    hold_pieces(&packet);
    match packet.content {
        Content::Tcp(segment) => {
            if let Some(reset) = answer::reset(&packet, &segment) {
                let reset = check_answer(&packet, &reset);
                let Content::Tcp(segment) = reset.content else { panic!("{reset:?}") };
                assert_eq!(answer::reset(&reset, &segment), None);
            }
        }
        Content::Echo(echo) => {
            let reply = answer::echo_reply(packet.source, packet.destination, &echo);
            check_answer(&packet, &reply);
            let pieces = fragments::cut(reply, 1);
            assert!(pieces.iter().all(|piece| packet::parse(piece).is_ok()));
        }
        Content::Udp { .. } | Content::Fragment | Content::Other(_) => {}
    }
}

/// A fragment alone is no packet; with what it lacks it may be, and then the packet parses.
fn hold_pieces(packet: &Packet<'_>) {
    let mut fragments = Fragments::default();
    if Fragments::concerns(packet)
        && let Some(whole) = fragments.add(packet)
    {
        assert!(
            packet::parse(&whole).is_ok_and(|parsed| parsed.bytes.len() == whole.len()) || whole.len() < 48
        );
    }
}

fn check_answer<'a>(packet: &Packet<'_>, answer: &'a [u8]) -> Packet<'a> {
    let parsed = packet::parse(answer).expect("an answer is a packet");
    assert_eq!(parsed.bytes.len(), answer.len());
    assert_eq!((parsed.source, parsed.destination), (packet.destination, packet.source));
    parsed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{fs, path::Path};

    #[test]
    fn the_corpus_and_its_beginnings_hold() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/packet");
        let files: Vec<_> = fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty());
        for file in files {
            let bytes = fs::read(&file).unwrap();
            packet(&bytes);
            (0..bytes.len()).for_each(|cut| packet(&bytes[..cut]));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_hold(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            packet(&bytes);
        }

        /// Headers that begin well get further.
        #[test]
        fn any_payload_holds(v6: bool, protocol: u8, rest in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = if v6 { vec![0x60; 40] } else { vec![0x45; 20] };
            if v6 {
                bytes[4..6].copy_from_slice(&(rest.len() as u16).to_be_bytes());
                bytes[6] = protocol;
            } else {
                bytes[2..4].copy_from_slice(&(20 + rest.len() as u16).to_be_bytes());
                bytes[6..8].copy_from_slice(&[0, 0]);
                bytes[9] = protocol;
            }
            bytes.extend(rest);
            packet(&bytes);
        }
    }
}
