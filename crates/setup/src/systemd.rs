//! The user's systemd manager, by systemctl(1), each call shown as a shell would with `set -x`.

use crate::{Error, Result, unit};
use cli::say;
use std::process::{Command, Stdio};

/// Runs `systemctl --user …`, showing the command and what it prints.
pub fn call(words: &[&str]) -> Result<()> {
    let command = line(words);
    say!("+ {command}");
    let status = user(words).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Error::Command { command, message: status.to_string() }),
        Err(error) => Err(Error::Command { command, message: error.to_string() }),
    }
}

/// Whether a question such as `is-active` is answered with yes. Nothing is shown.
pub fn ask(words: &[&str]) -> bool {
    let status = user(words).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

pub fn is_active() -> bool {
    ask(&["is-active", "--quiet", unit::NAME])
}

pub fn is_enabled() -> bool {
    ask(&["is-enabled", "--quiet", unit::NAME])
}

fn user(words: &[&str]) -> Command {
    let mut command = Command::new("systemctl");
    command.arg("--user").args(words).stdin(Stdio::null());
    command
}

fn line(words: &[&str]) -> String {
    format!("systemctl --user {}", words.join(" "))
}
