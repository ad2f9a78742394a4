//! How frames and descriptors travel.

use proptest::prelude::*;
use shim_proto::{Connection, Decoder, Envelope, FromHolder, ProtoError, ToHolder, ToShim, wire};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

fn pair() -> (Connection, Connection) {
    let (a, b) = UnixStream::pair().unwrap();
    (Connection::new(a, "client"), Connection::new(b, "server"))
}

#[test]
fn descriptors_arrive_with_the_frame_they_were_sent_with() {
    let (mut a, mut b) = pair();
    let (mut out, inp) = std::io::pipe().unwrap();
    a.send(1, &ToHolder::Ping, &[]).unwrap();
    a.send(2, &ToHolder::Keep { key: "x".into() }, &[inp.as_fd(), inp.as_fd()]).unwrap();
    a.send(3, &ToHolder::Ping, &[]).unwrap();
    drop(inp);
    let counts: Vec<(u64, usize)> = (0..2)
        .map(|_| b.receive::<ToHolder>().unwrap().unwrap())
        .map(|m| {
            for fd in &m.fds {
                File::from(fd.try_clone().unwrap()).write_all(b"!").unwrap();
            }
            (m.seq, m.fds.len())
        })
        .collect();
    assert_eq!(counts, [(1, 0), (2, 2)]);
    let mut text = String::new();
    out.read_to_string(&mut text).unwrap();
    assert_eq!(text, "!!", "both copies name the pipe, and no copy is left open");
    assert_eq!(b.receive::<ToHolder>().unwrap().unwrap().seq, 3);
}

#[test]
fn a_frame_that_lacks_its_descriptors_is_an_error() {
    let mut decoder = Decoder::new();
    decoder.push(&wire::encode(1, &ToHolder::Ping, 1).unwrap(), []);
    let error = decoder.message::<ToHolder>().unwrap_err();
    assert!(matches!(error, ProtoError::MissingDescriptors { announced: 1, arrived: 0 }), "{error}");
}

#[test]
fn a_long_frame_is_refused_from_its_header() {
    let mut decoder = Decoder::new();
    decoder.push(&u32::MAX.to_le_bytes(), []);
    assert!(matches!(decoder.message::<ToShim>(), Err(ProtoError::TooLong { .. })));
    let key = "k".repeat(wire::MAX_BODY);
    assert!(matches!(wire::encode(1, &ToHolder::Take { key }, 0), Err(ProtoError::TooLong { .. })));
}

#[test]
fn an_unknown_message_is_malformed() {
    let body = br#"{"seq":1,"msg":"Selfdestruct"}"#;
    let mut decoder = Decoder::new();
    decoder.push(&u32::try_from(body.len()).unwrap().to_le_bytes(), []);
    decoder.push(body, []);
    let text = decoder.message::<ToShim>().unwrap_err().to_string();
    assert!(text.contains("unknown variant `Selfdestruct`"), "{text}");
}

#[test]
fn an_end_inside_a_frame_is_told_from_an_end_between_frames() {
    let (mut a, b) = pair();
    let frame = wire::encode(1, &FromHolder::Done, 0).unwrap();
    let mut raw = b.socket();
    raw.write_all(&frame).unwrap();
    raw.write_all(&frame[..3]).unwrap();
    drop(b);
    assert!(a.receive::<FromHolder>().unwrap().is_some());
    assert!(matches!(
        a.receive::<FromHolder>(),
        Err(ProtoError::Closed { expected: "the rest of a frame", .. })
    ));

    let (mut a, b) = pair();
    drop(b);
    assert!(a.receive::<FromHolder>().unwrap().is_none());
}

#[test]
fn an_unexpected_reply_names_what_was_expected() {
    let error = FromHolder::Done.unexpected("Spawned");
    assert_eq!(error.to_string(), "unexpected message Done: expected Spawned");
}

proptest! {
    #[test]
    fn frames_survive_any_split(keys in prop::collection::vec("[a-z/]{0,40}", 1..8), cut in 1usize..50) {
        let frames: Vec<u8> = keys.iter().enumerate()
            .flat_map(|(i, key)| wire::encode(i as u64, &ToHolder::Take { key: key.clone() }, 0).unwrap())
            .collect();
        let (mut decoder, mut seen) = (Decoder::new(), Vec::new());
        for chunk in frames.chunks(cut) {
            decoder.push(chunk, []);
            while let Some(m) = decoder.message::<ToHolder>().unwrap() {
                let ToHolder::Take { key } = m.msg else { panic!("{:?}", m.msg) };
                seen.push(key);
            }
        }
        prop_assert_eq!(seen, keys);
        prop_assert!(!decoder.is_mid_frame());
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut decoder = Decoder::new();
        let mut frame = u32::try_from(bytes.len()).unwrap().to_le_bytes().to_vec();
        frame.extend_from_slice(&bytes);
        decoder.push(&frame, []);
        let parsed = serde_json::from_slice::<Envelope<ToShim>>(&bytes).is_ok();
        prop_assert_eq!(decoder.message::<ToShim>().is_ok(), parsed);
    }
}
