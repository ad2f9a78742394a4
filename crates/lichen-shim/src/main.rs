//! Everything that touches namespaces: holder, shims, container stages, forwarder.
#![forbid(unsafe_code)]

fn main() {}
