//! One engine of one user's.

use crate::{Host, Output, images, processes};
use std::{
    io::{Read, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// A running `lichen daemon`, and the clients that talk to it.
pub struct Engine {
    host: Host,
    launcher: Option<Child>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    /// Where other programs than [`program`]'s are, if so.
    programs: Option<PathBuf>,
    /// A socket for published ports, passed as a service manager does.
    socket: Option<OwnedFd>,
}

impl Engine {
    /// Starts an engine on a host of its own and returns when it answers.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with further arguments to `lichen daemon`.
    pub fn start_with(arguments: &[&str]) -> Self {
        Self::start_on(Host::new(), arguments, &[])
    }

    /// The same on a host that was prepared (a daemon.json, say), with further environment variables.
    ///
    /// # Panics
    /// When the engine does not answer.
    pub fn start_on(host: Host, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut engine = Self::prepare(host, arguments, environment);
        engine.launch();
        engine
    }

    fn prepare(host: Host, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self {
            host,
            launcher: None,
            arguments: arguments.iter().map(|a| (*a).to_owned()).collect(),
            environment: environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            programs: None,
            socket: None,
        }
    }

    /// Starts the engine of the programs in this directory.
    pub fn start_from(programs: PathBuf, host: Host) -> Self {
        let mut engine = Self::prepare(host, &[], &[]);
        engine.programs = Some(programs);
        engine.launch();
        engine
    }

    /// Starts an engine that is passed this socket as one for published ports (sd_listen_fds(3)).
    pub fn start_with_socket(socket: OwnedFd) -> Self {
        let mut engine = Self::prepare(Host::new(), &[], &[]);
        engine.socket = Some(socket);
        engine.launch();
        engine
    }

    /// The command line of `lichen daemon`. One that is passed a socket is told its own PID, which only a shell knows
    /// before it is that program.
    fn daemon(&self) -> Command {
        let directory = self.programs.clone();
        let lichen = directory.map_or_else(|| program("lichen"), |directory| directory.join("lichen"));
        let Some(socket) = &self.socket else { return self.host.command(lichen) };
        rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::empty()).expect("let the socket be inherited");
        let script = format!("LISTEN_PID=$$ exec \"$0\" \"$@\" 3<&{}", socket.as_raw_fd());
        let mut command = self.host.command("/bin/bash");
        command.args(["-c", &script]).arg(lichen);
        command.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", "publish");
        command
    }

    /// Starts the launcher again, after it was killed or stopped.
    ///
    /// # Panics
    /// When the engine does not answer.
    pub fn launch(&mut self) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .expect("open the engine's log");
        let mut command = self.daemon();
        command
            .arg("daemon")
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(k, v)| (k, v)))
            .stdout(log.try_clone().expect("a second descriptor of the log"))
            .stderr(log);
        self.launcher = Some(command.spawn().expect("start lichen daemon"));
        self.wait_ready();
    }

    /// Changes what the next launch is given in its environment.
    pub fn set_environment(&mut self, environment: &[(&str, &str)]) {
        self.environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    }

    /// Waits until `/_ping` is answered by an engine of this launcher: one of a killed launcher may answer until it
    /// notices.
    ///
    /// # Panics
    /// When the launcher ended, or half a minute went by.
    pub fn wait_ready(&mut self) {
        let log = self.log();
        let launcher = self.launcher.as_mut().expect("the engine was launched");
        let (socket, pidfile) = (self.host.socket(), self.host.run().join("docker.pid"));
        processes::wait_until("the engine answers", || {
            if let Some(status) = launcher.try_wait().expect("wait for the launcher") {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                panic!("lichen daemon ended with {status}:\n{log}");
            }
            let engine: u32 = std::fs::read_to_string(&pidfile).ok()?.parse().ok()?;
            (processes::parent(engine) == Some(launcher.id()) && ping(&socket)).then_some(())
        });
    }

    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Where the engine's own messages go.
    pub fn log(&self) -> PathBuf {
        self.host.home().join("engine.log")
    }

    /// Runs the real docker command line to its end.
    pub fn docker(&self, arguments: &[&str]) -> Output {
        self.host.run_command("docker", arguments)
    }

    /// Runs our own command line to its end.
    pub fn lichen(&self, arguments: &[&str]) -> Output {
        self.host.run_command(program("lichen"), arguments)
    }

    /// Runs `client` (`docker` or `lichen`), feeding it `input`.
    ///
    /// # Panics
    /// When it cannot be started or stops reading.
    pub fn with_input(&self, client: &str, arguments: &[&str], input: &[u8]) -> Output {
        let program = if client == "lichen" { program("lichen") } else { client.into() };
        let mut command = self.host.command(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("start the client");
        let mut stdin = child.stdin.take().expect("its standard input is piped");
        let input = input.to_vec();
        let writer = std::thread::spawn(move || match stdin.write_all(&input) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                panic!("write to the client: {error}")
            }
            _ => {}
        });
        let output = child.wait_with_output().expect("wait for the client");
        writer.join().expect("feed the client");
        Output::new(format!("{client} {}", arguments.join(" ")), output)
    }

    /// Starts a client that goes on while the test does.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(&self, client: &str, arguments: &[&str]) -> Child {
        let program = if client == "lichen" { program("lichen") } else { client.into() };
        let mut command = self.host.command(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("start the client")
    }

    /// Loads a test image; see [`images::archive`].
    pub fn load(&self, image: &str) {
        let archive = images::archive(image);
        self.lichen(&["load", "--quiet", "--input", archive.to_str().expect("a UTF-8 path")]).ok();
    }

    /// The engine process's PID, from the PID file.
    ///
    /// # Panics
    /// When there is no PID file.
    pub fn pid(&self) -> u32 {
        let text = std::fs::read_to_string(self.host.run().join("docker.pid")).expect("read docker.pid");
        text.trim().parse().expect("a PID")
    }

    pub fn launcher_pid(&self) -> u32 {
        self.launcher.as_ref().expect("the engine was launched").id()
    }

    /// Kills the launcher with SIGKILL and reaps it.
    pub fn kill_launcher(&mut self) {
        let mut launcher = self.launcher.take().expect("the engine was launched");
        processes::kill_9(launcher.id());
        launcher.wait().expect("reap the launcher");
    }

    /// SIGTERM, and waits for the launcher to end.
    ///
    /// # Panics
    /// When it does not.
    pub fn stop(&mut self) {
        if self.launcher.is_some() {
            self.terminate();
            self.wait_stopped();
        }
    }

    /// SIGTERM to the launcher, without waiting.
    ///
    /// # Panics
    /// When it is gone already.
    pub fn terminate(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    /// Any signal to the launcher.
    ///
    /// # Panics
    /// When it is gone already.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.launcher_pid().cast_signed()).expect("a PID");
        rustix::process::kill_process(pid, signal).expect("signal the launcher");
    }

    /// Waits for a launcher that was told to end.
    ///
    /// # Panics
    /// When it does not, or not with success.
    pub fn wait_stopped(&mut self) {
        let mut launcher = self.launcher.take().expect("the engine was launched");
        let status = processes::wait_until("the engine has stopped", || {
            launcher.try_wait().expect("wait for the launcher")
        });
        assert!(status.success(), "lichen daemon ended with {status}");
    }
}

