//! One run of an external runtime's program.

use super::{External, remove};
use crate::{Cgroup, Class, Error, Result, RootSource, Stdio, WindowSize};
use rustix::{
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType},
    process::WaitOptions,
};
use std::{
    ffi::OsStr,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    process::{Command, Stdio as CommandStdio},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use sys::{
    clone::Fork,
    mount::{Attributes, Propagation},
    namespaces::{Kind, Set},
    pidfd::Exit,
};

/// `<linux/magic.h>`
const CGROUP2_SUPER_MAGIC: rustix::fs::FsWord = 0x6367_7270;

/// A command line in the making.
pub(super) struct Invocation<'a> {
    program: PathBuf,
    verb: &'static str,
    command: Command,
    log: PathBuf,
    root: Option<(RootSource<'a>, PathBuf)>,
    given: Vec<(&'a OwnedFd, PathBuf)>,
    has_cgroup: bool,
}

impl<'a> Invocation<'a> {
    pub(super) fn new(external: &External, verb: &'static str, cgroup: &Cgroup) -> Self {
        let log = external.root.join(format!("{}.log", unique()));
        let mut command = Command::new(&external.program);
        command.args(&external.args).arg("--root").arg(&external.root);
        command.arg("--log").arg(&log).args(["--log-format", "json"]);
        command.args(without_cgroup(&external.program, cgroup)).arg(verb);
        command.stdin(CommandStdio::null()).stdout(CommandStdio::null()).stderr(CommandStdio::null());
        let has_cgroup = cgroup.dir().is_some();
        Self {
            program: external.program.clone(),
            verb,
            command,
            log,
            root: None,
            given: Vec::new(),
            has_cgroup,
        }
    }

    /// Attaches a root file system for the time that the program runs.
    pub(super) fn attach(&mut self, root: RootSource<'a>, target: &Path) {
        self.root = Some((root, target.to_owned()));
    }

    /// Likewise another detached mount.
    pub(super) fn attach_given(&mut self, mount: &'a OwnedFd, target: PathBuf) {
        self.given.push((mount, target));
    }

    pub(super) fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.command.arg(arg);
        self
    }

    pub(super) fn preserve(&mut self, fds: u32) {
        if fds > 0 {
            self.arg("--preserve-fds").arg(fds.to_string());
        }
    }

    /// Gives the program the container's streams, or a socket to send its terminal to.
    pub(super) fn connect(&mut self, stdio: Stdio<'_>, root: &Path) -> Result<Option<ConsoleSocket>> {
        match stdio {
            Stdio::Fds { stdin, stdout, stderr } => {
                let copy = |fd| {
                    rustix::io::fcntl_dupfd_cloexec(fd, 3).map_err(Error::step("duplicate standard stream"))
                };
                self.command.stdin(copy(stdin)?).stdout(copy(stdout)?).stderr(copy(stderr)?);
                Ok(None)
            }
            Stdio::Terminal { .. } => {
                let socket = ConsoleSocket::listen(root)?;
                self.arg("--console-socket").arg(&socket.path);
                Ok(Some(socket))
            }
        }
    }

    /// Runs it on container `id`, and turns the last error in its log into ours.
    pub(super) fn run(mut self, id: &str) -> Result<()> {
        self.command.arg(id);
        let exit = match sys::clone::fork().map_err(|e| Error::Step { step: "fork", source: e.into() })? {
            Fork::Child { .. } => self.run_program(),
            Fork::Parent(child) => sys::pidfd::wait(&child.pidfd),
        };
        let exit = exit.map_err(|e| Error::Step { step: "wait for the runtime", source: e.into() })?;
        let message = if exit == Exit::Code(0) { None } else { Some(last_error(&self.log)) };
        remove(&self.log)?;
        match message {
            None => Ok(()),
            Some(message) => {
                let message = message.unwrap_or_else(|| format!("{exit:?}"));
                let class = class(&message);
                Err(Error::External { program: self.program, verb: self.verb, message, class })
            }
        }
    }
}

impl Invocation<'_> {
    /// In the child. What goes wrong before the program runs is put where its own errors would be.
    fn run_program(mut self) -> ! {
        let path = self.program.clone();
        let status = self.prepare().and_then(|()| self.command.status().map_err(Error::path("run", path)));
        match status {
            Ok(status) if status.success() => sys::process::exit(0),
            Ok(_) => reap_orphans(),
            Err(e) => drop(std::fs::write(&self.log, e.to_string())),
        }
        sys::process::exit(1)
    }

    fn prepare(&self) -> Result<()> {
        let step = |step| move |e: sys::Error| Error::Step { step, source: e.into() };
        sys::process::become_subreaper().map_err(step("become subreaper"))?;
        let new = Set::of(&[Kind::Mount]);
        let new = if self.has_cgroup { new } else { new.with(Kind::Cgroup) };
        sys::namespaces::unshare(new).map_err(step("new mount namespace"))?;
        let slash = sys::mount::open_path(Path::new("/")).map_err(step("open /"))?;
        sys::mount::set_propagation(&slash, Propagation::Slave, true)
            .map_err(step("set propagation of /"))?;
        if !self.has_cgroup {
            show_one_hierarchy().map_err(step("mount cgroup2 at /sys/fs/cgroup"))?;
        }
        for (mount, target) in &self.given {
            let target = sys::mount::open_path(target).map_err(step("open bundle"))?;
            sys::mount::attach(mount, &target).map_err(step("attach mount"))?;
        }
        let Some((source, target)) = &self.root else { return Ok(()) };
        let mount = match source {
            RootSource::Mount(fd) => {
                rustix::io::fcntl_dupfd_cloexec(fd, 3).map_err(Error::step("duplicate root"))?
            }
            RootSource::Directory(path) => {
                sys::mount::clone_path(path, true).map_err(step("bind root file system"))?
            }
        };
        let target = sys::mount::open_path(target).map_err(step("open bundle"))?;
        sys::mount::attach(&mount, &target).map_err(step("attach root file system"))
    }
}

