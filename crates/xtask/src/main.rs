//! The project's words: check, e2e, compat, bench, fuzz, vm.
#![forbid(unsafe_code)]

fn main() {}
