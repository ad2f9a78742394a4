//! What tests share: running a test body as an unprivileged user in namespaces of its own.
//!
//! The engine never runs as root, so what it does must be tried as a user who has nothing but subordinate IDs. A test
//! says so in its first line:
//!
//! ```no_run
//! #[test]
//! fn a_tmpfs_can_be_mounted() {
//!     testing::in_userns("a_tmpfs_can_be_mounted", || {
//!         // UID 0 here is an ordinary user outside; the mount and network namespaces are new.
//!     });
//! }
//! ```
//!
//! The test binary runs itself again, for that one test, below `setpriv` (when the suite runs as root) and `unshare`
//! of util-linux, which maps the user to root and its subordinate IDs to 1… with newuidmap(1).
#![forbid(unsafe_code)]

use std::{
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Set in the second run, so that the body is run rather than the test again: a file to make when it is.
const INSIDE: &str = "LICHEN_TEST_INSIDE_USERNS";

/// The user that tests run as when the suite itself runs as root; `cargo xtask prepare` makes it.
pub const TEST_USER: &str = "lichen-test";

/// Another one, for tests of engines side by side.
pub const OTHER_USER: &str = "lichen-other";

/// Runs `body` as root of a new user namespace (with subordinate IDs), mount namespace and network namespace, in a
/// process of its own whose current directory is a fresh temporary directory of the test user's.
///
/// `test` is the test's path as the test runner prints it, without the crate: `module::tests::name`.
///
/// # Panics
/// When `body` panics, and when the namespaces cannot be made: then the message names what the machine lacks.
pub fn in_userns(test: &str, body: impl FnOnce()) {
    rerun(test, body, UNSHARE, None);
}

const UNSHARE: &[&str] =
    &["unshare", "--user", "--map-root-user", "--map-auto", "--mount", "--net", "--propagation", "private"];

/// A file system in a file, with a directory on it that belongs to the test user.
pub struct FileSystem {
    /// `mkfs.KIND` makes it.
    pub kind: &'static str,
    pub megabytes: u64,
    /// Mount options.
    pub options: &'static str,
}

/// The same with temporary directories ([`std::env::temp_dir`]) on a file system of its own, which only root can mount.
/// It is mounted in a namespace of the test's and goes away with it.
///
/// # Panics
/// As [`in_userns`], and when the suite does not run as root or the file system cannot be made.
pub fn in_userns_on(file_system: &FileSystem, test: &str, body: impl FnOnce()) {
    rerun(test, body, UNSHARE, Some(file_system));
}

/// Runs `body` in a process of its own as the unprivileged test user, in no new namespace.
///
/// # Panics
/// As [`in_userns`].
pub fn as_user(test: &str, body: impl FnOnce()) {
    rerun(test, body, &[], None);
}

fn rerun(test: &str, body: impl FnOnce(), below: &[&str], file_system: Option<&FileSystem>) {
    if let Some(marker) = std::env::var_os(INSIDE) {
        std::fs::write(&marker, "").expect("mark that the body ran");
        return body();
    }
    let scratch = Scratch::new(test);
    let marker = scratch.path.join(".ran");
    // A path below a directory that the test user may not search still opens through the descriptor.
    let program = std::fs::File::open("/proc/self/exe").expect("open this test's own binary");
    rustix::io::fcntl_setfd(&program, rustix::io::FdFlags::empty())
        .expect("keep the binary open across exec");
    let (mut command, temporary) = match file_system {
        None => (unprivileged(), scratch.path.clone()),
        Some(file_system) => mounted(file_system, &scratch.path),
    };
    let status = command
        .args(below)
        .arg(format!("/proc/self/fd/{}", program.as_raw_fd()))
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .env(INSIDE, &marker)
        .env("TMPDIR", &temporary)
        .env("HOME", &scratch.path)
        .current_dir(&scratch.path)
        .stdin(Stdio::null())
        .status()
        .expect("run setpriv and unshare (util-linux 2.38 or later)");
    assert!(status.success(), "{test}, run as an unprivileged user: {status}");
    // The test runner is content with a name that matches nothing.
    assert!(marker.exists(), "{test} is not this test's path: its body did not run");
}

/// A command prefix that mounts, then drops root; and where it mounts.
fn mounted(file_system: &FileSystem, scratch: &Path) -> (Command, PathBuf) {
    const MOUNT: &str = r#"mount -o "loop,$1" "$2" "$3" && chown "$4:$4" "$3" && shift 4 && exec "$@""#;
    assert!(
        rustix::process::getuid().is_root(),
        "only root can mount a {}: run the suite as root",
        file_system.kind
    );
    let (image, place) = (scratch.join("image"), scratch.join("mounted"));
    std::fs::create_dir(&place).expect("make a mount point");
    let file = std::fs::File::create(&image).expect("make an image");
    file.set_len(file_system.megabytes << 20).expect("size an image");
    let make = format!("mkfs.{}", file_system.kind);
    let made = Command::new(&make).arg("-q").arg(&image).output();
    let made = made.unwrap_or_else(|e| panic!("{make}: {e}: `cargo xtask prepare` installs it"));
    assert!(made.status.success(), "{make}: {}", String::from_utf8_lossy(&made.stderr));
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", MOUNT, "sh", file_system.options]);
    command.args([&image, &place]).arg(TEST_USER);
    command.arg(unprivileged().get_program()).args(unprivileged().get_args());
    (command, place)
}

/// A command prefix that drops root when the suite has it.
fn unprivileged() -> Command {
    if rustix::process::getuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", TEST_USER, "--regid", TEST_USER, "--init-groups", "--inh-caps=-all"]);
        command
    } else {
        Command::new("env")
    }
}

/// A directory that the test user owns and that is removed, with what mapped users left in it, at the end.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn new(test: &str) -> Self {
        let name: String = test.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let path = std::env::temp_dir().join(format!("lichen-{}-{name}", std::process::id()));
        let made = unprivileged().args(["mkdir", "-p"]).arg(&path).status();
        assert!(
            made.as_ref().is_ok_and(std::process::ExitStatus::success),
            "make {}: {made:?}: is there a user {TEST_USER}? `cargo xtask prepare` makes it",
            path.display()
        );
        Self { path }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Files of subordinate IDs can only be removed by root, or by the same map.
        let mut remove = if rustix::process::getuid().is_root() {
            Command::new("rm")
        } else {
            let mut unshare = Command::new("unshare");
            unshare.args(["--user", "--map-root-user", "--map-auto", "rm"]);
            unshare
        };
        match remove.args(["-rf", "--one-file-system"]).arg(&self.path).status() {
            Ok(status) if status.success() => {}
            other => eprintln!("{} was left behind: {other:?}", self.path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_body_is_root_of_a_user_namespace_with_many_ids() {
        super::in_userns("tests::the_body_is_root_of_a_user_namespace_with_many_ids", || {
            assert!(rustix::process::getuid().is_root());
            let map = std::fs::read_to_string("/proc/self/uid_map").unwrap();
            let ids: u64 =
                map.lines().map(|l| l.split_whitespace().nth(2).unwrap().parse::<u64>().unwrap()).sum();
            assert!((65_536..4_294_967_295).contains(&ids), "{map}");
        });
    }

    #[test]
    #[should_panic(expected = "is not this test's path")]
    fn a_misspelt_path_fails_the_test() {
        super::in_userns("tests::no_such_test", || {});
    }

    #[test]
    #[should_panic(expected = "run as an unprivileged user")]
    fn a_failing_body_fails_the_test() {
        super::in_userns("tests::a_failing_body_fails_the_test", || std::process::exit(3));
    }
}
