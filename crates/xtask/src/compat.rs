//! Test suites that others wrote, run unmodified against an engine of ours.

use crate::run::{command, root};
use anyhow::{Result, bail};

/// Those that CI runs. The others build for minutes, or need programs that no distribution here has.
const USUAL: &[&str] = &["docker-py", "aiodocker", "docker-cli", "dockerode", "testcontainers"];

pub(crate) fn compat(args: &[&str]) -> Result<()> {
    let suites = match args {
        [] => USUAL,
        given => given,
    };
    for suite in suites {
        let script = root().join("tests/compat").join(suite).join("run");
        if !script.exists() {
            bail!("no suite {suite:?} below tests/compat");
        }
        crate::run::cargo(&["build", "--package", "lichen", "--package", "lichen-shim"])?;
        command(&script.to_string_lossy(), &[])?;
    }
    Ok(())
}
