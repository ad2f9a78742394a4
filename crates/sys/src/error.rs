//! One shape of error for every wrapped system call.

use rustix::io::Errno;
use std::io;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A system call that failed, with what it was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{call}({args}): {errno}")]
pub struct Error {
    pub call: &'static str,
    /// The arguments that matter, as text.
    pub args: String,
    pub errno: Errno,
}

impl Error {
    /// For `map_err`: `sys_call(…).map_err(Error::of("call", "arguments"))`.
    pub fn of(call: &'static str, args: impl Into<String>) -> impl FnOnce(Errno) -> Self {
        move |errno| Self { call, args: args.into(), errno }
    }

    /// From the thread's `errno`, right after a libc function returned -1.
    pub(crate) fn last(call: &'static str, args: impl Into<String>) -> Self {
        let code = io::Error::last_os_error().raw_os_error().unwrap_or(0);
        Self { call, args: args.into(), errno: Errno::from_raw_os_error(code) }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(io::Error::from(error.errno).kind(), error)
    }
}
