//! Containers are made only with all that they need.

use super::{from, interrupt};
use e2e::Engine;

fn names(engine: &Engine) -> String {
    let listed = engine.docker(&["ps", "-a", "--format", "{{.Names}}"]).ok();
    let mut names: Vec<&str> = listed.stdout.lines().collect();
    names.sort_unstable();
    names.join(" ")
}

#[test]
fn a_container_that_cannot_have_what_it_needs_is_not_made() {
    let (source, target) = (Engine::start(), Engine::start());
    for engine in [&source, &target] {
        engine.load("busybox");
    }
    let create = |name: &str, words: &[&str]| {
        source.docker(&[&["create", "--name", name], words, &["busybox", "true"]].concat()).ok();
    };
    // Refused: it is not whole there.
    interrupt(&source, "half");
    create("web", &["-v", "half:/srv"]);
    create("side", &["--network", "container:web"]);
    // Another one is here, which only a look into it tells.
    source.docker(&["run", "--rm", "-v", "theirs:/d", "busybox", "touch", "/d/other"]).ok();
    target.docker(&["run", "--rm", "-v", "theirs:/d", "busybox", "touch", "/d/own"]).ok();
    create("shop", &["--mount", "type=volume,source=theirs,target=/d"]);
    source.docker(&["network", "create", "front"]).ok();
    target.docker(&["network", "create", "--internal", "front"]).ok();
    create("porter", &["--network", "front"]);
    create("hermit", &["-v", "/tmp:/tmp", "-v", "/own"]);

    let plan = from(&source, &target, &[]).ok();
    let refused = |container: &str, kind: &str, name: &str| {
        format!("container  {container}  not possible: it needs {kind} {name}, which does not come along: ")
    };
    for line in [
        refused("web", "volume", "half") + "it is not complete in the other engine",
        refused("side", "container", "web"),
        refused("porter", "network", "front") + "another one is here already: its internal",
        "container  shop  create".to_owned(),
        "container  hermit  create".to_owned(),
    ] {
        assert!(plan.stdout.contains(&line), "{line:?}: {plan}");
    }
    let applied = from(&source, &target, &["--apply"]).exits(1);
    let line = refused("shop", "volume", "theirs") + "another volume theirs is here already";
    assert!(applied.stdout.contains(&line), "{applied}");
    assert_eq!(names(&target), "hermit", "{applied}");
    target.docker(&["volume", "inspect", "half"]).exits(1);

    // What is here by the name is what is meant when containers alone are asked for.
    let only = from(&source, &target, &["--apply", "--only", "containers"]).exits(1);
    let line = refused("web", "volume", "half") + "it is not here, and not to be copied";
    assert!(only.stdout.contains(&line), "{only}");
    assert_eq!(names(&target), "hermit porter shop", "{only}");
}
