//! A run directory with a holder, a root file system of one static busybox, and the engine's side of the protocol.

use model::{Id, ProcessRef, Rootfs, RunLayout};
use rootless::{Ensure, Holder};
use shim_proto::{
    Attach, Cgroup, Connection, Create, DetachKeys, Exec, ExecExit, ExitRecord, FromHolder, FromShim, Io,
    LogConfig, RuntimeChoice, Target, ToHolder, ToShim, UserRequest,
};
use spec::{ContainerPlan, Ipc, Namespace, Namespaces};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that one test needs; ends its holder when dropped.
pub struct Host {
    pub run: RunLayout,
    pub dir: PathBuf,
    program: std::os::fd::OwnedFd,
    pub holder: ProcessRef,
}

impl Host {
    pub fn new() -> Self {
        // Short: socket paths have 108 bytes.
        let dir = PathBuf::from(format!("/tmp/lichen-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let run = RunLayout::new(dir.join("r"));
        fs::create_dir(run.root()).unwrap();
        fs::create_dir_all(dir.join("rootfs/bin")).unwrap();
        fs::create_dir_all(dir.join("rootfs/etc")).unwrap();
        fs::copy("/bin/busybox", dir.join("rootfs/bin/busybox")).expect("busybox-static is installed");
        fs::write(
            dir.join("rootfs/etc/passwd"),
            "root:x:0:0::/root:/bin/sh\nuser:x:1000:100::/home/user:/bin/sh\n",
        )
        .unwrap();
        fs::write(dir.join("rootfs/bin/text"), "not a program").unwrap();
        for applet in ["sh", "cat", "sleep", "true", "echo", "stty", "yes", "head", "seq"] {
            std::os::unix::fs::symlink("busybox", dir.join("rootfs/bin").join(applet)).unwrap();
        }
        let program =
            sys::memfd::sealed_copy("lichen-shim", File::open(env!("CARGO_BIN_EXE_lichen-shim")).unwrap())
                .unwrap();
        let mut host = Self { run, dir, program, holder: ProcessRef { pid: 0, start_time: 0 } };
        host.holder = host.ensure().state.process;
        host
    }

    pub fn ensure(&self) -> Holder {
        rootless::ensure(&Ensure { run: &self.run, program: self.program.as_fd() }).unwrap()
    }

    pub fn ask_holder(&self, request: &ToHolder) -> FromHolder {
        let mut holder = Connection::connect(&self.run.holder_socket(), "holder").unwrap();
        holder.ask_holder(request, &[]).unwrap().0
    }

    /// A new shim, as the engine gets one.
    pub fn shim(&self, id: &Id, replace: bool) -> Shim {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut args: Vec<String> = ["shim", "--connection", "3", "--id"].map(str::to_owned).to_vec();
        args.extend([id.to_string(), "--run-dir".to_owned(), self.run.root().display().to_string()]);
        args.extend(replace.then(|| "--replace".to_owned()));
        let request = ToHolder::Spawn { args, fds: vec![3] };
        let mut holder = Connection::connect(&self.run.holder_socket(), "holder").unwrap();
        match holder.ask_holder(&request, &[theirs.as_fd()]).unwrap().0 {
            FromHolder::Spawned { process } => Shim::new(Connection::new(ours, "shim"), Some(process)),
            other => panic!("{other:?}"),
        }
    }

    /// As a restarted engine reaches it.
    pub fn connect(&self, id: &Id) -> Shim {
        Shim::new(Connection::connect(&self.run.shim_socket(id), "shim").unwrap(), None)
    }

    pub fn create(&self, id: &Id, command: &[&str], io: Io) -> Box<Create> {
        let spec = spec::render(&plan(id, command, io.tty)).unwrap();
        Box::new(Create {
            id: id.clone(),
            spec,
            rootfs: Rootfs::Dir { path: self.dir.join("rootfs") },
            user: UserRequest::default(),
            runtime: RuntimeChoice::Builtin,
            io,
            log: LogConfig {
                driver: "json-file".into(),
                path: self.log_path(id),
                options: BTreeMap::new(),
                attrs: BTreeMap::new(),
                name: "test".into(),
                image: String::new(),
                tag: id.short().into(),
            },
            cgroup: Cgroup::None,
            dir: self.dir.clone(),
            joins_netns: false,
            bypass: None,
            images: Vec::new(),
        })
    }

    pub fn log_path(&self, id: &Id) -> PathBuf {
        self.dir.join(format!("{}-json.log", id.short()))
    }

    /// Everything that was logged, as text.
    pub fn log(&self, id: &Id) -> String {
        let config = logs::Config::parse("json-file", &BTreeMap::new()).unwrap().file.unwrap();
        let mut reader =
            logs::Reader::open(&config, &self.log_path(id), logs::ReadOptions::default()).unwrap();
        let mut text = String::new();
        while let Some(entry) = reader.entry().unwrap() {
            text.push_str(std::str::from_utf8(&entry.line).unwrap());
        }
        text
    }

    pub fn exit_file(&self, id: &Id) -> Option<ExitRecord> {
        fs::read(self.run.shim_exit(id)).ok().map(|bytes| serde_json::from_slice(&bytes).unwrap())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("holder.log: {}", fs::read_to_string(self.run.holder_log()).unwrap_or_default());
        }
        if let Ok(pidfd) = sys::pidfd::open(self.ensure().state.process) {
            sys::pidfd::signal(&pidfd, 9).unwrap();
        }
        fs::remove_dir_all(&self.dir).unwrap();
    }
}

fn plan(id: &Id, command: &[&str], terminal: bool) -> ContainerPlan {
    ContainerPlan {
        id: id.clone(),
        args: command.iter().map(|a| (*a).to_owned()).collect(),
        env: vec!["PATH=/bin".to_owned()],
        cwd: "/".to_owned(),
        terminal,
        console_size: None,
        hostname: Some("box".to_owned()),
        domainname: None,
        namespaces: Namespaces {
            pid: Namespace::New,
            uts: Namespace::New,
            ipc: Ipc::Private { shm_size: 1 << 20 },
            network: Namespace::New,
            cgroup: Namespace::New,
        },
        mounts: Vec::new(),
        capabilities: spec::caps::resolve(&[], &[], false).unwrap(),
        privileged: false,
        no_new_privileges: false,
        seccomp: None,
        masked_paths: Vec::new(),
        readonly_paths: Vec::new(),
        devices: Vec::new(),
        rlimits: Vec::new(),
        sysctls: BTreeMap::new(),
        resources: None,
        cgroup_path: None,
        oom_score_adj: None,
        readonly_rootfs: false,
        many_ids: true,
        annotations: BTreeMap::new(),
    }
}

/// The engine's side of one shim.
pub struct Shim {
    connection: Connection,
    events: Vec<FromShim>,
    pub process: Option<ProcessRef>,
}

impl Shim {
    fn new(connection: Connection, process: Option<ProcessRef>) -> Self {
        // A shim that hangs fails its test.
        connection.socket().set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { connection, events: Vec::new(), process }
    }