/// What a failed program leaves behind comes to us: above all processes in the container's PID namespace, whose init
/// cannot end before somebody has waited for them (pid_namespaces(7)). They end with the program, in a moment.
fn reap_orphans() {
    for _ in 0..200 {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => std::thread::sleep(Duration::from_millis(5)),
            Err(_) => return,
        }
    }
}

/// Hybrid hosts confuse runtimes (crun refuses them), and without a cgroup of the container's own the unified hierarchy
/// is all there is to see.
fn show_one_hierarchy() -> sys::Result<()> {
    let path = Path::new("/sys/fs/cgroup");
    if !path.is_dir() || rustix::fs::statfs(path).is_ok_and(|s| s.f_type == CGROUP2_SUPER_MAGIC) {
        return Ok(());
    }
    let mount = sys::mount::new_filesystem("cgroup2", None, &[], Attributes::NONE)?;
    sys::mount::attach(&mount, sys::mount::open_path(path)?)
}

/// In a user namespace both programs take themselves for root and insist on cgroups that they may not make.
fn without_cgroup(program: &Path, cgroup: &Cgroup) -> &'static [&'static str] {
    match (cgroup, program.file_name().and_then(OsStr::to_str)) {
        (Cgroup::None { .. }, Some("runc")) => &["--rootless=true"],
        (Cgroup::None { .. }, Some("crun")) => &["--cgroup-manager=disabled"],
        _ => &[],
    }
}

fn last_error(log: &Path) -> Option<String> {
    let text = std::fs::read_to_string(log).ok()?;
    let entries = text.lines().rev().filter_map(|l| serde_json::from_str::<serde_json::Value>(l).ok());
    let message =
        entries.filter(|e| e["level"] == "error").find_map(|e| e["msg"].as_str().map(str::to_owned));
    message.or_else(|| text.lines().last().map(str::to_owned))
}

/// As moby reads these texts (`daemon/start_unix.go`).
fn class(message: &str) -> Class {
    let has = |text: &str| message.contains(text);
    let about_exec = has("exec") || has("open executable");
    match () {
        () if has("executable file not found") || has("not found in $PATH") => Class::NotFound,
        () if about_exec && (has("no such file or directory") || has("No such file or directory")) => {
            Class::NotFound
        }
        () if about_exec
            && ["permission denied", "Permission denied", "is a directory"].iter().any(|t| has(t)) =>
        {
            Class::NotExecutable
        }
        () => Class::Other,
    }
}

/// Where a runtime sends a terminal's master.
pub(super) struct ConsoleSocket {
    socket: OwnedFd,
    path: PathBuf,
}

impl ConsoleSocket {
    fn listen(root: &Path) -> Result<Self> {
        let path = scratch(root, "tty")?;
        let failed = |e: rustix::io::Errno| Error::path("listen for terminal at", &path)(e.into());
        // The program has ended by the time the terminal is taken: it must not have to wait for that.
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(failed)?;
        let address = SocketAddrUnix::new(&path).map_err(failed)?;
        rustix::net::bind(&socket, &address).map_err(failed)?;
        rustix::net::listen(&socket, 1).map_err(failed)?;
        Ok(Self { socket, path })
    }

    /// Takes the terminal that the program has sent by now, if it got that far.
    pub(super) fn finish(self, stdio: Stdio<'_>) -> Result<Option<OwnedFd>> {
        remove(&self.path)?;
        let Ok(connection) = rustix::net::accept_with(&self.socket, SocketFlags::CLOEXEC) else {
            return Ok(None);
        };
        let (_, mut fds) = sys::fds::recv_with_fds(connection.as_fd(), &mut [0u8; 4096])
            .map_err(|e| Error::Step { step: "receive terminal", source: e.into() })?;
        let master = fds.pop();
        if let (Some(master), Stdio::Terminal { size: Some(WindowSize { rows, columns }) }) = (&master, stdio)
        {
            sys::pty::resize(master, rows, columns)
                .map_err(|e| Error::Step { step: "resize terminal", source: e.into() })?;
        }
        Ok(master)
    }
}

/// A new name in the state directory.
pub(super) fn scratch(root: &Path, what: &str) -> Result<PathBuf> {
    std::fs::create_dir_all(root).map_err(Error::path("make directory", root))?;
    Ok(root.join(format!("{}.{what}", unique())))
}

fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_runc_and_crun_are_classed() {
        let check = |text: &str, class_: Class| assert_eq!(class(text), class_, "{text}");
        check(
            r#"runc create failed: unable to start container process: exec: "foo": executable file not found in $PATH"#,
            Class::NotFound,
        );
        check("executable file `foo` not found in $PATH: No such file or directory", Class::NotFound);
        check(r#"exec: "/x": stat /x: no such file or directory"#, Class::NotFound);
        check(r#"exec: "/etc": permission denied"#, Class::NotExecutable);
        check("open executable: Permission denied", Class::NotExecutable);
        check("mount proc: operation not permitted", Class::Other);
    }
}
