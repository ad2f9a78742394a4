//! OpenSSH's server on loopback, with keys of its own, for the user of a [`Host`].

use crate::{Host, processes};
use std::{
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A server that lives as long as the value; and a program `ssh` of the user's that knows it and has the key.
pub struct Sshd {
    server: Child,
    dir: PathBuf,
    port: u16,
}

impl Sshd {
    /// `path` is the PATH of what runs on the server's side; the engine there is the host's.
    ///
    /// # Panics
    /// When it does not start: `cargo xtask prepare` installs it.
    pub fn start(host: &Host, path: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("find a port").port();
        // The server's keys are none of the user's.
        let dir = PathBuf::from("/var/tmp/lichen-e2e").join(format!("sshd-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("make the server's directory");
        std::fs::create_dir_all("/run/sshd").expect("make /run/sshd, which sshd changes its root to");
        let key = make_key(&dir.join("host-key"));
        make_key(&dir.join("user-key"));
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/host-key\nAuthorizedKeysFile {0}/user-key.pub\n\
            PidFile none\nStrictModes no\nUsePAM yes\nPasswordAuthentication no\nAllowUsers {1}\n\
            SetEnv DOCKER_HOST=unix://{2} XDG_RUNTIME_DIR={3} PATH={path}\n",
            dir.display(),
            testing::TEST_USER,
            host.socket().display(),
            host.run().display(),
        );
        std::fs::write(dir.join("config"), config).expect("configure the server");
        prepare_client(host, &dir, port, &key);
        let log = std::fs::File::create(dir.join("log")).expect("make the server's log");
        let server = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(dir.join("config"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("start sshd: `cargo xtask prepare` installs openssh-server");
        let mut sshd = Self { server, dir, port };
        processes::wait_until("sshd listens", || {
            if let Some(status) = sshd.server.try_wait().expect("wait for sshd") {
                panic!("sshd ended with {status}: {}", sshd.log());
            }
            TcpStream::connect(("127.0.0.1", port)).ok().map(drop)
        });
        sshd
    }

    /// `ssh://USER@127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("ssh://{}@127.0.0.1:{}", testing::TEST_USER, self.port)
    }

    /// The directory of the program `ssh`, for the client's PATH.
    pub fn client_path(host: &Host) -> String {
        format!("{}:/usr/local/bin:/usr/bin:/bin", host.path("ssh-bin").display())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- sshd's log ---\n{}", self.log());
        }
        processes::kill_9(self.server.id());
        self.server.wait().expect("reap sshd");
        if let Err(error) = std::fs::remove_dir_all(&self.dir) {
            eprintln!("{} was left behind: {error}", self.dir.display());
        }
    }
}

/// ssh looks for its files in the home directory of /etc/passwd, which all tests share: a wrapper names others.
fn prepare_client(host: &Host, dir: &Path, port: u16, host_key: &str) {
    let known = host.write("ssh/known_hosts", format!("[127.0.0.1]:{port} {host_key}\n"));
    let identity = host.write("ssh/id", std::fs::read(dir.join("user-key")).expect("read the user's key"));
    std::fs::set_permissions(&identity, std::fs::Permissions::from_mode(0o600)).expect("chmod");
    let config = format!(
        "IdentityFile {}\nUserKnownHostsFile {}\nStrictHostKeyChecking yes\nBatchMode yes\nIdentitiesOnly yes\n",
        identity.display(),
        known.display()
    );
    let config = host.write("ssh/config", config);
    let wrapper =
        host.write("ssh-bin/ssh", format!("#!/bin/sh\nexec /usr/bin/ssh -F {} \"$@\"\n", config.display()));
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).expect("chmod");
}

/// Makes a pair of keys and returns the public one.
fn make_key(path: &Path) -> String {
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path).status();
    assert!(made.expect("start ssh-keygen (openssh-client)").success(), "ssh-keygen failed");
    let public = std::fs::read_to_string(path.with_extension("pub")).expect("read a public key");
    public.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}
