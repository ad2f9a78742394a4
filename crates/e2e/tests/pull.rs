//! Images from a registry.

use e2e::{Engine, Host, Registry};

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
