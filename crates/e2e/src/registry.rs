//! Debian's docker-registry, filled by skopeo: plain on loopback, or with TLS and passwords.

use crate::{images, processes};
use std::{
    net::{IpAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// What `htpasswd -Bbn alice secret` prints.
const ALICE: &str = "alice:$2y$05$i3iKMGfcwPoH9dIktdh6P.BjzrMhpxgRtqfsNYuaGHbw6YqEs9jUO\n";

/// A registry that lives as long as the value.
pub struct Registry {
    server: Child,
    dir: PathBuf,
    address: IpAddr,
    port: u16,
}

/// How a registry is guarded.
#[derive(Debug, Clone, Default)]
pub struct Guards {
    /// Only alice with the password `secret` is let in.
    pub password: bool,
    /// TLS with a certificate of an authority of its own, on an address that is not loopback, where engines verify it;
    /// only clients with a certificate of the same authority are let in.
    pub tls: bool,
}

impl Registry {
    /// Plain HTTP on loopback, for everybody.
    pub fn start() -> Self {
        Self::guarded(&Guards::default())
    }

    /// # Panics
    /// When it does not start.
    pub fn guarded(guards: &Guards) -> Self {
        let address = if guards.tls { own_address() } else { [127, 0, 0, 1].into() };
        let port =
            TcpListener::bind((address, 0)).and_then(|l| l.local_addr()).expect("find a free port").port();
        let dir =
            PathBuf::from("/var/tmp/lichen-e2e").join(format!("registry-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("make the registry's directory");
        let mut config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\nhttp:\n  addr: '{address}:{port}'\n",
            dir.join("data").display()
        );
        if guards.tls {
            make_certificates(&dir, address);
            let [authority, certificate, key] =
                ["ca.crt", "server.crt", "server.key"].map(|name| dir.join(name).display().to_string());
            config +=
                &format!("  tls: {{certificate: {certificate}, key: {key}, clientcas: [{authority}]}}\n");
        }
        if guards.password {
            let users = dir.join("htpasswd");
            std::fs::write(&users, ALICE).expect("write the registry's users");
            config += &format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", users.display());
        }
        let file = dir.join("config.yml");
        std::fs::write(&file, config).expect("write the registry's configuration");
        let server = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start docker-registry (Debian package docker-registry)");
        processes::wait_until("the registry listens", || std::net::TcpStream::connect((address, port)).ok());
        Self { server, dir, address, port }
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("{}:{}", self.address, self.port)
    }

    /// A file of the authority that TLS made: `ca.crt`, `client.cert`, `client.key`.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn certificate(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.dir.join(name)).expect("read a certificate")
    }

    /// The bytes of every blob it keeps.
    ///
    /// # Panics
    /// When its directory cannot be read.
    pub fn blob_bytes(&self) -> u64 {
        let blobs = self.dir.join("data/docker/registry/v2/blobs");
        let output = Command::new("du").args(["-sb"]).arg(blobs).output().expect("run du");
        String::from_utf8_lossy(&output.stdout)
            .split_whitespace()
            .next()
            .and_then(|n| n.parse().ok())
            .expect("a size")
    }

    /// Puts a test image there as `name` (`library/busybox:latest`).
    ///
    /// # Panics
    /// When skopeo fails.
    pub fn push(&self, image: &str, name: &str) {
        let source = format!("docker-archive:{}", images::archive(image).display());
        let target = format!("docker://{}/{name}", self.address());
        let status = Command::new("skopeo")
            .args(["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false", &source, &target])
            .status()
            .expect("start skopeo (Debian package skopeo)");
        assert!(status.success(), "skopeo copy {source} {target}: {status}");
    }

    /// The digest that the registry has a name by, asked without the engine.
    ///
    /// # Panics
    /// When skopeo fails.
    pub fn digest(&self, name: &str) -> String {
        let source = format!("docker://{}/{name}", self.address());
        let output = Command::new("skopeo")
            .args(["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &source])
            .output()
            .expect("start skopeo");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

/// An address of this machine's that is not loopback. Nothing is sent: connecting a datagram socket asks the routing
/// table.
fn own_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a datagram socket");
    socket.connect("198.51.100.1:9").expect("this test needs a network interface besides loopback");
    socket.local_addr().expect("its address").ip()
}

/// An authority, a server's certificate for `address`, and a client's.
fn make_certificates(dir: &Path, address: IpAddr) {
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl")
            .args(arguments)
            .current_dir(dir)
            .output()
            .expect("start openssl (Debian package openssl)");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let authority =
        ["req", "-x509", "-days", "3", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.crt"];
    openssl(&[&authority[..], &key].concat());
    let address = format!("subjectAltName=IP:{address}");
    for (name, certificate, extension) in
        [("server", "server.crt", address.as_str()), ("client", "client.cert", "extendedKeyUsage=clientAuth")]
    {
        let (subject, file) = (format!("/CN={name}"), format!("{name}.key"));
        let own = ["req", "-x509", "-CA", "ca.crt", "-CAkey", "ca.key", "-days", "3", "-subj", &subject];
        let out = ["-addext", extension, "-addext", "basicConstraints=critical,CA:FALSE"];
        openssl(&[&own[..], &out, &["-keyout", &file, "-out", certificate], &key].concat());
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        processes::kill_9(self.server.id());
        self.server.wait().expect("reap the registry");
        if let Err(error) = std::fs::remove_dir_all(&self.dir) {
            eprintln!("{} was left behind: {error}", self.dir.display());
        }
    }
}
