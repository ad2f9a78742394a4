//! A busybox root file system, a specification to vary, and what came of running it.

use model::{ProcessRef, Rootfs};
use runtime::{
    Cgroup, CreateOptions, Created, Error, ExecOptions, Executing, StartGate, Stdio, Warning,
    oci_spec::runtime::{Process, Spec},
};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::Read,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::symlink,
    },
    path::{Path, PathBuf},
};

/// Runs `body` as root of a user namespace, in a process with one thread, with a root file system below its directory.
pub fn in_userns(test: &str, body: impl FnOnce(&Bench)) {
    testing::in_userns(test, || sys::testing::single_threaded(|| body(&Bench::here())));
}

/// The working directory of one test: a root file system and its neighbours.
pub struct Bench {
    pub directory: PathBuf,
    pub rootfs: PathBuf,
}

impl Bench {
    /// Below the working directory.
    pub fn here() -> Self {
        let directory = std::env::current_dir().expect("a working directory");
        let rootfs = directory.join("rootfs");
        make_rootfs(&rootfs);
        Self { directory, rootfs }
    }

    /// A directory beside the root file system.
    pub fn beside(&self, name: &str) -> PathBuf {
        let path = self.directory.join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    pub fn create(&self, spec: &Value, io: &Io) -> Result<Created, Error> {
        let spec = parse(spec);
        let root = sys::overlay::mount_detached(&Rootfs::Dir { path: self.rootfs.clone() }).unwrap();
        self.create_on(&spec, root.as_fd(), None, io.stdio())
    }

    pub fn create_on(
        &self,
        spec: &Spec,
        root: BorrowedFd<'_>,
        netns: Option<BorrowedFd<'_>>,
        stdio: Stdio<'_>,
    ) -> Result<Created, Error> {
        runtime::create(&CreateOptions {
            id: "test",
            bundle: &self.directory,
            spec,
            rootfs: root.into(),
            mounts: &[],
            netns,
            stdio,
            preserve_fds: 0,
            bypass: false,
            cgroup: &Cgroup::none("tests have none"),
            seccomp_cache: None,
            gate: StartGate::Socket,
        })
    }

    /// Runs a container to its end.
    pub fn try_run(&self, spec: &Value) -> Result<Ran, Error> {
        let io = Io::new();
        let created = self.create(spec, &io)?;
        created.pending.start()?;
        Ok(io.finish(&created.pidfd, created.warnings))
    }

    pub fn run(&self, spec: &Value) -> Ran {
        self.try_run(spec).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Runs a shell line in a container like Docker's, and returns what it printed.
    pub fn sh(&self, line: &str) -> String {
        self.run(&shell(line)).success()
    }

    /// Starts a container that stays.
    pub fn stay(&self, spec: &Value) -> Running {
        let mut spec = spec.clone();
        spec["process"]["args"] = json!(["/bin/sleep", "1000"]);
        let created = self.create(&spec, &Io::new()).unwrap_or_else(|e| panic!("{e}"));
        created.pending.start().unwrap();
        Running { process: created.process, pidfd: created.pidfd, spec: parse(&spec) }
    }
}

/// A running container, killed when dropped.
pub struct Running {
    pub process: ProcessRef,
    pub pidfd: OwnedFd,
    pub spec: Spec,
}

impl Running {
    pub fn try_exec(&self, process: &Value) -> Result<Ran, Error> {
        let io = Io::new();
        let executing = self.exec_with(process, io.stdio())?;
        Ok(io.finish(&executing.pidfd, executing.warnings))
    }

    pub fn exec_with(&self, process: &Value, stdio: Stdio<'_>) -> Result<Executing, Error> {
        let process: Process = serde_json::from_value(process.clone()).unwrap();
        let rules = self.spec.linux().as_ref().and_then(|l| l.seccomp().as_ref());
        let filter = rules.and_then(|rules| runtime::seccomp::load(rules, None).unwrap());
        runtime::exec(&ExecOptions {
            init: self.pidfd.as_fd(),
            init_process: self.process,
            process: &process,
            seccomp: filter.as_ref(),
            stdio,
            preserve_fds: 0,
            bypass: false,
            cgroup: &Cgroup::none("tests have none"),
            listener: None,
            personality: None,
        })
    }

    pub fn sh(&self, line: &str) -> String {
        let process = shell(line)["process"].clone();
        self.try_exec(&process).unwrap_or_else(|e| panic!("{e}")).success()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        sys::pidfd::signal(&self.pidfd, 9).unwrap();
        sys::pidfd::wait(&self.pidfd).unwrap();
    }
}

/// Pipes in place of a terminal.
pub struct Io {
    null: File,
    out: (OwnedFd, OwnedFd),
    err: (OwnedFd, OwnedFd),
}

impl Io {
    pub fn new() -> Self {
        let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        Self { null: File::open("/dev/null").unwrap(), out: pipe(), err: pipe() }
    }

    pub fn stdio(&self) -> Stdio<'_> {
        Stdio::Fds { stdin: self.null.as_fd(), stdout: self.out.1.as_fd(), stderr: self.err.1.as_fd() }
    }

    /// Waits for the end. What is printed must fit into a pipe.
    pub fn finish(self, pidfd: &OwnedFd, warnings: Vec<Warning>) -> Ran {
        let exit = sys::pidfd::wait(pidfd).unwrap();
        drop((self.out.1, self.err.1));
        let read = |fd: OwnedFd| {
            let mut text = String::new();
            File::from(fd).read_to_string(&mut text).unwrap();
            text
        };
        Ran { code: exit.code(), stdout: read(self.out.0), stderr: read(self.err.0), warnings }
    }
}

/// How a process ended and what it printed.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub warnings: Vec<Warning>,
}

