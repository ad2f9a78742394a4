//! Images to a registry, and registries that want to know who it is.

use e2e::{Engine, Guards, Registry};

#[test]
fn a_pulled_image_is_pushed_with_the_digest_it_was_pulled_by() {
    let (from, to) = (Registry::start(), Registry::start());
    from.push("busybox", "team/box:v1");
    let engine = Engine::start();
    let source = format!("{}/team/box:v1", from.address());
    let digest = from.digest("team/box:v1");
    engine.docker(&["pull", "-q", &source]).ok();
    for (client, name) in [("docker", "by/docker"), ("lichen", "by/lichen")] {
        let run = |args: &[&str]| if client == "docker" { engine.docker(args) } else { engine.lichen(args) };
        let target = format!("{}/{name}:v2", to.address());
        run(&["tag", &source, &target]).ok();
        let push = run(&["push", &target]).ok();
        assert!(
            push.stdout.contains(&format!("The push refers to repository [{}/{name}]", to.address())),
            "{push}"
        );
        assert!(push.stdout.contains(&format!("v2: digest: {digest} size: ")), "{push}");
        assert_eq!(to.digest(&format!("{name}:v2")), digest);
        let digests = run(&["inspect", "-f", "{{json .RepoDigests}}", &target]).ok();
        assert!(digests.stdout.contains(&format!("{}/{name}@{digest}", to.address())), "{digests}");
        let again = run(&["push", "-q", &target]).ok();
        again.prints(&target);
    }
    engine
        .docker(&["push", &format!("{}/none:v1", to.address())])
        .exits(1)
        .complains(&format!("An image does not exist locally with the tag: {}/none", to.address()));
}

#[test]
fn a_committed_image_is_pushed_and_runs_elsewhere() {
    let registry = Registry::start();
    let engine = Engine::start();
    engine.load("busybox");
    let name = format!("{}/made/here", registry.address());
    engine.docker(&["run", "--name", "changed", "busybox", "sh", "-c", "echo kept > /file"]).ok();
    for tag in ["a", "b"] {
        engine.docker(&["commit", "-m", tag, "changed", &format!("{name}:{tag}")]).ok();
    }
    let push = engine.docker(&["push", "--all-tags", &name]).ok();
    for line in ["a: digest: sha256:", "b: digest: sha256:", "Pushed", "Layer already exists"] {
        assert!(push.stdout.contains(line), "{line}\n{push}");
    }
    let other = Engine::start();
    other.docker(&["run", "--rm", &format!("{name}:a"), "cat", "/file"]).ok().prints("kept");
    // It is pushed on from its files alone, with the same digest.
    let digest = registry.digest("made/here:a");
    drop(registry);
    let next = Registry::start();
    let there = format!("{}/moved:a", next.address());
    other.docker(&["tag", &format!("{name}:a"), &there]).ok();
    other.docker(&["push", &there]).ok();
    assert_eq!(next.digest("moved:a"), digest);
    engine.docker(&["rm", "changed"]).ok();
}

#[test]
fn a_registry_with_passwords_wants_a_login_first() {
    let registry = Registry::guarded(&Guards { password: true, ..Guards::default() });
    let engine = Engine::start();
    engine.load("busybox");
    let address = registry.address();
    for (client, name) in [("docker", "by-docker"), ("lichen", "by-lichen")] {
        let run = |args: &[&str]| if client == "docker" { engine.docker(args) } else { engine.lichen(args) };
        let target = format!("{address}/private/{name}");
        run(&["tag", "busybox", &target]).ok();
        run(&["push", &target]).exits(1).complains("no basic auth credentials");
        let login = |password: &[u8]| {
            engine.with_input(client, &["login", "-u", "alice", "--password-stdin", &address], password)
        };
        let wrong = login(b"wrong");
        assert!(!wrong.status.success() && wrong.stderr.contains("unauthorized"), "{wrong}");
        assert!(login(b"secret").ok().stdout.contains("Login Succeeded"));
        run(&["push", &target]).ok();
        run(&["rmi", &target]).ok();
        run(&["pull", "-q", &target]).ok();
        run(&["logout", &address]).ok();
        run(&["pull", &target]).exits(1).complains("no basic auth credentials");
        run(&["rmi", &target]).ok();
    }
}

#[test]
fn certificates_of_a_registrys_own_are_taken_from_certs_d() {
    let registry = Registry::guarded(&Guards { tls: true, password: true });
    let engine = Engine::start();
    engine.load("busybox");
    let address = registry.address();
    let target = format!("{address}/guarded:v1");
    engine.docker(&["tag", "busybox", &target]).ok();
    engine.docker(&["push", &target]).exits(1).complains("certificate signed by unknown authority");
    let certificates = format!(".config/docker/certs.d/{address}");
    engine.host().write(&format!("{certificates}/ca.crt"), registry.certificate("ca.crt"));
    // The alert, or that the connection ended before it could be read: with TLS 1.3 the two race.
    let refused = engine.docker(&["push", &target]).exits(1);
    let reasons = ["remote error: tls: bad certificate", "does not accept the client's certificate"];
    assert!(reasons.iter().any(|reason| refused.stderr.contains(reason)), "{refused}");
    engine.host().write(&format!("{certificates}/client.cert"), registry.certificate("client.cert"));
    engine.docker(&["push", &target]).exits(1).complains("missing key client.key for client certificate");
    engine.host().write(&format!("{certificates}/client.key"), registry.certificate("client.key"));
    engine.docker(&["push", &target]).exits(1).complains("no basic auth credentials");
    engine.with_input("docker", &["login", "-u", "alice", "--password-stdin", &address], b"secret").ok();
    engine.docker(&["push", &target]).ok();
    engine.docker(&["rmi", &target]).ok();
    engine.docker(&["run", "--rm", &target, "echo", "over TLS"]).ok().prints("over TLS");
}
