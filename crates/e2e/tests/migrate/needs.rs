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

#[test]
fn a_container_is_made_of_its_own_image_whatever_its_name_is_by_now() {
    let (source, target) = (Engine::start(), Engine::start());
    for engine in [&source, &target] {
        engine.load("busybox");
    }
    let other = |engine: &Engine, name: &str| {
        engine.docker(&["create", "--name", "base", "busybox", "true"]).ok();
        engine.docker(&["commit", "--change", "ENV OTHER=1", "base", name]).ok();
        engine.docker(&["rm", "base"]).ok();
    };
    for name in ["moved", "gone", "theirs"] {
        let image = format!("example/{name}:1");
        source.docker(&["tag", "busybox", &image]).ok();
        source.docker(&["create", "--name", name, &image, "true"]).ok();
    }
    other(&source, "example/moved:1");
    source.docker(&["rmi", "example/gone:1"]).ok();
    // Under this name something else is here.
    other(&target, "example/theirs:1");

    let only = from(&source, &target, &["--apply", "--only", "containers"]).exits(1);
    let refused = "container  theirs  not possible: it needs image ";
    assert!(only.stdout.contains(refused) && only.stdout.contains("another one is here already"), "{only}");
    assert_eq!(names(&target), "", "they are of the same image: {only}");
    target.docker(&["rmi", "example/theirs:1"]).ok();
    let plan = from(&source, &target, &[]).ok();
    for name in ["moved", "gone"] {
        let line =
            format!("example/{name}:1 is not its image there any more: it gets the one it was made of");
        assert!(plan.stdout.contains(&line), "{line:?}: {plan}");
    }
    from(&source, &target, &["--apply"]).ok();
    for name in ["moved", "gone", "theirs"] {
        let image = source.docker(&["inspect", "-f", "{{.Image}}", name]).ok();
        target.docker(&["inspect", "-f", "{{.Image}}", name]).ok().prints(image.text());
    }
    let again = from(&source, &target, &["--apply", "--only", "containers"]).ok();
    assert_eq!(again.stdout.matches("the same is here already").count(), 3, "{again}");
}
