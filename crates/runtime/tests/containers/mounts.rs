use crate::support::*;
use model::Rootfs;
use rustix::mount::{MountFlags, mount, mount_bind};
use serde_json::json;
use std::{os::fd::AsFd, path::Path};

fn tmpfs_at(path: &Path) {
    mount("tmpfs", path, "tmpfs", MountFlags::empty(), None).unwrap();
}

#[test]
fn every_kind_of_mount_is_there_with_its_options() {
    in_userns("mounts::every_kind_of_mount_is_there_with_its_options", |bench| {
        let mounts = bench.sh("cat /proc/mounts");
        let has = |target: &str, kind: &str, options: &[&str]| {
            let line = mounts
                .lines()
                .find(|l| l.split(' ').nth(1) == Some(target))
                .unwrap_or_else(|| panic!("{target}: {mounts}"));
            let fields: Vec<&str> = line.split(' ').collect();
            assert_eq!(fields[2], kind, "{line}");
            for option in options {
                assert!(fields[3].split(',').any(|o| o == *option), "{option} in {line}");
            }
        };
        has("/proc", "proc", &["rw", "nosuid", "nodev", "noexec"]);
        has("/dev", "tmpfs", &["nosuid", "size=65536k", "mode=755"]);
        has("/dev/pts", "devpts", &["nosuid", "noexec", "mode=620", "ptmxmode=666"]);
        has("/sys", "sysfs", &["ro", "nosuid", "nodev", "noexec"]);
        has("/sys/fs/cgroup", "cgroup2", &["ro", "nosuid", "nodev", "noexec"]);
        has("/dev/mqueue", "mqueue", &["nosuid", "nodev", "noexec"]);
        has("/dev/shm", "tmpfs", &["nosuid", "nodev", "noexec", "size=65536k"]);
        has("/proc/sys", "proc", &["ro"]);
    });
}

#[test]
fn a_read_only_bind_is_so_all_the_way_down_only_when_asked() {
    in_userns("mounts::a_read_only_bind_is_so_all_the_way_down_only_when_asked", |bench| {
        let source = bench.beside("volume");
        std::fs::create_dir(source.join("below")).unwrap();
        tmpfs_at(&source.join("below"));
        let try_writing = "touch /v/x 2>/dev/null; echo top $?; touch /v/below/x 2>/dev/null; echo below $?";
        for (option, expected) in
            [("ro", "top 1\nbelow 0\n"), ("rro", "top 1\nbelow 1\n"), ("rw", "top 0\nbelow 0\n")]
        {
            let mount =
                json!({"destination": "/v", "type": "bind", "source": source, "options": ["rbind", option]});
            assert_eq!(bench.run(&with_mount(shell(try_writing), mount)).success(), expected, "{option}");
        }
    });
}

#[test]
fn a_file_is_bound_onto_a_path_that_did_not_exist() {
    in_userns("mounts::a_file_is_bound_onto_a_path_that_did_not_exist", |bench| {
        let source = bench.directory.join("file");
        std::fs::write(&source, "contents").unwrap();
        let mount = json!({"destination": "/new/place/file", "source": source, "options": ["bind", "ro"]});
        assert_eq!(bench.run(&with_mount(shell("cat /new/place/file"), mount)).success(), "contents");
    });
}

#[test]
fn a_tmpfs_keeps_the_mode_of_what_it_covers_and_can_start_with_its_files() {
    in_userns("mounts::a_tmpfs_keeps_the_mode_of_what_it_covers_and_can_start_with_its_files", |bench| {
        use std::os::unix::fs::PermissionsExt;
        let covered = bench.rootfs.join("covered");
        std::fs::create_dir_all(covered.join("sub")).unwrap();
        std::fs::write(covered.join("sub/file"), "copied").unwrap();
        std::os::unix::fs::symlink("sub/file", covered.join("link")).unwrap();
        std::fs::set_permissions(&covered, PermissionsExt::from_mode(0o1777)).unwrap();
        let with = |option: &str| {
            let mount =
                json!({"destination": "/covered", "type": "tmpfs", "source": "tmpfs", "options": [option]});
            let line = "stat -c %a /covered; cat /covered/link 2>/dev/null; touch /covered/new";
            bench.run(&with_mount(shell(line), mount)).success()
        };
        assert_eq!(with("nosuid"), "1777\n");
        assert_eq!(with("tmpcopyup"), "1777\ncopied");
        assert!(!covered.join("new").exists());
    });
}

#[test]
fn propagation_decides_whether_later_mounts_are_seen() {
    in_userns("mounts::propagation_decides_whether_later_mounts_are_seen", |bench| {
        let source = bench.beside("shared");
        tmpfs_at(&source);
        sys::mount::set_propagation(
            sys::mount::open_path(&source).unwrap(),
            sys::mount::Propagation::Shared,
            false,
        )
        .unwrap();
        std::fs::create_dir(source.join("later")).unwrap();
        let bound = |name: &str, propagation: &str| json!({"destination": format!("/{name}"), "source": source, "options": ["rbind", propagation]});
        let spec = with_mount(with_mount(shell(""), bound("slave", "rslave")), bound("private", "rprivate"));
        let container = bench.stay(&spec);
        tmpfs_at(&source.join("later"));
        std::fs::write(source.join("later/file"), "").unwrap();
        assert_eq!(
            container.sh("ls /slave/later /private/later"),
            "/private/later:\n\n/slave/later:\nfile\n"
        );
    });
}

