//! What a client printed, with the assertions that tests make of it.

use std::process::ExitStatus;

#[derive(Debug, Clone)]
pub struct Output {
    /// The command line, for messages.
    pub command: String,
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// What a command that a test started itself has printed.
    pub fn of(command: String, output: std::process::Output) -> Self {
        Self::new(command, output)
    }

    pub(crate) fn new(command: String, output: std::process::Output) -> Self {
        Self {
            command,
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// # Panics
    /// When the command did not exit with 0.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.status.success(), "{self}");
        self
    }

    /// # Panics
    /// When the command did not exit with `code`.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{self}");
        self
    }

    /// Standard output without the white space around it.
    pub fn text(&self) -> &str {
        self.stdout.trim()
    }

    /// # Panics
    /// When standard output, trimmed, is not `expected`.
    #[track_caller]
    pub fn prints(self, expected: &str) -> Self {
        assert_eq!(self.text(), expected, "{self}");
        self
    }

    /// # Panics
    /// When standard error does not contain `expected`.
    #[track_caller]
    pub fn complains(self, expected: &str) -> Self {
        assert!(self.stderr.contains(expected), "expected on standard error: {expected}\n{self}");
        self
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "$ {}\n[{}]\n{}\n--- stderr ---\n{}", self.command, self.status, self.stdout, self.stderr)
    }
}
