//! The API over networks: TLS, plain TCP where it is insisted on, ssh, and contexts that lead there.

use e2e::{Engine, Host, Output, Sshd, program};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::Stdio,
};

/// An authority with certificates for a server on loopback and for a client, in files of the user's.
struct Authority(PathBuf);

impl Authority {
    fn make(host: &Host, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().expect("make a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("make an authority");
        let ca = host.write(&format!("{name}/ca.pem"), issuer.pem());
        let leaf = |file: &str, names: Vec<String>, usage| {
            let mut params = CertificateParams::new(names).expect("names of a certificate");
            params.distinguished_name.push(DnType::CommonName, file);
            params.extended_key_usages = vec![usage];
            let key = KeyPair::generate().expect("make a key");
            let certificate = params.signed_by(&key, &issuer).expect("sign a certificate");
            host.write(&format!("{name}/{file}cert.pem"), certificate.pem());
            host.write(&format!("{name}/{file}key.pem"), key.serialize_pem());
        };
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        leaf("server-", names, ExtendedKeyUsagePurpose::ServerAuth);
        leaf("", vec![], ExtendedKeyUsagePurpose::ClientAuth);
        Self(ca.parent().expect("the authority's directory").to_owned())
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// What the daemon is told.
    fn server(&self, verify: bool) -> Vec<String> {
        let mut options = vec!["--tlscert".into(), self.file("server-cert.pem")];
        options.extend(["--tlskey".into(), self.file("server-key.pem")]);
        if verify {
            options.extend(["--tlsverify".into(), "--tlscacert".into(), self.file("ca.pem")]);
        }
        options
    }

    /// What a client is told that trusts this authority and shows a certificate of `shown`.
    fn client(&self, shown: Option<&Self>) -> Vec<String> {
        let mut options = vec!["--tlsverify".to_owned(), "--tlscacert".into(), self.file("ca.pem")];
        // A client that is not told looks into ~/.docker, where there are none.
        if let Some(shown) = shown {
            options.extend(["--tlscert".into(), shown.file("cert.pem")]);
            options.extend(["--tlskey".into(), shown.file("key.pem")]);
        }
        options
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("find a free port").port()
}

/// An engine on its usual socket and on further addresses.
fn serve(host: Host, options: &[String]) -> Engine {
    let mut arguments = vec!["-H".to_owned(), format!("unix://{}", host.socket().display())];
    arguments.extend_from_slice(options);
    Engine::start_on(host, &arguments.iter().map(String::as_str).collect::<Vec<_>>(), &[])
}

/// A client without DOCKER_HOST; `input` is what it reads.
fn client(host: &Host, name: &str, arguments: &[String], input: &str) -> Output {
    let program = if name == "lichen" { program("lichen") } else { name.into() };
    let mut command = host.command(program);
    command.args(arguments).env_remove("DOCKER_HOST").env("PATH", Sshd::client_path(host));
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start the client");
    // One that fails at once reads nothing.
    drop(child.stdin.take().expect("it is piped").write_all(input.as_bytes()));
    Output::of(
        format!("{name} {}", arguments.join(" ")),
        child.wait_with_output().expect("wait for the client"),
    )
}

fn words(options: &[&[String]], rest: &[&str]) -> Vec<String> {
    options.concat().into_iter().chain(rest.iter().map(|word| (*word).to_owned())).collect()
}

#[test]
fn mutual_tls_lets_in_only_clients_of_the_authority() {
    let host = Host::new();
    let (ours, other) = (Authority::make(&host, "ours"), Authority::make(&host, "other"));
    let address = format!("127.0.0.1:{}", free_port());
    let at = ["-H".to_owned(), format!("tcp://{address}")];
    let engine = serve(host, &[&at[..], &ours.server(true)].concat());
    engine.load("busybox");
    for name in ["docker", "lichen"] {
        let run = |options: &[String], rest: &[&str], input: &str| {
            client(engine.host(), name, &words(&[&at, options], rest), input)
        };
        let good = ours.client(Some(&ours));
        run(&good, &["run", "--rm", "-i", "busybox", "cat"], "over TLS").ok().prints("over TLS");
        let refused = run(&ours.client(None), &["version"], "").exits(1);
        assert!(!refused.stdout.contains("Server"), "{refused}");
        assert!(refused.stderr.to_lowercase().contains("certificate"), "{refused}");
        let refused = run(&ours.client(Some(&other)), &["version"], "").exits(1);
        assert!(!refused.stdout.contains("Server"), "{refused}");
        // The client refuses a server that it cannot verify.
        run(&other.client(Some(&ours)), &["ps"], "").exits(1).complains("certificate");
        run(&[], &["ps"], "").exits(1).complains("Client sent an HTTP request to an HTTPS server.");
    }
    assert!(!engine.docker(&["info"]).ok().stderr.contains("API is accessible"), "nothing is open");
    // What says nothing is not served, and keeps nobody else from being served.
    let mut silent = TcpStream::connect(&address).expect("connect");
    engine.docker(&["ps"]).ok();
    // A handshake record with a message of no known type.
    silent.write_all(b"\x16\x03\x01\x00\x04\xff\x00\x00\x00").expect("send what is no handshake");
    let mut answer = Vec::new();
    silent.read_to_end(&mut answer).expect("the connection is closed");
    assert_eq!(answer.first(), Some(&21), "an alert (RFC 8446, 5.1)");
}

#[test]
fn tls_without_verification_is_for_loopback_unless_insisted_on() {
    let host = Host::new();
    let ours = Authority::make(&host, "ours");
    let plain = format!("tcp://127.0.0.1:{}", free_port());
    let validate = |arguments: &[String]| {
        let arguments = words(&[arguments], &["--validate"]);
        let words: Vec<&str> = ["daemon"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
        host.run_command(program("lichen"), &words)
    };
    let everywhere = ["-H".to_owned(), "tcp://0.0.0.0:1".to_owned()];
    let tls = [ours.server(false), vec!["--tls".to_owned()]].concat();
    let insist = |flag: &str| [flag.to_owned()];
    for options in [&everywhere[..], &[&everywhere[..], &tls].concat()] {
        validate(options).exits(1).complains("tcp://0.0.0.0:1").complains("insist with --tls=false");
    }
    validate(&[&everywhere[..], &insist("--tls=false")].concat()).ok();
    validate(&[&everywhere[..], &tls, &insist("--tlsverify=false")].concat()).ok();
    validate(&[&everywhere[..], &ours.server(true)].concat()).ok();

    let secured = ["-H".to_owned(), format!("tcp://localhost:{}", free_port())];
    let engine = serve(host, &[&secured[..], &tls].concat());
    let trusting = ours.client(None);
    // docker wants an authority even where it verifies nothing.
    let unverified = words(&[], &["--tls", "--tlscacert", &ours.file("ca.pem")]);
    let unchecked = vec!["--tls".to_owned()];
    let lines =
        [("docker", &trusting), ("lichen", &trusting), ("docker", &unverified), ("lichen", &unchecked)];
    for (name, options) in lines {
        let line = words(&[&secured, options], &["version", "-f", "{{.Server.Os}}"]);
        client(engine.host(), name, &line, "").ok().prints("linux");
    }
    engine.docker(&["info"]).ok().complains("without TLS client verification");
    drop(engine);

    // Without TLS, on loopback and beside the unix socket.
    let engine = serve(Host::new(), &["-H".to_owned(), plain.clone()]);
    for name in ["docker", "lichen"] {
        let line = words(&[], &["-H", &plain, "version", "-f", "{{.Server.Os}}"]);
        client(engine.host(), name, &line, "").ok().prints("linux");
    }
    engine
        .docker(&["info"])
        .ok()
        .complains(&format!("API is accessible on {}", plain.replace("tcp", "http")));
}

#[test]
fn an_engine_is_reached_over_ssh() {
    let engine = Engine::start();
    let host = engine.host();
    engine.load("busybox");
    // The other side knows lichen only: by its own name, and where docker's client asks for it, as docker.
    host.write("remote-bin/.keep", "");
    let remote = host.path("remote-bin");
    for name in ["lichen", "docker"] {
        std::os::unix::fs::symlink(program("lichen"), remote.join(name)).expect("link a program");
    }
    // Beside the shell: podman is where other programs of the system are.
    std::os::unix::fs::symlink("/bin/sh", remote.join("sh")).expect("link the shell");
    let sshd = Sshd::start(host, &remote.display().to_string());
    let at = ["-H".to_owned(), sshd.url()];
    for name in ["docker", "lichen"] {
        let run = |rest: &[&str], input: &str| client(host, name, &words(&[&at], rest), input);
        run(&["run", "--rm", "-i", "busybox", "cat"], "over ssh").ok().prints("over ssh");
        run(&["run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 3"], "")
            .exits(3)
            .complains("err");
    }
    let socket = words(&[], &["-H", &format!("{}{}", sshd.url(), host.socket().display()), "ps", "-q"]);
    client(host, "lichen", &socket, "").ok().prints("");
    // With docker alone on the other side.
    std::fs::remove_file(remote.join("lichen")).expect("remove a link");
    client(host, "lichen", &words(&[&at], &["version", "-f", "{{.Server.Os}}"]), "").ok().prints("linux");
    std::fs::remove_file(remote.join("docker")).expect("remove a link");
    client(host, "lichen", &words(&[&at], &["ps"]), "")
        .exits(1)
        .complains("has exited with exit status 127")
        .complains("neither lichen nor docker nor podman is on PATH");
    let url = sshd.url();
    drop(sshd);
    client(host, "lichen", &words(&[], &["-H", &url, "ps"]), "").exits(1).complains("exit status 255");
}

#[test]
fn contexts_with_keys_are_shared_with_docker_and_travel_in_archives() {
    let host = Host::new();
    let ours = Authority::make(&host, "ours");
    let url = format!("tcp://127.0.0.1:{}", free_port());
    let engine = serve(host, &[&["-H".to_owned(), url.clone()][..], &ours.server(true)].concat());
    let host = engine.host();
    let run = |name: &str, rest: &[&str]| client(host, name, &words(&[], rest), "");
    let (ca, cert, key) = (ours.file("ca.pem"), ours.file("cert.pem"), ours.file("key.pem"));
    let endpoint = format!("host={url},ca={ca},cert={cert},key={key}");
    for (maker, user) in [("docker", "lichen"), ("lichen", "docker")] {
        let (first, copy, third) = (format!("{maker}1"), format!("{maker}2"), format!("{maker}3"));
        run(maker, &["context", "create", &first, "--description", "d", "--docker", &endpoint]).ok();
        run(user, &["--context", &first, "version", "-f", "{{.Server.Os}}"]).ok().prints("linux");
        // Out of one, into the other; and once more as the copy of a copy.
        run(maker, &["context", "export", &first])
            .ok()
            .complains(&format!("Written file \"{first}.dockercontext\""));
        run(maker, &["context", "export", &first]).exits(1).complains("file exists");
        run(user, &["context", "import", &copy, &format!("{first}.dockercontext")]).ok().prints(&copy);
        run(user, &["context", "create", &third, "--from", &copy]).ok();
        for context in [&copy, &third] {
            run("docker", &["--context", context, "version", "-f", "{{.Server.Os}}"]).ok().prints("linux");
            run("lichen", &["--context", context, "version", "-f", "{{.Server.Os}}"]).ok().prints("linux");
        }
        let inspect = ["context", "inspect", &copy];
        assert_eq!(run(maker, &inspect).ok().stdout, run(user, &inspect).ok().stdout);
        // Keys of an engine that the context no longer leads to are dropped.
        run(maker, &["context", "update", &third, "--docker", "host=unix:///nowhere"]).ok();
        run(user, &["context", "inspect", "-f", "{{json .TLSMaterial}}", &third]).ok().prints("{}");
        run(maker, &["context", "use", &first]).ok().prints(&first);
        run(user, &["context", "show"]).ok().prints(&first);
        run(user, &["context", "rm", &first]).exits(1).complains("is in use, set -f flag to force remove");
        run(user, &["context", "rm", "-f", &first, &copy, &third]).ok();
        run(maker, &["context", "ls", "-q"]).ok().prints("default");
    }
    let bad = format!("host={url},ca={}", host.write("bad.pem", "no certificate").display());
    run("lichen", &["context", "create", "bad", "--docker", &bad]).exits(1).complains("ca.pem seems invalid");
}
