//! The forwarder as a program of its own: what this crate's tests start in the place of `lichen-shim netd`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    netd::main(&[], std::env::args_os().skip(1))
}