impl Engine {
    /// Most containers of tests sleep as process 1, which SIGTERM does not end (pid_namespaces(7)): a graceful stop waits
    /// ten seconds for them, as Docker's does.
    fn kill_containers(&self) {
        if self.launcher.is_none() {
            return;
        }
        let running = self.lichen(&["ps", "--quiet"]);
        let ids: Vec<&str> = running.stdout.split_whitespace().collect();
        if !ids.is_empty() {
            // Those that ended meanwhile are as good as killed.
            self.lichen(&[&["kill"], &ids[..]].concat());
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.log()).unwrap_or_default();
            eprintln!("--- engine log ---\n{log}");
            if let Some(mut launcher) = self.launcher.take() {
                processes::kill_9(launcher.id());
                launcher.wait().expect("reap the launcher");
            }
            return;
        }
        self.kill_containers();
        self.stop();
        let left = self.host.processes();
        assert!(left.is_empty(), "processes that outlived the engine's graceful stop: {left:#?}");
    }
}

/// Our program, beside the test's own directory in the target directory.
///
/// # Panics
/// When it has not been built.
pub fn program(name: &str) -> PathBuf {
    let dir = std::env::var_os("LICHEN_BIN_DIR").map(PathBuf::from).unwrap_or_else(|| {
        let test = std::env::current_exe().expect("this test's own path");
        test.parent().and_then(|deps| deps.parent()).expect("target/…/deps").to_owned()
    });
    let path = dir.join(name);
    assert!(path.exists(), "{} is not built: cargo build -p lichen -p lichen-shim", path.display());
    path
}

fn ping(socket: &std::path::Path) -> bool {
    let Ok(mut stream) = UnixStream::connect(socket) else { return false };
    let request = b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut reply = String::new();
    stream.write_all(request).is_ok()
        && stream.read_to_string(&mut reply).is_ok()
        && reply.starts_with("HTTP/1.1 200")
}
