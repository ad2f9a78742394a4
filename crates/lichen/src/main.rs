//! The command line, the launcher and the engine.
//!
//! ```text
//! lichen daemon … ─▶ daemon (launcher) ─ fork, setns, exec ─▶ lichen engine … ─▶ engine_main
//! lichen net flows … ─▶ net ─▶ the forwarder's control socket
//! lichen nsenter … ─▶ nsenter
//! lichen setup …, lichen doctor ─▶ setup ─▶ crate setup
//! lichen migrate … ─▶ crate migrate
//! lichen …        ─▶ crate cli
//! ```
//! The program also answers to `docker` (the client), `dockerd-rootless.sh` (the daemon) and
//! `dockerd-rootless-setuptool.sh` (the set-up tool).
#![forbid(unsafe_code)]

mod daemon;
mod engine_main;
mod net;
mod nsenter;
mod parts;
mod setup;

use std::process::ExitCode;

fn main() -> ExitCode {
    let argv: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let name = argv.first().and_then(|p| std::path::Path::new(p).file_name()).unwrap_or_default().to_owned();
    let words: Vec<String> = argv.iter().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
    let verb = words.first().map(String::as_str);
    let launches = matches!(name.to_str(), Some("dockerd-rootless.sh" | "dockerd")) || verb == Some("daemon");
    if !launches && let Err(error) = daemon::privilege::give_up() {
        eprintln!("lichen: {error}");
        return ExitCode::FAILURE;
    }
    match (name.to_str(), verb) {
        (Some("dockerd-rootless.sh" | "dockerd"), _) => daemon::main(&words),
        (Some("dockerd-rootless-setuptool.sh"), _) => setup::main("dockerd-rootless-setuptool.sh", &words),
        (Some("docker"), _) => client(argv),
        (_, Some("daemon")) => daemon::main(&words[1..]),
        (_, Some("engine")) => engine_main::main(&words[1..]),
        (_, Some("net")) => net::main(&words[1..]),
        (_, Some("nsenter")) => nsenter::main(&words[1..]),
        (_, Some("setup")) => setup::main("lichen setup", &words[1..]),
        (_, Some("doctor")) => setup::doctor(&words[1..]),
        (_, Some("migrate")) => ExitCode::from(u8::try_from(migrate::main(&words[1..])).unwrap_or(1)),
        _ => client(argv),
    }
}

fn client(argv: Vec<std::ffi::OsString>) -> ExitCode {
    ExitCode::from(u8::try_from(cli::main(argv, &parts::parts())).unwrap_or(1))
}
