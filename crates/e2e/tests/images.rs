//! Images: in, listed, named, removed.

use e2e::Engine;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

#[test]
fn an_archive_is_loaded_listed_tagged_and_removed() {
    let engine = Engine::start();
    let archive = e2e::archive("alpine");
    engine
        .docker(&["load", "-i", archive.to_str().unwrap()])
        .ok()
        .prints("Loaded image: alpine:latest\nLoaded image: alpine:3.10");
    engine.docker(&["tag", "alpine", "registry.example:5000/team/app:v1"]).ok();
    for client in ["docker", "lichen"] {
        let run = |args: &[&str]| if client == "docker" { engine.docker(args) } else { engine.lichen(args) };
        let list = run(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).ok();
        let mut names: Vec<_> = list.text().lines().collect();
        names.sort_unstable();
        assert_eq!(names, ["alpine:3.10", "alpine:latest", "registry.example:5000/team/app:v1"]);
    }
    engine.docker(&["rmi", "alpine:3.10"]).ok().prints("Untagged: alpine:3.10");
    engine.docker(&["run", "--name", "c1", "alpine", "true"]).ok();
    let id = engine.docker(&["images", "-q", "alpine"]).ok().text().to_owned();
    engine.docker(&["rmi", &id]).exits(1).complains("conflict: unable to delete");
    engine.docker(&["rm", "c1"]).ok();
    engine.docker(&["rmi", "-f", &id]).ok();
    engine.docker(&["images", "-q"]).ok().prints("");
}

#[test]
fn the_tree_of_images_tells_names_sizes_and_use() {
    let engine = Engine::start();
    engine.load("alpine");
    let id = engine.docker(&["images", "-q", "alpine:latest"]).ok().text().to_owned();
    let tree = || engine.lichen(&["images", "--tree"]).ok().stdout;
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let unused = tree();
    let lines: Vec<Vec<String>> = unused.lines().map(words).collect();
    assert_eq!(lines[0].join(" "), "IMAGE ID DISK USAGE CONTENT SIZE EXTRA");
    assert_eq!(lines[1], ["alpine:3.10"]);
    assert_eq!(lines[2][..2], ["alpine:latest", &id]);
    assert!(lines[2][2].ends_with("MB"), "{unused}");
    let in_use = |tree: &str| tree.lines().any(|line| words(line).last().is_some_and(|last| last == "U"));
    assert!(!in_use(&unused), "{unused}");
    engine.docker(&["create", "--name", "user", "alpine", "true"]).ok();
    assert!(in_use(&tree()), "{}", tree());
    engine
        .lichen(&["images", "--tree", "--quiet"])
        .exits(1)
        .complains("--quiet is not yet supported with --tree");
    let docker = engine.docker(&["images", "--tree"]).ok();
    assert!(docker.stdout.contains(&id), "{docker}");
}

#[test]
fn an_image_survives_save_and_load() {
    let engine = Engine::start();
    engine.load("busybox");
    let id = engine.docker(&["inspect", "-f", "{{.Id}}", "busybox"]).ok().text().to_owned();
    let file = engine.host().path("saved.tar");
    engine.docker(&["save", "-o", file.to_str().unwrap(), "busybox"]).ok();
    engine.docker(&["rmi", "busybox"]).ok();
    engine.docker(&["load", "-i", file.to_str().unwrap()]).ok();
    engine.docker(&["inspect", "-f", "{{.Id}}", "busybox"]).ok().prints(&id);
    engine.docker(&["run", "--rm", "busybox", "echo", "again"]).ok().prints("again");
}

#[test]
fn commit_export_import_and_diff_carry_a_containers_changes() {
    let engine = Engine::start();
    engine.load("busybox");
    engine
        .docker(&[
            "run",
            "--name",
            "c1",
            "busybox",
            "sh",
            "-c",
            "echo new > /new; rm /etc/profile; echo x >> /etc/group",
        ])
        .ok();
    let diff = engine.docker(&["diff", "c1"]).ok();
    let mut lines: Vec<_> = diff.text().lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["A /new", "C /etc", "C /etc/group", "D /etc/profile"]);
    engine.docker(&["commit", "-c", "CMD [\"cat\",\"/new\"]", "c1", "mine"]).ok();
    engine.docker(&["run", "--rm", "mine"]).ok().prints("new");
    engine.docker(&["run", "--rm", "mine", "ls", "/etc/profile"]).exits(1);
    let file = engine.host().path("flat.tar");
    engine.docker(&["export", "-o", file.to_str().unwrap(), "c1"]).ok();
    engine.docker(&["import", "-c", "CMD cat /new", file.to_str().unwrap(), "flat:1"]).ok();
    engine.docker(&["run", "--rm", "flat:1"]).ok().prints("new");
}

