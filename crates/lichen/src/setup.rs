//! `lichen setup` and `lichen doctor`: where this user's engine would be, for crate `setup`.

use crate::daemon::{config, settings};
use crate::nsenter;
use ::setup::Places;
use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) fn main(program: &str, words: &[String]) -> ExitCode {
    ::setup::main(program, words, &places(), nsenter::main)
}

pub(crate) fn doctor(words: &[String]) -> ExitCode {
    ::setup::doctor(words, &places())
}

/// As the engine would resolve them, without insisting on anything: what is missing is for the checks to say. A
/// daemon.json that the engine would refuse does not say where its data is.
fn places() -> Places {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let home = absolute("HOME").unwrap_or_else(|| PathBuf::from("/"));
    let uid = rustix::process::geteuid().as_raw();
    let configured = settings::parse(&[]).and_then(|line| config::load(&line));
    let data_home = || absolute("XDG_DATA_HOME").unwrap_or_else(|| home.join(".local/share"));
    Places {
        data_root: configured.map_or_else(|_| data_home().join("lichen"), |c| c.data.root().to_owned()),
        runtime: absolute("XDG_RUNTIME_DIR").unwrap_or_else(|| PathBuf::from(format!("/run/user/{uid}"))),
        config: absolute("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config")),
    }
}
