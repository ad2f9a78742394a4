//! One tag, several platforms: which image a name means, and how to get at the others.

use e2e::{Engine, Registry};
use serde_json::Value;

/// `NAME` in the registry, an index of an image for this machine and of one for another, which say what they are.
struct Published {
    registry: Registry,
    name: String,
}

const WARNING: &str =
    "The requested image's platform (linux/s390x) does not match the detected host platform";

impl Published {
    fn new() -> Self {
        let registry = Registry::start();
        let name = format!("{}/team/app:multi", registry.address());
        let engine = Engine::start();
        engine.load("busybox");
        let host = engine.docker(&["inspect", "-f", "{{.Architecture}}", "busybox"]).ok().text().to_owned();
        let mut members = Vec::new();
        for architecture in [host.as_str(), "s390x"] {
            let member = format!("{}/team/app:{architecture}", registry.address());
            let env = format!("ENV MADE_FOR={architecture}");
            engine.docker(&["create", "--name", "maker", "busybox"]).ok();
            let flat = engine.host().path("flat.tar");
            engine.docker(&["export", "-o", flat.to_str().unwrap(), "maker"]).ok();
            let platform = format!("linux/{architecture}");
            let file = flat.to_str().unwrap();
            engine
                .docker(&["import", "--platform", &platform, "-c", &env, "-c", "CMD true", file, &member])
                .ok();
            engine.docker(&["push", "-q", &member]).ok();
            engine.docker(&["rm", "maker"]).ok();
            members.push(member);
        }
        let create = ["manifest", "create", "--insecure", &name, &members[0], &members[1]];
        engine.docker(&create).ok();
        engine.docker(&["manifest", "push", "--insecure", "--purge", &name]).ok();
        Self { registry, name }
    }
}

fn made_for(engine: &Engine, image: &str) -> String {
    let format = "{{range .Config.Env}}{{println .}}{{end}}";
    let environment = engine.docker(&["inspect", "-f", format, image]).ok();
    let line = environment.text().lines().find_map(|line| line.strip_prefix("MADE_FOR=").map(str::to_owned));
    line.unwrap_or_default()
}

#[test]
fn two_platforms_of_one_tag_are_pulled_and_each_is_found() {
    let published = Published::new();
    let name = published.name.as_str();
    for client in ["docker", "lichen"] {
        let engine = Engine::start();
        let run = |args: &[&str]| if client == "docker" { engine.docker(args) } else { engine.lichen(args) };
        run(&["pull", "-q", "--platform", "linux/s390x", name]).ok();
        assert_eq!(made_for(&engine, name), "s390x");
        // Nobody asked for another platform than this machine's.
        run(&["create", "--name", "warned", "--pull", "never", name]).ok().complains(WARNING);
        run(&["create", "--name", "asked", "--platform", "linux/s390x", name]).ok();
        let foreign = engine.docker(&["inspect", "-f", "{{.Id}}", name]).ok().text().to_owned();

        run(&["pull", "-q", name]).ok();
        assert_ne!(made_for(&engine, name), "s390x", "the tag is the image that was pulled last");
        let ours = engine.docker(&["inspect", "-f", "{{.Id}}", name]).ok().text().to_owned();
        let all = engine.docker(&["images", "-aq", "--no-trunc"]).ok();
        assert!(all.text().contains(&ours) && all.text().contains(&foreign), "both are here: {all}");
        // Beside the one that has the name, and nothing is pulled: the registry need not know.
        let create = ["create", "--name", "other", "--pull", "never", "--platform", "linux/s390x", name];
        let quiet = run(&create).ok();
        assert!(!quiet.stderr.contains("does not match"), "{quiet}");
        let image_of = |container: &str| {
            engine.docker(&["inspect", "-f", "{{.Image}}", container]).ok().text().to_owned()
        };
        assert_eq!(image_of("other"), foreign);
        run(&["create", "--name", "mine", "--pull", "never", name]).ok();
        assert_eq!(image_of("mine"), ours);
        run(&["create", "--pull", "never", "--platform", "linux/riscv64", name])
            .exits(1)
            .complains("was found but does not provide the specified platform (linux/riscv64)");
    }
}

