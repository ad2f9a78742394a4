//! Copying while a container works against it (CVE-2018-15664, CVE-2019-14271, CVE-2026-41567), and the view of files
//! that a stopped container gives.

use e2e::Engine;

fn engine() -> Engine {
    let engine = Engine::start();
    engine.load("busybox");
    engine
}

#[test]
fn a_path_that_is_swapped_while_copying_never_leads_to_the_host() {
    let engine = engine();
    let canary = engine.host().write("canary", "host\n");
    let home = engine.host().home();
    let home = home.display();
    // The directory of the file that is copied is, in turns, a directory and a link to the host's directory.
    let swap = format!(
        "mkdir -p /w/a; echo container > /w/a/canary; ln -s {home} /w/b; mv /w/a /w/d; \
         while :; do mv /w/d /w/a; mv /w/b /w/d; mv /w/d /w/b; mv /w/a /w/d; done"
    );
    engine.docker(&["run", "-d", "--name", "racer", "busybox", "sh", "-c", &swap]).ok();
    let payload = engine.host().write("payload/canary", "payload\n");
    let mut copied = 0;
    for _ in 0..25 {
        let out = engine.docker(&["cp", "racer:/w/d/canary", "-"]);
        assert!(!out.stdout.contains("host\n"), "{out}");
        copied += u32::from(out.status.success());
        let _either_way = engine.docker(&["cp", payload.to_str().unwrap(), "racer:/w/d/"]);
        assert_eq!(std::fs::read_to_string(&canary).unwrap(), "host\n");
    }
    engine.docker(&["rm", "-f", "racer"]).ok();
    assert!(copied > 0, "no copy met the directory: the race was not run");
}

#[test]
fn nothing_of_the_container_is_run_to_copy() {
    let engine = engine();
    // A container whose own tools and libraries cannot run.
    engine
        .docker(&["run", "--name", "c1", "busybox", "sh", "-c", "echo text > /f; rm -rf /bin /lib /usr"])
        .ok();
    engine.docker(&["cp", "c1:/f", "-"]).ok();
}

#[test]
fn volumes_of_a_stopped_container_are_seen_through_links_too() {
    let engine = engine();
    engine.docker(&["create", "--name", "c1", "-v", "vol:/vol", "-v", "ro:/ro:ro", "busybox", "true"]).ok();
    let file = engine.host().write("file", "text\n");
    let file = file.to_str().unwrap();
    engine.docker(&["cp", file, "c1:/vol/sub"]).ok();
    engine.docker(&["run", "--rm", "-v", "vol:/v", "busybox", "cat", "/v/sub"]).ok().prints("text");
    engine.docker(&["cp", file, "c1:/ro/"]).exits(1).complains("mounted volume is marked read-only");

    engine.docker(&["run", "--name", "c2", "-v", "vol:/vol", "busybox", "ln", "-s", "/vol", "/link"]).ok();
    engine.docker(&["cp", file, "c2:/link/through"]).ok();
    engine.docker(&["run", "--rm", "-v", "vol:/v", "busybox", "cat", "/v/through"]).ok().prints("text");
    // An export is of the container alone.
    let export = engine.host().path("export.tar");
    engine.docker(&["export", "-o", export.to_str().unwrap(), "c2"]).ok();
    engine.docker(&["import", export.to_str().unwrap(), "flat:1"]).ok();
    engine.docker(&["run", "--rm", "flat:1", "ls", "/vol"]).ok().prints("");
}

#[test]
fn a_read_only_root_is_not_written_to() {
    let engine = engine();
    engine
        .docker(&["run", "-d", "--name", "c1", "--read-only", "-v", "vol:/vol", "busybox", "sleep", "1000"])
        .ok();
    let file = engine.host().write("file", "text\n");
    let file = file.to_str().unwrap();
    engine.docker(&["cp", file, "c1:/root/"]).exits(1).complains("container rootfs is marked read-only");
    engine.docker(&["cp", file, "c1:/vol/"]).ok();
    engine.docker(&["rm", "-f", "c1"]).ok();
}

#[test]
fn what_looks_at_a_stopped_container_leaves_no_mount() {
    let engine = engine();
    engine.docker(&["create", "--name", "c1", "-v", "vol:/vol", "busybox", "true"]).ok();
    let mounts = || std::fs::read_to_string(format!("/proc/{}/mounts", engine.pid())).unwrap();
    let before = mounts();
    for _ in 0..5 {
        engine.docker(&["cp", "c1:/etc", "-"]).ok();
    }
    assert_eq!(mounts(), before);
}
