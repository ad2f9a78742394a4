//! Storage drivers behind one trait, with the conformance suite each of them runs.
#![forbid(unsafe_code)]
