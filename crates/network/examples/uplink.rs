//! An uplink as a program of its own: what this crate's tests start in the place of `lichen-shim uplink`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    uplink::main(std::env::args_os().skip(1))
}
