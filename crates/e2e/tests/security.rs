//! What a container must not be able to do; the CVEs name what once went wrong elsewhere.

use e2e::Engine;

fn engine() -> Engine {
    let engine = Engine::start();
    engine.load("busybox");
    engine
}

#[test]
fn root_in_a_container_is_nobody_outside() {
    let engine = engine();
    let map = engine.docker(&["run", "--rm", "busybox", "cat", "/proc/self/uid_map"]).ok();
    assert!(map.stdout.split_whitespace().nth(1).is_some_and(|outside| outside != "0"), "{map}");
    let uid = engine.host().uid();
    let dir = engine.host().path("shared");
    engine.host().write("shared/x", "");
    engine
        .docker(&["run", "--rm", "-v", &format!("{}:/s", dir.display()), "busybox", "touch", "/s/made"])
        .ok();
    let made = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(dir.join("made")).unwrap());
    assert_eq!(made, uid);
}

#[test]
fn the_engines_program_cannot_be_overwritten_from_inside() {
    // CVE-2019-5736
    let engine = engine();
    let shim = e2e::program("lichen-shim");
    let before = std::fs::read(&shim).unwrap();
    let script = "for p in /proc/[0-9]*/exe /proc/self/exe; do echo pwned > $p; done 2>/dev/null; for p in /proc/[0-9]*/fd/*; do echo pwned >> $p; done 2>/dev/null; true";
    engine
        .docker(&["run", "-d", "--name", "c1", "busybox", "sh", "-c", &format!("while :; do {script}; done")])
        .ok();
    for _ in 0..5 {
        let _exec = engine.docker(&["exec", "c1", "/proc/self/exe", "true"]);
        engine.docker(&["exec", "c1", "true"]).ok();
    }
    assert!(std::fs::read(&shim).unwrap() == before);
}

#[test]
fn no_descriptor_or_working_directory_of_the_engines_leaks_in() {
    // CVE-2024-21626
    let engine = engine();
    let run = engine.docker(&["run", "--rm", "busybox", "sh", "-c", "ls /proc/self/fd | wc -l"]).ok();
    assert!(run.text().parse::<u32>().unwrap() <= 4, "{run}");
    for n in 3..12 {
        let cwd = format!("/proc/self/fd/{n}");
        let run =
            engine.docker(&["run", "--rm", "-w", &cwd, "busybox", "ls", "../../../../../../../etc/hostname"]);
        assert!(!run.status.success() || run.text() == "../../../../../../../etc/hostname", "{run}");
        let pwd = engine.docker(&[
            "run",
            "--rm",
            "-w",
            &cwd,
            "busybox",
            "cat",
            "../../../../../../../../proc/1/comm",
        ]);
        assert!(!pwd.stdout.contains("init") && !pwd.stdout.contains("systemd"), "{pwd}");
    }
}

#[test]
fn kernel_interfaces_are_masked_or_read_only() {
    let engine = engine();
    let script = "for p in /proc/kcore /proc/keys /proc/timer_list /proc/interrupts; do [ -e $p ] && [ -n \"$(head -c1 $p 2>/dev/null | od -An -tx1)\" ] && echo readable $p; done;
        for p in /proc/acpi /proc/scsi /sys/firmware; do [ -e $p ] && [ -n \"$(ls -A $p)\" ] && echo listed $p; done;
        for p in /proc/sys/kernel/hostname /proc/sysrq-trigger /proc/irq/default_smp_affinity; do (echo x > $p) 2>/dev/null && echo written $p; done;
        (mkdir /sys/fs/cgroup/x) 2>/dev/null && echo made a cgroup; true";
    engine.docker(&["run", "--rm", "busybox", "sh", "-c", script]).ok().prints("");
}

#[test]
fn mounting_and_new_namespaces_are_refused_by_default() {
    let engine = engine();
    for command in [
        &["mount", "-t", "tmpfs", "x", "/mnt"][..],
        &["unshare", "-U", "true"],
        &["unshare", "-m", "true"],
        &["chroot", "/nope"],
    ] {
        let run = engine.docker(&[&["run", "--rm", "busybox"], command].concat());
        assert!(!run.status.success(), "{run}");
    }
    engine
        .docker(&["run", "--rm", "--cap-add", "SYS_ADMIN", "busybox", "mount", "-t", "tmpfs", "x", "/mnt"])
        .ok();
}

#[test]
fn no_new_privileges_and_dropped_capabilities_hold() {
    let engine = engine();
    let status = |args: &[&str], field: &str| {
        let run = engine
            .docker(&[&["run", "--rm"], args, &["busybox", "grep", field, "/proc/self/status"]].concat())
            .ok();
        run.text().split_whitespace().last().unwrap().to_owned()
    };
    assert_eq!(status(&[], "CapEff"), "00000000a80425fb");
    assert_eq!(status(&[], "CapInh"), "0000000000000000");
    assert_eq!(status(&["--cap-drop", "ALL"], "CapBnd"), "0000000000000000");
    assert_eq!(status(&["-u", "33"], "CapEff"), "0000000000000000");
    assert_eq!(status(&["--security-opt", "no-new-privileges"], "NoNewPrivs"), "1");
    assert_eq!(status(&[], "Seccomp:"), "2");
    assert_eq!(status(&["--security-opt", "seccomp=unconfined"], "Seccomp:"), "0");
}

#[test]
fn copying_does_not_follow_links_out_of_the_container() {
    // CVE-2018-15664, CVE-2019-14271
    let engine = engine();
    let canary = engine.host().write("canary", "host\n");
    engine
        .docker(&[
            "run",
            "-d",
            "--name",
            "c1",
            "busybox",
            "sh",
            "-c",
            &format!(
                "mkdir -p /x; ln -s {} /x/link; ln -s / /x/root; sleep 1000",
                engine.host().home().display()
            ),
        ])
        .ok();
    let payload = engine.host().write("payload", "container\n");
    let _refused_or_inside = engine.docker(&["cp", payload.to_str().unwrap(), "c1:/x/link/canary"]);
    let _refused_or_inside =
        engine.docker(&["cp", payload.to_str().unwrap(), &format!("c1:/x/root{}", canary.display())]);
    assert_eq!(std::fs::read_to_string(&canary).unwrap(), "host\n");
    let out = engine.docker(&["cp", &format!("c1:/x/root{}", canary.display()), "-"]);
    assert!(!out.stdout.contains("host\n"), "{out}");
}

#[test]
fn the_socket_is_the_users_alone() {
    let engine = engine();
    let mode = |path: &std::path::Path| {
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions()) & 0o7777
    };
    assert_eq!(mode(&engine.host().socket()), 0o660);
    assert_eq!(mode(&engine.host().run().join("lichen")), 0o700);
}
