//! A real registry for tests: Debian's docker-registry on loopback, filled with images made here.

pub(crate) use tokens::TokenServer;

use crate::{
    chain::digest_of,
    lab::{config, gzip},
    manifest::{self, Descriptor, Index, Manifest},
};
use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How a layer is sent.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    Plain,
    Gzip,
    Zstd,
}

/// What `htpasswd -Bbn alice secret` prints.
const ALICE: &str = "alice:$2y$05$i3iKMGfcwPoH9dIktdh6P.BjzrMhpxgRtqfsNYuaGHbw6YqEs9jUO\n";

/// A running registry; it ends with the value.
pub(crate) struct Registry {
    child: Child,
    pub host: String,
    dir: tempfile::TempDir,
}

#[derive(Default)]
pub(crate) struct Setup {
    /// Only alice with the password `secret` is let in.
    pub with_password: bool,
    /// PEM files of a certificate and its key.
    pub tls: Option<(std::path::PathBuf, std::path::PathBuf)>,
    /// The realm of a token server.
    pub tokens: Option<String>,
}

impl Registry {
    pub fn start() -> Self {
        Self::with(&Setup::default())
    }

    pub fn with(setup: &Setup) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut yaml = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n",
            dir.path().join("data").display()
        );
        if setup.with_password {
            let htpasswd = dir.path().join("htpasswd");
            fs::write(&htpasswd, ALICE).unwrap();
            yaml += &format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", htpasswd.display());
        }
        if let Some(realm) = &setup.tokens {
            yaml += &tokens::configuration(realm);
        }
        yaml += &format!("http:\n  addr: 127.0.0.1:{port}\n");
        if let Some((certificate, key)) = &setup.tls {
            yaml += &format!("  tls: {{certificate: {}, key: {}}}\n", certificate.display(), key.display());
        }
        let file = dir.path().join("config.yml");
        fs::write(&file, yaml).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry (Debian package docker-registry)");
        let registry = Self { child, host: format!("127.0.0.1:{port}"), dir };
        registry.await_listening();
        registry
    }

    fn await_listening(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(&self.host).is_err() {
            assert!(Instant::now() < deadline, "docker-registry does not listen on {}", self.host);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Where it keeps a blob: for tests that damage one.
    pub fn blob_path(&self, blob: &Descriptor) -> std::path::PathBuf {
        let hex = blob.digest.hex();
        self.dir.path().join(format!("data/docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]))
    }

    pub async fn put_blob(&self, repository: &str, media_type: &str, bytes: &[u8]) -> Descriptor {
        let digest = digest_of(bytes);
        let begin = format!("http://{}/v2/{repository}/blobs/uploads/", self.host);
        let begun = client().post(begin).send().await.unwrap();
        let location = begun.headers()["location"].to_str().unwrap().to_owned();
        let url = format!("{location}&digest={digest}");
        let put = client().put(url).body(bytes.to_vec()).send().await.unwrap();
        assert_eq!(put.status(), 201);
        Descriptor::new(media_type, digest, bytes.len() as u64)
    }

    pub async fn put_manifest(
        &self,
        repository: &str,
        reference: &str,
        media_type: &str,
        bytes: Vec<u8>,
    ) -> Descriptor {
        let url = format!("http://{}/v2/{repository}/manifests/{reference}", self.host);
        let descriptor = Descriptor::new(media_type, digest_of(&bytes), bytes.len() as u64);
        let put = client().put(url).header("content-type", media_type).body(bytes).send().await.unwrap();
        assert_eq!(put.status(), 201, "{:?}", put.text().await);
        descriptor
    }

    /// An image of these plain layers. `docker` chooses Docker's media types.
    pub async fn put_image(
        &self,
        repository: &str,
        tag: &str,
        layers: &[(Vec<u8>, Form)],
        docker: bool,
    ) -> Descriptor {
        let plain: Vec<_> = layers.iter().map(|(l, _)| l.clone()).collect();
        self.put_configured(repository, tag, &config(&plain), layers, docker).await
    }

    /// The same with this configuration.
    pub async fn put_configured(
        &self,
        repository: &str,
        tag: &str,
        config: &[u8],
        layers: &[(Vec<u8>, Form)],
        docker: bool,
    ) -> Descriptor {
        let (manifest_type, config_type) = if docker {
            (manifest::DOCKER_MANIFEST, manifest::DOCKER_CONFIG)
        } else {
            (manifest::OCI_MANIFEST, manifest::OCI_CONFIG)
        };
        let config = self.put_blob(repository, config_type, config).await;
        let mut descriptors = Vec::new();
        for (layer, form) in layers {
            let (media_type, bytes) = match (docker, form) {
                (true, _) => ("application/vnd.docker.image.rootfs.diff.tar.gzip".to_owned(), gzip(layer)),
                (false, Form::Plain) => (manifest::OCI_LAYER.to_owned(), layer.clone()),
                (false, Form::Gzip) => (format!("{}+gzip", manifest::OCI_LAYER), gzip(layer)),
                (false, Form::Zstd) => {
                    (format!("{}+zstd", manifest::OCI_LAYER), zstd::encode_all(&layer[..], 3).unwrap())
                }
            };
            descriptors.push(self.put_blob(repository, &media_type, &bytes).await);
        }
        let manifest = Manifest {
            schema_version: 2,
            media_type: manifest_type.into(),
            config,
            layers: descriptors,
            annotations: BTreeMap::new(),
        };
        self.put_manifest(repository, tag, manifest_type, serde_json::to_vec(&manifest).unwrap()).await
    }

    pub async fn put_index(&self, repository: &str, tag: &str, manifests: Vec<Descriptor>) -> Descriptor {
        let index = Index {
            schema_version: 2,
            media_type: manifest::OCI_INDEX.into(),
            manifests,
            annotations: BTreeMap::new(),
        };
        self.put_manifest(repository, tag, manifest::OCI_INDEX, serde_json::to_vec(&index).unwrap()).await
    }
}

fn client() -> reqwest::Client {
    crate::registry::install_crypto();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).unwrap();
    }
}

mod tokens;

/// A port of loopback that nobody listens on just now.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Serves one prepared HTTP answer to each connection, in order, and then closes: for registries that misbehave.
pub(crate) fn serve(answers: impl Fn(usize, &str) -> Vec<u8> + Send + 'static) -> String {
    use std::io::{BufRead, BufReader};
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut head = String::new();
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            // TLS comes first and is no text: the connection is closed, and plain HTTP tried.
            while lines.read_line(&mut head).is_ok_and(|n| n > 2) {}
            // The client may be gone already; then there is nobody to answer.
            drop(stream.write_all(&answers(number, &head)));
        }
    });
    host
}
