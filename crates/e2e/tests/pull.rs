//! Images from a registry.

use e2e::{Engine, Host, Registry, wait_until};
use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::PathBuf,
    process::Command,
    sync::mpsc,
    time::Duration,
};

#[test]
fn an_image_is_pulled_by_tag_and_by_digest_and_runs() {
    let registry = Registry::start();
    registry.push("busybox", "team/box:v1");
    let engine = Engine::start();
    let name = format!("{}/team/box:v1", registry.address());
    for client in ["docker", "lichen"] {
        let run = |args: &[&str]| if client == "docker" { engine.docker(args) } else { engine.lichen(args) };
        let pull = run(&["pull", &name]).ok();
        assert!(pull.stdout.contains(&format!("Status: Downloaded newer image for {name}")), "{pull}");
        let again = run(&["pull", &name]).ok();
        assert!(again.stdout.contains(&format!("Status: Image is up to date for {name}")), "{again}");
        let digest = run(&["inspect", "-f", "{{index .RepoDigests 0}}", &name]).ok().text().to_owned();
        assert!(digest.starts_with(&format!("{}/team/box@sha256:", registry.address())), "{digest}");
        run(&["run", "--rm", &name, "echo", "pulled"]).ok().prints("pulled");
        run(&["rmi", &name]).ok();
        run(&["pull", "-q", &digest]).ok().prints(&digest);
        run(&["run", "--rm", &digest, "echo", "by digest"]).ok().prints("by digest");
        run(&["rmi", &digest]).ok();
    }
    engine.docker(&["images", "-aq"]).ok().prints("");
}

#[test]
fn a_mirror_serves_docker_hubs_names() {
    let registry = Registry::start();
    registry.push("busybox", "library/busybox:latest");
    let host = Host::new();
    host.write(
        ".config/docker/daemon.json",
        format!(r#"{{"registry-mirrors": ["http://{}"]}}"#, registry.address()),
    );
    let engine = Engine::start_on(host, &[], &[]);
    let run = engine.docker(&["run", "--rm", "busybox", "echo", "from the mirror"]).ok();
    run.prints("from the mirror").complains("Unable to find image 'busybox:latest' locally");
}

#[test]
fn what_a_registry_lacks_is_said_in_dockers_words() {
    let registry = Registry::start();
    registry.push("busybox", "team/box:v1");
    let engine = Engine::start();
    engine
        .docker(&["pull", &format!("{}/team/box:v2", registry.address())])
        .exits(1)
        .complains(&format!("manifest for {}/team/box:v2 not found: manifest unknown", registry.address()));
    engine.docker(&["pull", &format!("{}/nope", registry.address())]).exits(1);
    let address = registry.address();
    drop(registry);
    engine.docker(&["pull", &format!("{address}/team/box:v1")]).exits(1).complains("connection refused");
    engine.docker(&["images", "-aq"]).ok().prints("");
}

/// Fills an image store below `host`'s home as an administrator does: what it has is root's, and read by everybody.
fn share(owner: &Engine, host: &Host) -> PathBuf {
    let (shared, archive) = (host.path("shared"), owner.host().path("saved.tar"));
    owner.docker(&["save", "-o", archive.to_str().unwrap(), "busybox"]).ok();
    std::fs::create_dir(&shared).unwrap();
    let unpacked = Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&shared).status().unwrap();
    assert!(unpacked.success());
    shared
}

#[test]
fn an_image_store_is_added_to_a_running_engine_and_serves_layers_of_other_names() {
    let registry = Registry::start();
    let engine = Engine::start();
    engine.load("busybox");
    let shared = share(&engine, engine.host());
    // The same layers by a name that the store does not know, and by blobs as the store has them.
    let name = format!("{}/team/other:v1", registry.address());
    let layout = format!("oci:{}", shared.display());
    let copied = Command::new("skopeo")
        .args(["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false", "--preserve-digests"])
        .args([layout, format!("docker://{name}")])
        .status()
        .unwrap();
    assert!(copied.success());
    engine.docker(&["rmi", "busybox"]).ok();
    engine.docker(&["pull", &name]).ok();
    engine.docker(&["rmi", &name]).ok();

    let json = format!(r#"{{"lichen-additional-image-stores": ["{}"]}}"#, shared.display());
    engine.host().write(".config/docker/daemon.json", json);
    engine.signal(rustix::process::Signal::HUP);
    wait_until("the configuration is reloaded", || {
        let log = std::fs::read_to_string(engine.log()).unwrap();
        log.contains("the configuration was reloaded").then_some(())
    });
    let pull = engine.docker(&["pull", &name]).ok();
    assert!(pull.stdout.contains("Pull complete") && !pull.stdout.contains("Download complete"), "{pull}");
    engine.docker(&["run", "--rm", &name, "echo", "other"]).ok().prints("other");
    engine.docker(&["run", "--rm", "busybox", "echo", "named"]).ok().prints("named");
}

#[test]
fn an_image_store_is_shared_by_the_users_of_a_machine() {
    let owner = Engine::start();
    owner.load("busybox");
    let host = Host::new();
    let shared = share(&owner, &host);
    let json = format!(r#"{{"lichen-additional-image-stores": ["{}"]}}"#, shared.display());
    host.write(".config/docker/daemon.json", json);

    let engine = Engine::start_on(host, &[], &[]);
    let run = engine.docker(&["run", "--rm", "busybox", "echo", "shared"]).ok();
    run.prints("shared").complains(&format!("Found in image store {}", shared.display()));
    let id = ["inspect", "-f", "{{.Id}}", "busybox"];
    assert_eq!(engine.docker(&id).ok().text(), owner.docker(&id).ok().text());

    // Whoever changes a blob is found out, and says nothing about the image.
    engine.docker(&["rmi", "busybox"]).ok();
    for blob in std::fs::read_dir(shared.join("blobs/sha256")).unwrap() {
        let path = blob.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
    let spoiled = engine.docker(&["pull", "busybox"]).exits(1);
    assert!(spoiled.stdout.contains("is passed over: "), "{spoiled}");
    engine.docker(&["images", "-aq"]).ok().prints("");
}

#[test]
fn a_pull_that_is_interrupted_leaves_a_stalled_registry() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (stalls, stalled) = mpsc::channel();
    let (leaves, left) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            let mut first = String::new();
            if lines.read_line(&mut first).is_err() || !first.starts_with("GET ") {
                continue;
            }
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|length| length > 2) {}
            let length = if first.contains("/manifests/") { 1000 } else { 2 };
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{{}}");
            stream.write_all(head.as_bytes()).unwrap();
            if length > 2 {
                stalls.send(()).unwrap();
                // Until the engine ends the connection, however it does that.
                drop(std::io::copy(&mut lines, &mut std::io::sink()));
                leaves.send(()).unwrap();
            }
        }
    });
    let engine = Engine::start();
    for client in ["docker", "lichen"] {
        let mut pulling = engine.spawn(client, &["pull", &format!("{address}/app")]);
        stalled.recv_timeout(Duration::from_secs(60)).expect("the manifest is asked for");
        pulling.kill().and_then(|()| pulling.wait()).unwrap();
        // Much less than a stalled registry is given.
        left.recv_timeout(Duration::from_secs(30)).expect("the engine leaves with the client");
    }
}
