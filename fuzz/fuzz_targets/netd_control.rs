//! What arrives on the forwarder's control socket: read or refused, and what was read is written back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| netd::fuzzing::control(bytes));
