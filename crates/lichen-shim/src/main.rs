//! Everything that touches namespaces: holder, shims, container stages, forwarder.
//!
//! One program with a few entry points, each a verb on the command line. It runs from a sealed memory file that the
//! launcher made, so that nothing in a container can overwrite it (CVE-2019-5736).
#![forbid(unsafe_code)]

mod init;
mod oci;
mod shim;

use std::{
    ffi::{OsStr, OsString},
    path::Path,
    process::ExitCode,
};

const USAGE: &str = "lichen-shim is started by the engine; its verbs are holder, netd, uplink and oci";

fn main() -> ExitCode {
    let mut given = std::env::args_os();
    let name = given.next().unwrap_or_default();
    // Copies: [`show_as`] overwrites what the process was given.
    let given: Vec<OsString> = given.collect();
    let arguments: Vec<String> = given.iter().map(|a| a.to_string_lossy().into_owned()).collect();
    if Path::new(&name).file_name() == Some(OsStr::new(init::NAME)) {
        return init::main(&arguments);
    }
    let Some((verb, rest)) = arguments.split_first() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if let Err(error) = show_as(verb, &arguments) {
        eprintln!("lichen-shim {verb}: {error}");
    }
    match verb.as_str() {
        "holder" => holder(rest),
        "netd" => netd::main(&given[..1], given[1..].to_vec()),
        "uplink" => uplink::main(given.into_iter().skip(1)),
        "oci" => oci::main(rest),
        other => {
            eprintln!("unknown verb {other:?}: {USAGE}");
            ExitCode::from(2)
        }
    }
}

/// A process that is executed by the path of a descriptor is called by the descriptor's number, in ps(1) as in the kernel's
/// log.
fn show_as(verb: &str, arguments: &[String]) -> sys::Result<()> {
    let name = match verb {
        "holder" => c"lichen-holder",
        "netd" => c"lichen-netd",
        "uplink" => c"lichen-uplink",
        // Executed by its own name, by whoever wants an OCI runtime.
        _ => return Ok(()),
    };
    let words: Vec<&str> = ["lichen-shim"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
    sys::process::set_title(name, &words)
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