    pub fn ask(&mut self, request: ToShim) -> FromShim {
        self.connection.ask_shim(&request, &[], &mut self.events).unwrap()
    }

    pub fn ask_with(&mut self, request: ToShim, stream: &UnixStream) -> FromShim {
        self.connection.ask_shim(&request, &[stream.as_fd()], &mut self.events).unwrap()
    }

    pub fn done(&mut self, request: ToShim) {
        let reply = self.ask(request);
        assert!(matches!(reply, FromShim::Done), "{reply:?}");
    }

    /// Create and start; the init process.
    pub fn run(&mut self, create: Box<Create>) -> ProcessRef {
        let reply = self.ask(ToShim::Create(create));
        assert!(matches!(reply, FromShim::Created { .. }), "{reply:?}");
        self.start()
    }

    pub fn start(&mut self) -> ProcessRef {
        match self.ask(ToShim::Start) {
            FromShim::Started { process, .. } => process,
            other => panic!("{other:?}"),
        }
    }

    pub fn attach(&mut self, stdin: bool, keys: &[u8]) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let reply = self.ask_with(ToShim::Attach(wanted(stdin, keys)), &theirs);
        assert!(matches!(reply, FromShim::Attached { .. }), "{reply:?}");
        ours
    }

    /// Run a process with attached output; its stream.
    pub fn exec(&mut self, id: &Id, command: &[&str], io: Io) -> (FromShim, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let stdin = io.open_stdin;
        let process = spec::render(&plan(id, command, io.tty)).unwrap().process().clone().unwrap();
        let exec = Exec {
            id: id.clone(),
            process,
            user: UserRequest::default(),
            io,
            attach: Some(wanted(stdin, &[])),
        };
        let reply = self.ask_with(ToShim::Exec(Box::new(exec)), &theirs);
        (reply, ours)
    }

