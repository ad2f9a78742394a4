//! What a container may send to its resolver: every reply is well-formed and fits a datagram.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| netd::fuzzing::dns_query(bytes));
