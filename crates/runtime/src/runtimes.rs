//! One interface to our own core and to external OCI runtimes.

use crate::{CreateOptions, Created, ExecOptions, Executing, External, Result};

/// Who carries out the specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runtime {
    Builtin,
    External(External),
}

impl Runtime {
    /// Makes the container up to the point before its program runs.
    pub fn create(&self, options: &CreateOptions<'_>) -> Result<Created> {
        match self {
            Self::Builtin => crate::create(options),
            Self::External(external) => external.create(options),
        }
    }

    /// Runs one more process in container `id`.
    pub fn exec(&self, id: &str, options: &ExecOptions<'_>) -> Result<Executing> {
        match self {
            Self::Builtin => crate::exec(options),
            Self::External(external) => external.exec(id, options),
        }
    }

    /// Cleans up after container `id` has ended. Our own core leaves nothing behind; an external runtime has a state
    /// directory.
    pub fn delete(&self, id: &str) -> Result<()> {
        match self {
            Self::Builtin => Ok(()),
            Self::External(external) => external.delete(id),
        }
    }
}