    /// The next event that is of interest.
    fn event<T>(&mut self, pick: impl Fn(&FromShim) -> Option<T>) -> T {
        loop {
            if let Some(found) = self.events.iter().find_map(&pick) {
                return found;
            }
            let message = self.connection.receive::<FromShim>().unwrap().expect("the shim goes on");
            self.events.push(message.msg);
        }
    }

    pub fn exited(&mut self) -> ExitRecord {
        self.event(|e| if let FromShim::Exited(exit) = e { Some(exit.clone()) } else { None })
    }

    pub fn exec_exited(&mut self, id: &Id) -> ExecExit {
        self.event(|e| match e {
            FromShim::ExecExited(exit) if exit.id == *id => Some(exit.clone()),
            _ => None,
        })
    }

    pub fn detached(&mut self) -> Target {
        self.event(|e| if let FromShim::Detached { target } = e { Some(target.clone()) } else { None })
    }

    pub fn kill_shim(&self) {
        let pidfd = sys::pidfd::open(self.process.expect("this test started it")).unwrap();
        sys::pidfd::signal(&pidfd, 9).unwrap();
        assert!(sys::pidfd::poll_exit(&pidfd, Some(Duration::from_secs(5))).unwrap());
    }
}

fn wanted(stdin: bool, keys: &[u8]) -> Attach {
    Attach { stdin, stdout: true, stderr: true, detach_keys: DetachKeys(keys.to_vec()) }
}

/// All of a stream, as frames put together: (stdout, stderr).
pub fn frames(stream: &mut UnixStream) -> (String, String) {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let mut out = [String::new(), String::new()];
    let mut rest = bytes.as_slice();
    while let Some((head, tail)) = rest.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
        out[usize::from(head[0]) - 1].push_str(std::str::from_utf8(&tail[..length]).unwrap());
        rest = &tail[length..];
    }
    assert!(rest.is_empty(), "a torn frame: {rest:?}");
    out.into()
}

/// Read until `text` has been seen.
pub fn read_until(stream: &mut UnixStream, text: &str) -> String {
    let mut seen = Vec::new();
    let mut byte = [0; 512];
    loop {
        let n = stream.read(&mut byte).unwrap();
        assert!(n > 0, "{:?} ended before {text:?}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&byte[..n]);
        if String::from_utf8_lossy(&seen).contains(text) {
            return String::from_utf8_lossy(&seen).into_owned();
        }
    }
}

/// Wait for something that another process does.
pub fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{what}: did not happen within ten seconds");
}

pub fn write(mut stream: &UnixStream, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
}

pub const PIPES: Io = Io { tty: false, open_stdin: false, stdin_once: false, size: None };
pub const STDIN: Io = Io { tty: false, open_stdin: true, stdin_once: false, size: None };
pub const STDIN_ONCE: Io = Io { tty: false, open_stdin: true, stdin_once: true, size: None };
pub const TTY: Io = Io { tty: true, open_stdin: true, stdin_once: false, size: None };
