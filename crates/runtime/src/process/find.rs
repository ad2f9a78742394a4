//! Finding the program, and saying why it cannot run, in the words of runc (which are those of Go's os/exec).
//!
//! Docker maps these texts to exit codes: "executable file not found" and "no such file or directory" to 127,
//! "permission denied" and "is a directory" to 126 (moby `daemon/start_unix.go`, `translateContainerdStartErr`).

use crate::{Class, Failure};
use rustix::{
    fs::{Access, AtFlags, CWD, FileType},
    io::Errno,
};
use std::path::{Path, PathBuf};

/// Where `name` is: itself when it holds a slash, else the first executable of that name in the directories of `search`.
pub(super) fn program(name: &str, search: &str) -> Result<PathBuf, Failure> {
    if name.contains('/') {
        return match executable(Path::new(name)) {
            Ok(()) => Ok(PathBuf::from(name)),
            Err(Errno::NOENT) => Err(not_found(name, &format!("stat {name}: {}", errno_text(Errno::NOENT)))),
            Err(errno) => Err(refused(name, errno)),
        };
    }
    // A candidate that may not be executed is passed over, as by Go's LookPath and by shells.
    for directory in search.split(':') {
        // An empty entry is the working directory (environ(7)); Go refuses to run from there unasked, and so do we.
        let path = Path::new(if directory.is_empty() { "." } else { directory }).join(name);
        match executable(&path) {
            Ok(()) if path.is_absolute() => return Ok(path),
            Ok(()) => {
                return Err(refused_text(name, "cannot run executable found relative to current directory"));
            }
            Err(_) => {}
        }
    }
    Err(not_found(name, "executable file not found in $PATH"))
}

fn executable(path: &Path) -> Result<(), Errno> {
    let stat = rustix::fs::stat(path)?;
    if FileType::from_raw_mode(stat.st_mode).is_dir() {
        return Err(Errno::ISDIR);
    }
    match rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS) {
        // faccessat2(2) is Linux 5.8; a sandbox may refuse it. Then the mode bits decide, and execve has the last word.
        Err(Errno::NOSYS | Errno::PERM) if stat.st_mode & 0o111 != 0 => Ok(()),
        Err(Errno::NOSYS | Errno::PERM) => Err(Errno::ACCESS),
        other => other,
    }
}

fn not_found(name: &str, reason: &str) -> Failure {
    Failure { step: "exec".into(), message: format!("exec: \"{name}\": {reason}"), class: Class::NotFound }
}

fn refused(name: &str, errno: Errno) -> Failure {
    refused_text(name, &errno_text(errno))
}

fn refused_text(name: &str, reason: &str) -> Failure {
    Failure {
        step: "exec".into(),
        message: format!("exec: \"{name}\": {reason}"),
        class: Class::NotExecutable,
    }
}

/// execve(2) itself failed, after everything was checked: a wrong architecture, a missing interpreter, a race.
pub(super) fn exec_failed(program: &str, errno: Errno) -> Failure {
    let class = match errno {
        Errno::NOENT => Class::NotFound,
        Errno::ACCESS | Errno::NOEXEC | Errno::ISDIR => Class::NotExecutable,
        _ => Class::Other,
    };
    Failure { step: "execve".into(), message: format!("exec {program}: {}", errno_text(errno)), class }
}

/// The kernel's words as Go prints them: lower case, no number.
pub(super) fn errno_text(errno: Errno) -> String {
    match errno {
        Errno::NOEXEC => "exec format error".to_owned(),
        Errno::LOOP => "too many levels of symbolic links".to_owned(),
        _ => {
            let text = std::io::Error::from(errno).to_string();
            let text = text.split(" (os error").next().unwrap_or_default();
            let mut chars = text.chars();
            chars.next().map(|c| c.to_lowercase().chain(chars).collect()).unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn check(name: &str, search: &str, expected: Result<&str, (&str, Class)>) {
        match (program(name, search), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, Path::new(expected)),
            (Err(failure), Err((message, class))) => {
                assert_eq!((failure.message.as_str(), failure.class), (message, class));
            }
            (found, expected) => panic!("{name} in {search:?}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn failures_read_as_those_of_runc() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path().to_str().unwrap();
        std::fs::write(directory.path().join("plain"), "").unwrap();
        std::fs::write(directory.path().join("run"), "").unwrap();
        std::fs::set_permissions(directory.path().join("run"), PermissionsExt::from_mode(0o755)).unwrap();

        check("run", &format!("/nonexistent:{at}"), Ok(&format!("{at}/run")));
        let missing = (r#"exec: "foo": executable file not found in $PATH"#, Class::NotFound);
        check("foo", at, Err(missing));
        check("foo", "", Err(missing));
        check("plain", at, Err((r#"exec: "plain": executable file not found in $PATH"#, Class::NotFound)));
        check(
            "/nonexistent",
            at,
            Err((r#"exec: "/nonexistent": stat /nonexistent: no such file or directory"#, Class::NotFound)),
        );
        check("/etc", at, Err((r#"exec: "/etc": is a directory"#, Class::NotExecutable)));
        let plain = format!("{at}/plain");
        check(&plain, "", Err((&format!(r#"exec: "{plain}": permission denied"#), Class::NotExecutable)));
    }
}
