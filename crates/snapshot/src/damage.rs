//! What [`crate::Driver::check`] finds.

use crate::Result;
use model::{Digest, Id};
use std::{fmt, path::PathBuf};

/// Something that is not as the driver left it.
#[derive(Debug)]
pub struct Damage {
    pub what: Damaged,
    pub problem: String,
    /// None when no repair was tried.
    pub repair: Option<Result<()>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damaged {
    Layer(Digest),
    Container(Id),
    /// Something of the driver's that belongs to nothing.
    Leftover(PathBuf),
}

impl Damage {
    pub(crate) fn new(what: Damaged, problem: &str, repair: Option<Result<()>>) -> Self {
        Self { what, problem: problem.to_owned(), repair }
    }
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layer(chain) => write!(f, "layer {chain}"),
            Self::Container(id) => write!(f, "container {id}"),
            Self::Leftover(path) => write!(f, "{}", path.display()),
        }
    }
}
