//! `lichen migrate`, from one engine to another.

mod killed;
mod needs;
mod podman;
mod ssh;

use e2e::{Engine, Output};

fn from(source: &Engine, target: &Engine, more: &[&str]) -> Output {
    let address = format!("unix://{}", source.host().socket().display());
    target.lichen(&[&["migrate", "--from", &address], more].concat())
}

/// A web server of sorts, with what belongs to it.
fn furnish(engine: &Engine) {
    engine.load("busybox");
    engine.docker(&["tag", "busybox", "example/web:1"]).ok();
    engine.docker(&["network", "create", "--subnet", "10.91.7.0/24", "--label", "a=b", "front"]).ok();
    engine.docker(&["volume", "create", "--label", "kind=data", "data"]).ok();
    engine.docker(&["volume", "create", "unused"]).ok();
    let fill = "cd /d && mkdir -m 700 sub && echo hello >sub/file && chown -R 33:44 sub && ln -s sub/file link && \
                chmod 2751 /d && chown 5:6 /d";
    engine.docker(&["run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", fill]).ok();
    engine.docker(&["run", "--rm", "-v", "unused:/d", "busybox", "sh", "-c", "echo alone >/d/file"]).ok();
    let create =
        ["create", "--name", "web", "--network", "front", "--network-alias", "www", "-v", "data:/srv/data"];
    let more =
        ["-v", "/anonymous", "-e", "A=1", "--restart", "on-failure:3", "example/web:1", "sleep", "1000"];
    engine.docker(&[&create[..], &more[..]].concat()).ok();
    engine.docker(&["start", "web"]).ok();
    // An image that exposes a port, which nobody may ask for beside the network of another container.
    engine.docker(&["commit", "--change", "EXPOSE 80", "web", "example/side:1"]).ok();
    let join =
        ["run", "-d", "--name", "side", "--network", "container:web", "example/side:1", "sleep", "1000"];
    engine.docker(&join).ok();
}

fn listing(engine: &Engine, volume: &str) -> String {
    let script =
        "cd /d && ls -lanR . | sed 's/ [A-Z][a-z][a-z] .*[0-9] / /' && cat file sub/file 2>/dev/null";
    let mount = format!("{volume}:/d");
    engine.docker(&["run", "--rm", "-v", &mount, "busybox", "sh", "-c", script]).stdout
}

#[test]
fn another_engine_is_copied_once_and_stays_as_it_is() {
    let (source, target) = (Engine::start(), Engine::start());
    furnish(&source);
    let before = source.docker(&["ps", "-a", "--format", "{{.ID}} {{.Names}} {{.State}}"]).ok().stdout;

    let plan = from(&source, &target, &[]).ok();
    for line in ["image", "network    front  create", "volume     data  copy", "container  web  create"] {
        assert!(plan.stdout.contains(line), "{line:?}: {plan}");
    }
    target.docker(&["images", "-q"]).ok().prints("");

    from(&source, &target, &["--apply"]).ok();
    target.docker(&["image", "inspect", "example/web:1", "--format", "{{len .RepoTags}}"]).ok().prints("2");
    for volume in ["data", "unused"] {
        assert_eq!(listing(&target, volume), listing(&source, volume), "{volume}");
    }
    target.docker(&["volume", "inspect", "data", "--format", "{{.Labels.kind}}"]).ok().prints("data");
    let subnet = "{{(index .IPAM.Config 0).Subnet}} {{.Labels.a}}";
    target.docker(&["network", "inspect", "front", "--format", subnet]).ok().prints("10.91.7.0/24 b");
    let format = "{{.State.Status}} {{.HostConfig.RestartPolicy.MaximumRetryCount}} {{.Config.Image}}";
    target.docker(&["inspect", "web", "--format", format]).ok().prints("created 3 example/web:1");
    // The volume that nobody named is the copied one, and nothing of the work is left.
    let anonymous = "{{range .Mounts}}{{if eq .Destination \"/anonymous\"}}{{.Name}}{{end}}{{end}}";
    let name = source.docker(&["inspect", "web", "--format", anonymous]).ok().stdout;
    target.docker(&["inspect", "web", "--format", anonymous]).ok().prints(name.trim());
    target.docker(&["ps", "-aq", "--filter", "label=lichen.migrate.volume"]).ok().prints("");
    assert_eq!(source.docker(&["ps", "-a", "--format", "{{.ID}} {{.Names}} {{.State}}"]).ok().stdout, before);

    let again = from(&source, &target, &["--apply", "--start"]).ok();
    assert!(again.stdout.contains("container  web  the same is here already"), "{again}");
    let running = target.docker(&["ps", "--format", "{{.Names}}"]).ok().stdout;
    let mut running: Vec<&str> = running.lines().collect();
    running.sort_unstable();
    assert_eq!(running, ["side", "web"]);
}

