//! Starting programs and stopping at the first that fails.

use anyhow::{Context, Result, bail};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("crates/xtask lies two levels below the root").to_owned()
}

pub(crate) fn cargo(args: &[&str]) -> Result<()> {
    command("cargo", args)
}

pub(crate) fn command(program: &str, args: &[&str]) -> Result<()> {
    finish(Command::new(program).args(args), program, args)
}

/// cargo with a further environment variable.
pub(crate) fn cargo_with((name, value): (&str, &str), args: &[&str]) -> Result<()> {
    finish(Command::new("cargo").env(name, value).args(args), "cargo", args)
}

fn finish(command: &mut Command, program: &str, args: &[&str]) -> Result<()> {
    let line = format!("{program} {}", args.join(" "));
    eprintln!("$ {line}");
    let status = command.current_dir(root()).status().with_context(|| format!("start {line}"))?;
    if !status.success() {
        bail!("{line}: {status}");
    }
    Ok(())
}

/// What a program prints.
pub(crate) fn output(program: &str, args: &[&str]) -> Result<String> {
    let line = format!("{program} {}", args.join(" "));
    let output = Command::new(program)
        .args(args)
        .current_dir(root())
        .output()
        .with_context(|| format!("start {line}"))?;
    if !output.status.success() {
        bail!("{line}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}
