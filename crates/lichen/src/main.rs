//! The command line, the launcher and the engine.
#![forbid(unsafe_code)]

fn main() {}