/// What a killed run leaves: a volume that is not whole, and the container that says so.
fn interrupt(engine: &Engine, volume: &str) {
    let mark = mark(engine, volume);
    engine.docker(&["volume", "create", "--label", &format!("lichen.migrate.mark={mark}"), volume]).ok();
    let mount = format!("{volume}:/d");
    engine.docker(&["run", "--rm", "-v", &mount, "busybox", "touch", "/d/half"]).ok();
}

/// A container that says that a volume is not whole; its ID.
fn mark(engine: &Engine, volume: &str) -> String {
    let label = format!("lichen.migrate.volume={volume}");
    let create = ["create", "--label", &label, "--label", "lichen.migrate.incomplete=", "busybox", "true"];
    engine.docker(&create).ok().text().to_owned()
}

#[test]
fn a_volume_that_is_not_whole_in_the_other_engine_is_refused_and_stays_there() {
    let (source, target) = (Engine::start(), Engine::start());
    for engine in [&source, &target] {
        engine.load("busybox");
    }
    interrupt(&source, "data");
    // The containers say that these are not whole, which the volumes themselves do not: somebody else made them.
    mark(&source, "theirs");
    source.docker(&["run", "--rm", "-v", "theirs:/d", "busybox", "touch", "/d/other"]).ok();
    mark(&target, "theirs");
    target.docker(&["run", "--rm", "-v", "theirs:/d", "busybox", "touch", "/d/own"]).ok();
    source.docker(&["run", "--rm", "-v", "unmade:/d", "busybox", "touch", "/d/file"]).ok();
    mark(&target, "unmade");

    let applied = from(&source, &target, &["--apply", "--only", "volumes"]).exits(1);
    assert!(
        applied.stdout.contains("volume     data  not possible: it is not complete in the other"),
        "{applied}"
    );
    assert!(applied.stderr.contains("another volume theirs is here already"), "{applied}");
    target.docker(&["volume", "inspect", "data"]).exits(1);
    assert!(listing(&source, "data").contains("half"));
    assert!(listing(&source, "theirs").contains("other"));
    assert!(listing(&target, "theirs").contains("own"));
    assert_eq!(listing(&target, "unmade"), listing(&source, "unmade"));
    let marks = ["ps", "-aq", "--filter", "label=lichen.migrate.volume"];
    assert_eq!(source.docker(&marks).ok().stdout.lines().count(), 2);
    target.docker(&marks).ok().prints("");
}

#[test]
fn a_volume_that_cannot_be_made_leaves_nothing_that_claims_it() {
    let (source, target) = (Engine::start(), Engine::start());
    for engine in [&source, &target] {
        engine.load("busybox");
    }
    source.docker(&["run", "--rm", "-v", "data:/d", "busybox", "touch", "/d/file"]).ok();
    // In the way of its directory.
    let place = target.host().data().join("volumes/data");
    std::fs::write(&place, "").expect("write a file");
    let failed = from(&source, &target, &["--apply", "--only", "volumes"]).exits(1);
    assert!(failed.stderr.contains("volume data: create volume data: "), "{failed}");
    target.docker(&["ps", "-aq", "--filter", "label=lichen.migrate.volume"]).ok().prints("");
    std::fs::remove_file(&place).expect("remove the file");

    target.docker(&["run", "--rm", "-v", "data:/d", "busybox", "touch", "/d/own"]).ok();
    from(&source, &target, &["--apply", "--only", "volumes"])
        .exits(1)
        .complains("another volume data is here already");
    assert!(listing(&target, "data").contains("own"));
}

#[test]
fn what_differs_is_left_alone_and_what_was_interrupted_begins_anew() {
    let (source, target) = (Engine::start(), Engine::start());
    furnish(&source);
    target.load("busybox");
    interrupt(&target, "data");
    // Somebody's own.
    target.docker(&["run", "--rm", "-v", "unused:/d", "busybox", "touch", "/d/own"]).ok();
    target.docker(&["create", "--name", "web", "busybox", "true"]).ok();

    let plan = from(&source, &target, &[]).ok();
    assert!(plan.stdout.contains("data: an earlier run was interrupted"), "{plan}");
    let applied = from(&source, &target, &["--apply", "--only", "volumes,networks,containers"]).exits(1);
    assert!(applied.stdout.contains("container  web  another one is here already"), "{applied}");
    assert!(applied.stderr.contains("another volume unused is here already"), "{applied}");
    assert_eq!(listing(&target, "data"), listing(&source, "data"));
    assert!(listing(&target, "unused").contains("own"));
    target.docker(&["inspect", "web", "--format", "{{.Path}}"]).ok().prints("true");
}

#[test]
fn an_engine_is_not_copied_to_itself_and_what_is_not_there_is_told() {
    let engine = Engine::start();
    from(&engine, &engine, &[]).exits(1).complains("are the same engine");
    let missing = ["migrate", "--from", "unix:///nonexistent/docker.sock"];
    engine
        .lichen(&missing)
        .exits(1)
        .complains("Cannot connect to the Docker daemon at unix:///nonexistent/docker.sock");
    engine.lichen(&["migrate"]).exits(125).complains("--from is missing");
}
