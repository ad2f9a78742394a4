//! A place for one engine: the home and run-time directories of an unprivileged user.

use crate::{Output, processes};
use std::{
    ffi::OsStr,
    os::unix::{fs::PermissionsExt, fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// Directories of an unprivileged user's, removed at the end.
pub struct Host {
    root: PathBuf,
    user: &'static str,
    uid: u32,
    gid: u32,
}

impl Host {
    /// Of the user `lichen-test`.
    pub fn new() -> Self {
        Self::of(testing::TEST_USER)
    }

    /// Of another user.
    ///
    /// # Panics
    /// When the suite does not run as root, or the user does not exist: `cargo xtask prepare` makes it.
    pub fn of(user: &'static str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        assert!(
            rustix::process::getuid().is_root(),
            "end-to-end tests run as root, to become the user they make"
        );
        let (uid, gid) = ids(user);
        // Short, because socket paths below it must fit sun_path (unix(7)).
        let name = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let root = PathBuf::from("/var/tmp/lichen-e2e").join(name);
        let host = Self { root, user, uid, gid };
        for dir in [host.home(), host.run(), host.root.join("tmp")] {
            std::fs::create_dir_all(&dir).expect("make the user's directories");
            std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o700)).expect("chmod");
            chown(&dir, Some(uid), Some(gid)).expect("chown");
        }
        host
    }

    pub fn uid(&self) -> u32 {
        self.uid
    }

    pub fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    /// `XDG_RUNTIME_DIR`.
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    pub fn socket(&self) -> PathBuf {
        self.run().join("docker.sock")
    }

    pub fn data(&self) -> PathBuf {
        self.home().join(".local/share/lichen")
    }

    /// A file or directory of the user's, for binds and build contexts.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home().join(name)
    }

    /// Writes a file that the user owns.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        let mut missing: Vec<&Path> = path.ancestors().skip(1).take_while(|dir| !dir.exists()).collect();
        while let Some(dir) = missing.pop() {
            std::fs::create_dir(dir).expect("make a directory of the user's");
            chown(dir, Some(self.uid), Some(self.gid)).expect("chown");
        }
        std::fs::write(&path, contents).expect("write a file of the user's");
        chown(&path, Some(self.uid), Some(self.gid)).expect("chown");
        path
    }

    /// A command as the user would start it from a shell: a clean environment and nothing of root's.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .uid(self.uid)
            .gid(self.gid)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.home())
            .env("USER", self.user)
            .env("XDG_RUNTIME_DIR", self.run())
            .env("TMPDIR", self.root.join("tmp"))
            .env("DOCKER_HOST", format!("unix://{}", self.socket().display()))
            .env("LANG", "C.UTF-8")
            .current_dir(self.home())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command of the user's to its end.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn run_command(&self, program: impl AsRef<OsStr>, args: &[&str]) -> Output {
        let mut command = self.command(program.as_ref());
        command.args(args);
        let text = format!("{} {}", Path::new(program.as_ref()).display(), args.join(" "));
        let output = command.output().unwrap_or_else(|error| panic!("start {text}: {error}"));
        Output::new(text, output)
    }

    /// Every process of this host's, engines, shims and containers alike: those started with its run-time directory.
    pub fn processes(&self) -> Vec<processes::Process> {
        processes::started_with(&self.run())
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for process in self.processes() {
            processes::kill_9(process.pid);
        }
        if std::env::var_os("LICHEN_TEST_KEEP").is_some() {
            eprintln!("kept {}", self.root.display());
            return;
        }
        if let Err(error) = std::fs::remove_dir_all(&self.root) {
            eprintln!("{} was left behind: {error}", self.root.display());
        }
    }
}

fn ids(name: &str) -> (u32, u32) {
    let passwd = std::fs::read_to_string("/etc/passwd").expect("read /etc/passwd");
    let entry = passwd.lines().map(|l| l.split(':').collect::<Vec<_>>()).find(|f| f[0] == name);
    let entry = entry.unwrap_or_else(|| panic!("there is no user {name}: `cargo xtask prepare` makes it"));
    (entry[2].parse().expect("a UID"), entry[3].parse().expect("a GID"))
}
