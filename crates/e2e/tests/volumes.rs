//! Volumes, binds, tmpfs and the files every container is given.

use e2e::Engine;

fn engine() -> Engine {
    let engine = Engine::start();
    engine.load("busybox");
    engine
}

#[test]
fn a_named_volume_outlives_its_containers() {
    let engine = engine();
    engine.docker(&["run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", "echo kept > /d/f"]).ok();
    engine
        .docker(&["run", "--rm", "--mount", "type=volume,src=data,dst=/e,readonly", "busybox", "cat", "/e/f"])
        .ok()
        .prints("kept");
    engine
        .docker(&["run", "--rm", "-v", "data:/d:ro", "busybox", "touch", "/d/g"])
        .exits(1)
        .complains("Read-only file system");
    engine.docker(&["volume", "ls", "-q"]).ok().prints("data");
    engine.docker(&["create", "--name", "c1", "-v", "data:/d", "busybox"]).ok();
    engine.docker(&["volume", "rm", "data"]).exits(1).complains("volume is in use");
    engine.docker(&["rm", "c1"]).ok();
    engine.docker(&["volume", "rm", "data"]).ok();
}

#[test]
fn a_new_volume_starts_with_what_the_image_has_there() {
    let engine = engine();
    engine.docker(&["run", "--rm", "-v", "etc:/etc", "busybox", "true"]).ok();
    engine.docker(&["run", "--rm", "-v", "etc:/x", "busybox", "cat", "/x/passwd"]).ok().complains("");
    let list = engine.docker(&["run", "--rm", "-v", "etc:/x", "busybox", "ls", "/x"]).ok();
    assert!(list.stdout.contains("passwd"), "{list}");
    let empty = engine
        .docker(&[
            "run",
            "--rm",
            "--mount",
            "type=volume,src=new,dst=/etc,volume-nocopy",
            "busybox",
            "ls",
            "/etc",
        ])
        .ok();
    assert!(!empty.stdout.contains("passwd"), "{empty}");
}

#[test]
fn an_anonymous_volume_goes_with_rm_v() {
    let engine = engine();
    engine.docker(&["create", "--name", "c1", "-v", "/d", "busybox"]).ok();
    assert_eq!(engine.docker(&["volume", "ls", "-q"]).ok().stdout.lines().count(), 1);
    engine.docker(&["rm", "-v", "c1"]).ok();
    engine.docker(&["volume", "ls", "-q"]).ok().prints("");
    engine.docker(&["run", "--rm", "-v", "/d", "busybox", "true"]).ok();
    engine.docker(&["volume", "ls", "-q"]).ok().prints("");
}

#[test]
fn a_bind_shows_the_users_files_and_a_missing_source_is_named() {
    let engine = engine();
    let file = engine.host().write("dir/f", "mine\n");
    let dir = file.parent().unwrap().to_str().unwrap().to_owned();
    engine
        .docker(&[
            "run",
            "--rm",
            "-v",
            &format!("{dir}:/b"),
            "busybox",
            "sh",
            "-c",
            "cat /b/f; echo more >> /b/f",
        ])
        .ok()
        .prints("mine");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine\nmore\n");
    engine.docker(&["run", "--rm", "-v", &format!("{dir}:/b:ro"), "busybox", "touch", "/b/g"]).exits(1);
    engine
        .docker(&["run", "--rm", "-v", &format!("{}:/f:ro", file.display()), "busybox", "cat", "/f"])
        .ok()
        .prints("mine\nmore");
    engine
        .docker(&["run", "--rm", "--mount", "type=bind,src=/no/such/dir,dst=/b", "busybox", "true"])
        .exits(125)
        .complains("bind source path does not exist: /no/such/dir");
    engine.docker(&["run", "--rm", "-v", &format!("{dir}/made:/b"), "busybox", "true"]).ok();
    assert!(std::path::Path::new(&format!("{dir}/made")).is_dir());
}