#[test]
fn what_an_unprivileged_user_cannot_mount_is_refused_by_name() {
    in_userns("mounts::what_an_unprivileged_user_cannot_mount_is_refused_by_name", |bench| {
        let source = bench.beside("volume");
        for option in ["idmap", "remount"] {
            let mount = json!({"destination": "/v", "source": source, "options": ["bind", option]});
            let error = bench.try_run(&with_mount(shell("true"), mount)).unwrap_err();
            assert!(error.to_string().contains(option), "{error}");
        }
        let missing = json!({"destination": "/v", "source": "/nonexistent", "options": ["bind"]});
        let error = bench.try_run(&with_mount(shell("true"), missing)).unwrap_err().to_string();
        assert!(error.contains("/v") && error.contains("/nonexistent"), "{error}");
    });
}

#[test]
fn nothing_is_mounted_inside_proc_but_what_cannot_hurt() {
    in_userns("mounts::nothing_is_mounted_inside_proc_but_what_cannot_hurt", |bench| {
        let source = bench.directory.join("file");
        std::fs::write(&source, "1 2\n").unwrap();
        std::os::unix::fs::symlink("/proc/self/attr", bench.rootfs.join("innocent")).unwrap();
        for target in ["/proc/self/attr/exec", "/proc/sys/kernel/hostname", "/innocent/exec"] {
            let mount = json!({"destination": target, "source": source, "options": ["bind"]});
            let error = bench.try_run(&with_mount(shell("true"), mount)).unwrap_err().to_string();
            assert!(error.contains("inside /proc"), "{target}: {error}");
        }
        let mount = json!({"destination": "/proc/uptime", "source": source, "options": ["bind"]});
        assert_eq!(bench.run(&with_mount(shell("cat /proc/uptime"), mount)).success(), "1 2\n");
    });
}

#[test]
fn paths_are_masked_and_protected() {
    in_userns("mounts::paths_are_masked_and_protected", |bench| {
        std::fs::create_dir_all(bench.rootfs.join("secret")).unwrap();
        std::fs::write(bench.rootfs.join("secret/file"), "x").unwrap();
        std::fs::write(bench.rootfs.join("hidden"), "x").unwrap();
        let line = "cat /hidden; ls /secret; touch /secret/y; touch /etc/y; touch /proc/sys/kernel/domainname && \
                    echo z > /proc/sys/kernel/domainname; touch /ok && echo ok";
        let mut spec = shell(line);
        spec["linux"]["maskedPaths"] = json!(["/hidden", "/secret", "/nonexistent"]);
        spec["linux"]["readonlyPaths"] = json!(["/etc", "/proc/sys", "/nonexistent"]);
        let ran = bench.run(&spec);
        assert_eq!(ran.stdout, "ok\n", "{ran:?}");
        assert_eq!(ran.stderr.matches("Read-only file system").count(), 3, "{ran:?}");
    });
}

#[test]
fn a_read_only_root_keeps_its_writable_mounts() {
    in_userns("mounts::a_read_only_root_keeps_its_writable_mounts", |bench| {
        let mut spec = shell("touch /x; touch /dev/shm/x && echo ok");
        spec["root"]["readonly"] = json!(true);
        let ran = bench.run(&spec);
        assert!(ran.stderr.contains("Read-only file system") && ran.stdout == "ok\n", "{ran:?}");
    });
}

#[test]
fn an_overlay_root_leaves_its_changes_in_the_upper_layer() {
    in_userns("mounts::an_overlay_root_leaves_its_changes_in_the_upper_layer", |bench| {
        let upper = bench.beside("upper");
        let plan = Rootfs::Overlay {
            lower: vec![bench.beside("empty"), bench.rootfs.clone()],
            upper: Some(upper.clone()),
            work: Some(bench.beside("work")),
            options: vec!["userxattr".into()],
        };
        let root = sys::overlay::mount_detached(&plan).unwrap();
        let (spec, io) = (parse(&shell("touch /made; rm /etc/passwd")), Io::new());
        let created = bench.create_on(&spec, root.as_fd(), None, io.stdio()).unwrap();
        created.pending.start().unwrap();
        io.finish(&created.pidfd, created.warnings).success();
        assert!(upper.join("made").exists() && bench.rootfs.join("etc/passwd").exists());
        assert!(!bench.rootfs.join("made").exists());
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains("overlay"), "the creator's namespace saw the root: {mounts}");
    });
}

#[test]
fn devices_work_and_others_of_the_host_can_be_given() {
    in_userns("mounts::devices_work_and_others_of_the_host_can_be_given", |bench| {
        let mut spec = shell(
            "head -c 3 /dev/zero | wc -c; echo x > /dev/null; head -c 1 /dev/urandom | wc -c; stat -c %t:%T /dev/other; ls -l /dev/fd /dev/ptmx | grep -c -- '->'",
        );
        spec["linux"]["devices"] = json!([{"path": "/dev/other", "type": "c", "major": 1, "minor": 5}]);
        assert_eq!(bench.run(&spec).success(), "3\n1\n1:5\n2\n");
        spec["linux"]["devices"] = json!([{"path": "/dev/other", "type": "c", "major": 250, "minor": 99}]);
        let error = bench.try_run(&spec).unwrap_err().to_string();
        assert!(error.contains("the host has no char device 250:99"), "{error}");
    });
}

#[test]
fn a_dev_of_the_hosts_is_left_as_it_is() {
    in_userns("mounts::a_dev_of_the_hosts_is_left_as_it_is", |bench| {
        let dev = bench.beside("dev");
        for node in ["null", "zero"] {
            std::fs::write(dev.join(node), "").unwrap();
            mount_bind(Path::new("/dev").join(node), dev.join(node)).unwrap();
        }
        let mut spec = shell("ls /dev");
        spec["mounts"] = json!([
            {"destination": "/proc", "type": "proc"},
            {"destination": "/dev", "source": dev, "options": ["rbind"]}
        ]);
        assert_eq!(bench.run(&spec).success(), "null\nzero\n");
    });
}
