//! Debian's docker-registry on loopback, filled by skopeo.

use crate::{images, processes};
use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// A registry that lives as long as the value.
pub struct Registry {
    server: Child,
    dir: PathBuf,
    port: u16,
}

impl Registry {
    /// # Panics
    /// When it does not start.
    pub fn start() -> Self {
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("find a free port").port();
        let dir =
            PathBuf::from("/var/tmp/lichen-e2e").join(format!("registry-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("make the registry's directory");
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n",
            dir.join("data").display()
        );
        let file = dir.join("config.yml");
        std::fs::write(&file, config).expect("write the registry's configuration");
        let server = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start docker-registry (Debian package docker-registry)");
        processes::wait_until("the registry listens", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self { server, dir, port }
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
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