/// The manifests that `docker image ls --tree` shows: platform, whether it is here, and its containers.
fn manifests(engine: &Engine, name: &str) -> Vec<(String, bool, usize)> {
    let host = engine.host();
    let socket = host.socket();
    let url = "http://docker/v1.51/images/json?manifests=1";
    let answer = host.run_command("curl", &["-s", "--unix-socket", socket.to_str().unwrap(), url]).ok();
    let images: Vec<Value> = serde_json::from_str(answer.text()).unwrap();
    let named = images.iter().find(|i| i["RepoTags"].as_array().unwrap().iter().any(|tag| tag == name));
    let mut found: Vec<_> = named.expect("the image is listed")["Manifests"]
        .as_array()
        .expect("it has manifests")
        .iter()
        .map(|manifest| {
            assert_eq!(manifest["Kind"], "image", "{manifest}");
            let platform = &manifest["ImageData"]["Platform"]["architecture"];
            let containers = manifest["ImageData"]["Containers"].as_array().map_or(0, Vec::len);
            (platform.as_str().unwrap().to_owned(), manifest["Available"].as_bool().unwrap(), containers)
        })
        .collect();
    found.sort();
    found
}

#[test]
fn the_list_shows_the_manifests_of_an_index_and_which_are_here() {
    let published = Published::new();
    let name = published.name.as_str();
    let engine = Engine::start();
    engine.docker(&["pull", "-q", name]).ok();
    let architecture = engine.docker(&["inspect", "-f", "{{.Architecture}}", name]).ok().text().to_owned();
    let of = |architecture: &str, here: bool, containers: usize| (architecture.to_owned(), here, containers);
    let mut expected = [of(&architecture, true, 0), of("s390x", false, 0)];
    expected.sort();
    assert_eq!(manifests(&engine, name), expected);

    engine.docker(&["pull", "-q", "--platform", "linux/s390x", name]).ok();
    engine.docker(&["create", "--platform", "linux/s390x", name]).ok();
    let mut expected = [of(&architecture, true, 0), of("s390x", true, 1)];
    expected.sort();
    assert_eq!(manifests(&engine, name), expected);
    let tree = engine.lichen(&["images", "--tree"]).ok();
    for platform in [format!("linux/{architecture}"), "linux/s390x".to_owned()] {
        assert!(tree.stdout.contains(&platform), "{tree}");
    }
}

#[test]
fn one_platform_of_a_tag_is_saved_and_pushed() {
    let published = Published::new();
    let (registry, name) = (&published.registry, published.name.as_str());
    let engine = Engine::start();
    engine.docker(&["pull", "-q", "--platform", "linux/s390x", name]).ok();
    engine.docker(&["pull", "-q", name]).ok();
    let ours = made_for(&engine, name);

    let file = engine.host().path("saved.tar");
    engine.docker(&["save", "--platform", "linux/s390x", "-o", file.to_str().unwrap(), name]).ok();
    let other = Engine::start();
    let bytes = std::fs::read(&file).unwrap();
    other.with_input("docker", &["load", "--platform", "linux/s390x"], &bytes).ok();
    assert_eq!(made_for(&other, name), "s390x");
    other.docker(&["rmi", name]).ok();
    let host = other.with_input("docker", &["load", "--platform", &format!("linux/{ours}")], &bytes).exits(1);
    host.complains(&format!("linux/{ours}"));
    other.docker(&["images", "-aq"]).ok().prints("");

    let whole = registry.digest("team/app:multi");
    engine.docker(&["push", "--platform", "linux/s390x", "-q", name]).ok();
    assert_eq!(registry.digest("team/app:multi"), registry.digest("team/app:s390x"));
    assert_ne!(registry.digest("team/app:multi"), whole);
    other.docker(&["pull", "-q", name]).ok();
    assert_eq!(made_for(&other, name), "s390x");
    other.docker(&["create", "--pull", "never", name]).ok().complains(WARNING);
}