impl Ran {
    pub fn success(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout
    }
}

fn make_rootfs(rootfs: &Path) {
    for directory in ["bin", "proc", "sys", "dev", "etc", "tmp"] {
        std::fs::create_dir_all(rootfs.join(directory)).unwrap();
    }
    std::fs::copy("/bin/busybox", rootfs.join("bin/busybox")).expect("busybox-static is installed");
    let applets = "sh true false sleep cat ls id echo mkdir touch mount stat grep head tty stty umask hostname ip wc \
                   readlink rm kill ps unshare chroot mknod test ulimit env pwd";
    for applet in applets.split_whitespace() {
        symlink("busybox", rootfs.join("bin").join(applet)).unwrap();
    }
    std::fs::write(rootfs.join("etc/passwd"), "root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n")
        .unwrap();
}

pub fn parse(spec: &Value) -> Spec {
    serde_json::from_value(spec.clone()).unwrap()
}

/// What Docker gives a container by default, but for seccomp: see there.
pub fn shell(line: &str) -> Value {
    let mut spec: Value = serde_json::from_str(include_str!("../../examples/measure.json")).unwrap();
    spec["process"]["args"] = json!(["/bin/sh", "-c", line]);
    spec
}

/// A user namespace with the first IDs of its creator's. A range must lie within one range outside, and user 0 is one
/// of its own there.
pub fn maps(count: u32) -> Value {
    json!([{"containerID": 0, "hostID": 0, "size": 1}, {"containerID": 1, "hostID": 1, "size": count - 1}])
}

/// Adds a mount to a specification.
pub fn with_mount(mut spec: Value, mount: Value) -> Value {
    spec["mounts"].as_array_mut().unwrap().push(mount);
    spec
}

/// Puts this test binary into the root file system, to run one of its tests as a probe inside.
pub fn install_probe(bench: &Bench) {
    std::fs::copy("/proc/self/exe", bench.rootfs.join("bin/probe")).unwrap();
}

/// The command that runs a probe: an ignored test which prints lines that begin with `probe:`.
pub fn probe(name: &str) -> Value {
    json!(["/bin/probe", "--exact", name, "--ignored", "--nocapture", "--test-threads=1"])
}

/// The lines a probe printed.
pub fn findings(output: &str) -> Vec<&str> {
    output.lines().filter_map(|l| l.split_once("probe:").map(|(_, finding)| finding)).collect()
}