#[test]
fn a_tmpfs_has_its_size_and_a_read_only_root_is_read_only() {
    let engine = engine();
    let script = "df -k /t | tail -1 | awk '{print $2}'; touch /x 2>&1; touch /t/x && echo ok";
    let run = engine
        .docker(&[
            "run",
            "--rm",
            "--read-only",
            "--tmpfs",
            "/t:size=1m,mode=700",
            "busybox",
            "sh",
            "-c",
            script,
        ])
        .ok();
    assert!(
        run.stdout.starts_with("1024\n")
            && run.stdout.contains("Read-only file system")
            && run.text().ends_with("ok"),
        "{run}"
    );
    engine
        .docker(&[
            "run",
            "--rm",
            "--shm-size",
            "2m",
            "busybox",
            "sh",
            "-c",
            "df -k /dev/shm | tail -1 | awk '{print $2}'",
        ])
        .ok()
        .prints("2048");
}

#[test]
fn volumes_from_shares_what_another_container_has() {
    let engine = engine();
    engine.docker(&["run", "--name", "a1", "-v", "/d", "busybox", "sh", "-c", "echo shared > /d/f"]).ok();
    engine
        .docker(&["run", "--rm", "--volumes-from", "a1:ro", "busybox", "cat", "/d/f"])
        .ok()
        .prints("shared");
}

#[test]
fn limits_and_settings_reach_the_process() {
    let engine = engine();
    let check = |args: &[&str], script: &str, expect: &str| {
        engine
            .docker(&[&["run", "--rm"], args, &["busybox", "sh", "-c", script]].concat())
            .ok()
            .prints(expect);
    };
    check(&["--ulimit", "nofile=100:200"], "ulimit -Sn; ulimit -Hn", "100\n200");
    check(&["--sysctl", "net.ipv4.ip_forward=1"], "cat /proc/sys/net/ipv4/ip_forward", "1");
    check(&["-h", "box", "--domainname", "example.org"], "hostname; cat /etc/hostname", "box\nbox");
    check(&["-e", "A=b c", "-e", "HOME=/x"], "echo \"$A\" $HOME", "b c /x");
    check(&["-w", "/made/on/demand"], "pwd", "/made/on/demand");
    check(&["-u", "www-data:video"], "id -u; id -g", "33\n44");
    check(&["-u", "33", "--group-add", "audio"], "id -G", "33 29 44");
    check(&["--entrypoint", "echo"], "said", "sh -c said");
    check(
        &["--device", "/dev/null:/dev/nothing"],
        "echo x > /dev/nothing && ls /dev/nothing",
        "/dev/nothing",
    );
    check(&["--oom-score-adj", "500"], "cat /proc/self/oom_score_adj", "500");
}

#[test]
fn namespaces_are_shared_as_asked() {
    let engine = engine();
    engine
        .docker(&[
            "run",
            "-d",
            "--name",
            "a1",
            "--ipc",
            "shareable",
            "-h",
            "ahost",
            "busybox",
            "sleep",
            "1000",
        ])
        .ok();
    let of = |args: &[&str], ns: &str| {
        engine
            .docker(
                &[&["run", "--rm"], args, &["busybox", "readlink", &format!("/proc/self/ns/{ns}")]].concat(),
            )
            .ok()
            .text()
            .to_owned()
    };
    let a = |ns: &str| {
        engine.docker(&["exec", "a1", "readlink", &format!("/proc/self/ns/{ns}")]).ok().text().to_owned()
    };
    for (flag, ns) in [("--pid", "pid"), ("--ipc", "ipc"), ("--network", "net")] {
        assert_eq!(of(&[flag, "container:a1"], ns), a(ns), "{flag}");
    }
    for (flag, ns) in [("--pid", "pid"), ("--ipc", "ipc"), ("--uts", "uts"), ("--network", "net")] {
        let host = std::fs::read_link(format!("/proc/self/ns/{ns}")).unwrap();
        assert_eq!(of(&[flag, "host"], ns), host.to_str().unwrap(), "{flag}");
    }
    engine
        .docker(&["run", "--rm", "--pid", "container:a1", "busybox", "grep", "sleep", "/proc/1/cmdline"])
        .ok();
    engine.docker(&["rm", "-f", "a1"]).ok();
    // What a container has of the host's it passes on.
    let host = ["--pid", "host", "--ipc", "host", "--network", "host"];
    engine.docker(&[&["run", "-d", "--name", "a2"], &host[..], &["busybox", "sleep", "1000"]].concat()).ok();
    for (flag, ns) in [("--pid", "pid"), ("--ipc", "ipc"), ("--network", "net")] {
        let host = std::fs::read_link(format!("/proc/self/ns/{ns}")).unwrap();
        assert_eq!(of(&[flag, "container:a2"], ns), host.to_str().unwrap(), "{flag}");
    }
    engine.docker(&["rm", "-f", "a2"]).ok();
}

