//! What a DHCP server answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| uplink::fuzzing::dhcp_reply(bytes));
