//! Packets without sockets: what comes out of the tun is read, answers are written, nothing is done.
//!
//! The forwarder's outward path sees very few packets: the first of each flow, echo requests, and strays. This crate
//! says what they are ([`packet`]), puts pieces together ([`fragments`]), where they may not go ([`destination`]), and how they are answered ([`answer`]). It
//! opens nothing, keeps nothing but those pieces, and knows no time, so that every byte of it can be fuzzed.
//!
//! Packets are written by containers, hence hostile. A packet is parsed once, at the door; what does not parse is
//! dropped. Lengths that a packet claims are checked against the bytes that are there before anything is read by them
//! (the class of CVE-2021-3592 to 3595 in libslirp), nothing is ever written back into a buffer by an offset that a
//! packet names (CVE-2019-14378), and no answer is longer than its constant limit.
#![forbid(unsafe_code)]

pub mod answer;
mod checksum;
pub mod destination;
pub mod fragments;
pub mod fuzzing;
pub mod packet;

pub use answer::Reason;
pub use packet::{Content, Echo, Malformed, Packet, Segment};