#[test]
fn what_cannot_be_committed_or_imported_is_refused_in_dockers_words() {
    let engine = Engine::start();
    engine.load("busybox");
    engine.docker(&["run", "--name", "c1", "busybox", "touch", "/new"]).ok();
    let file = engine.host().path("flat.tar");
    let flat = file.to_str().unwrap();
    engine.docker(&["export", "-o", flat, "c1"]).ok();
    for (change, refusal) in [
        ("RUN true", "RUN is not a valid change command"),
        ("STOPSIGNAL NOPE", "nvalid signal: NOPE"),
        ("USER", "USER requires exactly one argument"),
    ] {
        engine.docker(&["commit", "-c", change, "c1"]).exits(1).complains(refusal);
        engine.docker(&["import", "-c", change, flat]).exits(1).complains(refusal);
    }
    let elsewhere = ["import", "--platform", "windows/amd64", flat];
    engine.docker(&elsewhere).exits(1).complains("operating system is not supported");
    let odd = ["images", "--filter", "dangling=maybe"];
    engine.docker(&odd).exits(1).complains("invalid filter 'dangling=[maybe]'");
    engine.docker(&["images", "-aq", "--filter", "dangling=true"]).ok().prints("");

    // Whose image was removed by force stands on its layers all the same, and so does what is made of it.
    engine.docker(&["rmi", "-f", "busybox"]).ok();
    engine.docker(&["commit", "c1", "kept:v1"]).ok();
    engine.docker(&["run", "--rm", "kept:v1", "ls", "/new"]).ok().prints("/new");
    engine.docker(&["rm", "c1"]).ok();
    engine.docker(&["run", "--rm", "kept:v1", "ls", "/new"]).ok().prints("/new");
}

#[test]
fn copying_goes_both_ways() {
    let engine = Engine::start();
    engine.load("busybox");
    for (name, run) in [("up", &["run", "-d"][..]), ("down", &["create"])] {
        engine.docker(&[run, &["--name", name, "-v", "vol:/vol", "busybox", "sleep", "1000"]].concat()).ok();
        for client in ["docker", "lichen"] {
            let cp =
                |args: &[&str]| if client == "docker" { engine.docker(args) } else { engine.lichen(args) };
            let file = engine.host().write(&format!("{name}-{client}"), "text\n");
            for place in ["/tmp", "/vol", "/root/renamed"] {
                cp(&["cp", file.to_str().unwrap(), &format!("{name}:{place}")]).ok();
            }
            let back = engine.host().path(&format!("back-{name}-{client}"));
            cp(&["cp", &format!("{name}:/vol/{name}-{client}"), back.to_str().unwrap()]).ok();
            assert_eq!(std::fs::read_to_string(back).unwrap(), "text\n");
            cp(&["cp", &format!("{name}:/nope"), "/tmp"])
                .exits(1)
                .complains("Could not find the file /nope in container");
        }
    }
    engine.docker(&["exec", "up", "cat", "/root/renamed"]).ok().prints("text");
}

#[test]
fn broken_archives_are_refused_in_one_line_and_leave_nothing() {
    let engine = Engine::start();
    for (name, bytes) in [
        ("empty", &b""[..]),
        ("text", b"not an archive at all, not even nearly so"),
        ("gzip", b"\x1f\x8b\x08\0broken"),
    ] {
        let file = engine.host().write(name, bytes);
        let load = engine.docker(&["load", "-i", file.to_str().unwrap()]).exits(1);
        assert_eq!(load.stderr.trim().lines().count(), 1, "{load}");
    }
    engine.docker(&["images", "-aq"]).ok().prints("");
}

/// Also when an assertion fails: the threads would else go on for ever.
struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn nothing_in_use_vanishes_when_everything_happens_at_once() {
    let engine = Engine::start();
    let (busybox, alpine) = (e2e::archive("busybox"), e2e::archive("alpine"));
    let load = |archive: &std::path::Path| engine.docker(&["load", "-qi", archive.to_str().unwrap()]).ok();
    let ends = AtomicBool::new(false);
    let repeat = |work: &dyn Fn()| {
        while !ends.load(Ordering::Relaxed) {
            work()
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| repeat(&|| drop(load(&busybox))));
        scope.spawn(|| {
            repeat(&|| {
                load(&alpine);
                // Between these, others may take it away.
                engine.docker(&["tag", "alpine:latest", "other:1"]);
                engine.docker(&["rmi", "-f", "other:1"]);
            });
        });
        scope.spawn(|| repeat(&|| drop(engine.docker(&["image", "prune", "-af"]).ok())));
        let _end = EndOnDrop(&ends);
        let (mut tries, mut made) = (0, 0);
        let begun = Instant::now();
        while tries < 12 || made < 4 {
            assert!(begun.elapsed() < Duration::from_secs(120), "no image was ever there long enough");
            let image = ["busybox", "alpine"][tries % 2];
            tries += 1;
            let create = engine.docker(&["create", "--pull=never", image, "echo", "all there"]);
            if !create.status.success() {
                assert!(create.stderr.contains("No such image"), "{create}");
                continue;
            }
            made += 1;
            engine.docker(&["start", "-a", create.text()]).ok().prints("all there");
            engine.docker(&["rm", create.text()]).ok();
        }
    });
    engine.docker(&["image", "prune", "-af"]).ok();
    engine.docker(&["images", "-aq"]).ok().prints("");
    let driver = engine.docker(&["info", "--format", "{{.Driver}}"]).ok().text().to_owned();
    let data = engine.host().data();
    for empty in [data.join(driver).join("l"), data.join("content/sha256"), data.join("content/framing")] {
        let left: Vec<_> = std::fs::read_dir(&empty).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
    engine.lichen(&["system", "check"]).ok();
}
