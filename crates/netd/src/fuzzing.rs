//! What the fuzz targets call, and the tests with the fuzzers' corpus: each function holds for any bytes.

use crate::{
    dns::{
        message::{self, Code},
        wire,
    },
    proto::{self, Request},
};
use std::net::IpAddr;

/// A stream of frames, as the control socket's server reads it. What is read is written back the same.
///
/// # Panics
/// When that does not hold.
pub fn control(mut bytes: &[u8]) {
    while let Ok(Some((request, length))) = proto::decode::<Request>(bytes) {
        let again = proto::encode(&request);
        assert_eq!(proto::decode::<Request>(&again).ok().flatten(), Some((request, again.len())));
        bytes = &bytes[length..];
    }
}

/// A message to a resolver. Every reply keeps the ID and the question, is marked as one, answers its query, and is no
/// longer than the client takes unless the question itself is.
///
/// # Panics
/// When that does not hold.
pub fn dns_query(bytes: &[u8]) {
    let Some(query) = message::parse(bytes) else { return };
    let both: [IpAddr; 2] = [[172, 18, 0, 2].into(), [0xfd00, 0, 0, 0, 0, 0, 0, 2].into()];
    let mut replies = vec![
        message::empty(bytes, &query, Code::ServerFailure),
        message::addresses(bytes, &query, &both.repeat(40), query.limit),
        message::pointer(bytes, &query, &query.name),
    ];
    replies.extend(
        message::reverse_name(&query.name).map(|ip| message::pointer(bytes, &query, &ip.to_string())),
    );
    // Over TCP the bytes come behind a length, and more may follow.
    if let Some((message, length)) = wire::split(bytes) {
        assert_eq!(length, message.len() + 2);
    }
    for reply in replies {
        assert_eq!(message::id(&reply), Some(query.id));
        assert_eq!(reply[2] & 0x80, 0x80);
        assert!(reply.len() <= query.limit + query.name.len());
        assert!(query.is_answered_by(bytes, query.id, &reply));
        assert!(message::parse(&reply).is_none(), "a reply is no query");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{fs, path::Path};

    fn replay(target: &str, check: fn(&[u8])) {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
        let files: Vec<_> = fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty());
        for file in files {
            let bytes = fs::read(&file).unwrap();
            check(&bytes);
            (0..bytes.len()).for_each(|cut| check(&bytes[..cut]));
        }
    }

    #[test]
    fn the_corpus_and_its_beginnings_hold() {
        replay("netd_control", control);
        replay("dns_query", dns_query);
    }

    proptest! {
        #[test]
        fn any_bytes_hold(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            control(&bytes);
            dns_query(&bytes);
        }

        /// Bytes that begin like a query get further.
        #[test]
        fn any_question_holds(rest in proptest::collection::vec(any::<u8>(), 0..600)) {
            let mut bytes = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            bytes.extend(rest);
            dns_query(&bytes);
        }
    }
}
