//! Test suites that others wrote, run unmodified against an engine of ours.

use crate::run::{command, root};
use anyhow::{Result, bail};

pub(crate) fn compat(args: &[&str]) -> Result<()> {
    let suites = match args {
        [] => &["docker-py", "aiodocker"][..],
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