#[test]
fn ipc_namespaces_are_shared_with_their_dev_shm() {
    let engine = engine();
    let mounts = || {
        let mountinfo = engine.lichen(&["nsenter", "cat", "/proc/self/mountinfo"]).ok();
        mountinfo.text().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    // The first container has the engine set up what stays.
    engine.docker(&["run", "--rm", "busybox", "true"]).ok();
    let before = mounts();
    let start = |name: &str, ipc: &str, runtime: &str| {
        let args = ["run", "-d", "--name", name, "--ipc", ipc, "--runtime", runtime, "--shm-size", "3m"];
        engine.docker(&[&args[..], &["busybox", "sleep", "1000"]].concat()).ok();
    };
    start("donor", "shareable", "lichen");
    engine.docker(&["exec", "donor", "sh", "-c", "echo of the donor >/dev/shm/donor"]).ok();
    // A container that has joined is joined in turn; another program makes them just as well.
    for (name, donor, runtime) in [
        ("second", "donor", "lichen"),
        ("third", "second", "lichen"),
        ("crun", "third", "crun"),
        ("runc", "crun", "runc"),
    ] {
        start(name, &format!("container:{donor}"), runtime);
        engine.docker(&["exec", name, "cat", "/dev/shm/donor"]).ok().prints("of the donor");
        engine.docker(&["exec", name, "sh", "-c", &format!("echo of {name} >/dev/shm/{name}")]).ok();
        engine
            .docker(&["exec", "donor", "cat", &format!("/dev/shm/{name}")])
            .ok()
            .prints(&format!("of {name}"));
        let flags = engine.docker(&["exec", name, "grep", " /dev/shm ", "/proc/self/mounts"]).ok();
        for flag in ["nosuid", "nodev", "noexec", "size=3072k"] {
            assert!(flags.text().contains(flag), "{name}: {flag}: {}", flags.text());
        }
    }
    assert_eq!(mounts(), before, "while they run");
    // Whoever is left keeps the files.
    engine.docker(&["rm", "-f", "donor", "second"]).ok();
    engine.docker(&["exec", "third", "cat", "/dev/shm/donor"]).ok().prints("of the donor");
    engine.docker(&["rm", "-f", "third", "crun", "runc"]).ok();
    assert_eq!(mounts(), before, "after they were removed");

    start("own", "private", "lichen");
    let refused = engine.docker(&["run", "--rm", "--ipc", "container:own", "busybox", "true"]);
    assert!(
        refused.stderr.contains("non-shareable IPC (hint: use IpcMode:shareable for the donor container)")
    );
    engine.docker(&["rm", "-f", "own"]).ok();
}

#[test]
fn external_runtimes_run_containers_too() {
    let engine = engine();
    for runtime in ["runc", "crun"] {
        engine
            .docker(&["run", "--rm", "--runtime", runtime, "busybox", "sh", "-c", "echo by hand; exit 3"])
            .exits(3)
            .prints("by hand");
        engine
            .docker(&["run", "-d", "--name", runtime, "--runtime", runtime, "busybox", "sleep", "1000"])
            .ok();
        engine.docker(&["exec", runtime, "echo", "inside"]).ok().prints("inside");
        engine.docker(&["rm", "-f", runtime]).ok();
    }
}

#[test]
fn places_made_for_mounts_and_devices_are_open_to_every_user() {
    let engine = engine();
    let made = ["--device", "/dev/net/tun", "-v", "data:/made/for/it", "-w", "/place/in/this"];
    let stat = "stat -c '%a %n' /made /made/for /dev/net /place /place/in";
    let run = [&["run", "--rm", "--user", "1000"], &made[..], &["busybox", "sh", "-c", stat]].concat();
    engine.docker(&run).ok().prints("755 /made\n755 /made/for\n755 /dev/net\n755 /place\n755 /place/in");
}
