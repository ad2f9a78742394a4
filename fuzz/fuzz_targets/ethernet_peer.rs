//! A handshake and frames, as vpnkit and gvproxy send them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| uplink::fuzzing::peer(bytes));
