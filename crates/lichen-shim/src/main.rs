//! Everything that touches namespaces: holder, shims, container stages, forwarder.
//!
//! One program with a few entry points, each a verb on the command line. It runs from a sealed memory file that the
//! launcher made, so that nothing in a container can overwrite it (CVE-2019-5736).
#![forbid(unsafe_code)]

mod init;
mod oci;
mod shim;

use std::process::ExitCode;

const USAGE: &str = "lichen-shim is started by the engine; its verbs are holder, netd, uplink and oci";

fn main() -> ExitCode {
    let name = std::env::args().next().unwrap_or_default();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if name.rsplit('/').next() == Some(init::NAME) {
        return init::main(&arguments);
    }
    let Some((verb, rest)) = arguments.split_first() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match verb.as_str() {
        "holder" => holder(rest),
        "netd" => netd::main(std::env::args_os().skip(2)),
        "uplink" => uplink::main(std::env::args_os().skip(2)),
        "oci" => oci::main(rest),
        other => {
            eprintln!("unknown verb {other:?}: {USAGE}");
            ExitCode::from(2)
        }
    }
}

fn holder(arguments: &[String]) -> ExitCode {
    let Some(arguments) = rootless::holder::parse(arguments) else {
        eprintln!(
            "usage: lichen-shim holder --make|--remake|--remake-single --run-root DIR --handshake FD [--join FD]"
        );
        return ExitCode::from(2);
    };
    report("holder", rootless::holder::main(&arguments, shim::entry))
}

fn report<E: std::fmt::Display>(verb: &str, outcome: Result<(), E>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lichen-shim {verb}: {error}");
            ExitCode::FAILURE
        }
    }
}
