//! Finding other people's programs and asking what they are.

use crate::error::OutwardError;
use rustix::fs::{Access, access};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// System directories that a user's PATH often lacks.
const SYSTEM: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// A program of somebody else's.
pub(super) struct Wanted {
    pub name: &'static str,
    /// What to install, by package manager.
    pub packages: &'static str,
    /// Where distributions put it when it is not for typing.
    pub elsewhere: &'static [&'static str],
}

impl Wanted {
    /// Its path, found along `$PATH`.
    pub(super) fn find(&self) -> Result<PathBuf, OutwardError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let known = SYSTEM.iter().chain(self.elsewhere).map(PathBuf::from);
        let executable =
            |candidate: &PathBuf| candidate.is_file() && access(candidate, Access::EXEC_OK).is_ok();
        let mut candidates = std::env::split_paths(&path).chain(known).map(|dir| dir.join(self.name));
        candidates
            .find(executable)
            .ok_or(OutwardError::NotInstalled { program: self.name, packages: self.packages })
    }
}

/// Whether this user may make taps.
pub(crate) fn check_tun() -> Result<(), OutwardError> {
    let opened = std::fs::File::options().read(true).write(true).open("/dev/net/tun");
    opened.map(drop).map_err(|source| OutwardError::Tun { source })
}

/// The first line that the program prints about its version.
pub(super) fn ask_version(program: &Path) -> Result<String, OutwardError> {
    let output = Command::new(program)
        .arg("--version")
        .output()
        .map_err(|source| OutwardError::Run { program: program.to_owned(), source })?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// The first two numbers of a version such as `v1.2.0-beta`.
pub(super) fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.trim_start_matches('v').split(['.', '-', '+']).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert_eq!(numbers("1.2.0"), Some((1, 2)));
        assert!(numbers("v0.10.1-beta").unwrap() > (0, 4));
        assert!(numbers("0.3.3").unwrap() < (0, 4));
        assert_eq!(numbers("unknown"), None);
    }
}
