//! What a container may send out: nothing it writes makes the forwarder read or write beyond the packet.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| netstack::fuzzing::packet(bytes));
