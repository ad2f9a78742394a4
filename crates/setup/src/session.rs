//! The user's systemd session, if there is one.

use rootless::User;
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub systemd: Systemd,
    /// Whether a D-Bus socket of this user's exists.
    pub bus: bool,
    /// Whether the user's services start at boot and outlive the last logout; None where logind does not tell.
    pub linger: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Systemd {
    /// The machine was not booted with it (sd_booted(3)).
    Absent,
    /// It runs, and this user's manager does not answer: what it says.
    NoManager(String),
    Running,
}

pub fn read(user: &User) -> Session {
    Session { systemd: systemd(), bus: bus(), linger: linger(user) }
}

fn systemd() -> Systemd {
    if !Path::new("/run/systemd/system").is_dir() {
        return Systemd::Absent;
    }
    let command =
        Command::new("systemctl").args(["--user", "show-environment"]).stdin(Stdio::null()).output();
    match command {
        Ok(output) if output.status.success() => Systemd::Running,
        Ok(output) => Systemd::NoManager(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Systemd::NoManager(format!("systemctl: {error}")),
    }
}

/// The address in the environment, else the place where every D-Bus library looks.
fn bus() -> bool {
    let named = env::var("DBUS_SESSION_BUS_ADDRESS").ok().filter(|a| !a.is_empty());
    let path = match named.as_deref().map(|address| address.strip_prefix("unix:path=")) {
        Some(Some(path)) => Some(PathBuf::from(path.split(',').next().unwrap_or(path))),
        // Another transport: whoever set it knows.
        Some(None) => return true,
        None => env::var_os("XDG_RUNTIME_DIR").map(|dir| PathBuf::from(dir).join("bus")),
    };
    path.is_some_and(|path| path.exists())
}

fn linger(user: &User) -> Option<bool> {
    if !Path::new("/run/systemd/system").is_dir() {
        return None;
    }
    // Where logind keeps it (logind.conf(5), loginctl(1)); asking logind itself needs the system bus.
    Some(Path::new("/var/lib/systemd/linger").join(&user.name).exists())
}
