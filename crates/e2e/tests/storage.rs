//! Storage drivers, full disks, and what an export has.

use e2e::{Engine, Host};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Runs a command of root's.
fn root(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|e| panic!("{program}: {e}: `cargo xtask prepare` installs it"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A file system in a file, mounted for as long as the value lives.
struct Disk {
    place: PathBuf,
}

impl Disk {
    fn new(image: &Path, kind: &str, size: &str, options: &str) -> Self {
        root("truncate", &["-s", size, text(image)]);
        root(&format!("mkfs.{kind}"), &["-q", text(image)]);
        Self::mount(image, options)
    }

    fn mount(image: &Path, options: &str) -> Self {
        let place = image.with_extension("mounted");
        std::fs::create_dir_all(&place).expect("make a mount point");
        root("mount", &["-o", &format!("loop,{options}"), text(image), text(&place)]);
        Self { place }
    }

    /// A directory of the user's on it.
    fn data(&self, host: &Host) -> String {
        let data = self.place.join("data");
        std::fs::create_dir_all(&data).expect("make a data root");
        std::os::unix::fs::chown(&data, Some(host.uid()), Some(host.uid())).expect("chown");
        text(&data).to_owned()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: what the engine still holds goes with it.
        root("umount", &["--lazy", text(&self.place)]);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are text")
}

/// What every driver must do for a user.
fn works(engine: &Engine, driver: &str) {
    engine.docker(&["info", "--format", "{{.Driver}}"]).ok().prints(driver);
    engine.load("busybox");
    engine.docker(&["run", "-d", "--name", "c1", "busybox", "sleep", "600"]).ok();
    engine
        .docker(&["exec", "c1", "sh", "-c", "echo written > /etc/new; rm /etc/passwd; chown 7:8 /bin"])
        .ok();
    engine.docker(&["diff", "c1"]).ok().prints("C /bin\nC /etc\nA /etc/new\nD /etc/passwd");
    engine.docker(&["commit", "c1", "changed"]).ok();
    let listing = "cat /etc/new; ls /etc/passwd; stat -c %u:%g /bin";
    let seen = engine.docker(&["run", "--rm", "changed", "sh", "-c", listing]);
    assert_eq!(seen.stdout, "written\n7:8\n", "{seen}");
    engine.docker(&["cp", "c1:/etc/new", "-"]).ok();
    engine.docker(&["stop", "-t", "0", "c1"]).ok();
    engine.docker(&["cp", "c1:/etc/new", "-"]).ok();
    engine.docker(&["start", "c1"]).ok();
    engine.docker(&["exec", "c1", "cat", "/etc/new"]).ok().prints("written");
    engine.lichen(&["system", "check"]).ok();
}

#[test]
fn fuse_overlayfs_serves_containers_and_outlives_the_engine() {
    let mut engine = Engine::start_with(&["--storage-driver=fuse-overlayfs"]);
    works(&engine, "fuse-overlayfs");
    engine.kill_launcher();
    engine.launch();
    engine.docker(&["exec", "c1", "cat", "/etc/new"]).ok().prints("written");
}

#[test]
fn btrfs_subvolumes_hold_containers() {
    let host = Host::new();
    let disk = Disk::new(&host.path("btrfs.img"), "btrfs", "512M", "user_subvol_rm_allowed");
    let data = disk.data(&host);
    let engine = Engine::start_on(host, &["--storage-driver=btrfs", "--data-root", &data], &[]);
    works(&engine, "btrfs");
    let status = "{{range .DriverStatus}}{{index . 0}}={{index . 1}} {{end}}";
    engine.docker(&["info", "--format", status]).ok().prints("Btrfs= user_subvol_rm_allowed=true");
}

#[test]
fn a_driver_that_cannot_be_is_refused_with_the_reason() {
    let host = Host::new();
    let lichen = e2e::program("lichen");
    let refused = host.run_command(&lichen, &["daemon", "--storage-driver=btrfs"]);
    assert!(refused.stderr.contains("storage driver btrfs: the data root is not on btrfs"), "{refused}");
}

#[test]
fn a_full_disk_spoils_nothing() {
    let host = Host::new();
    let disk = Disk::new(&host.path("small.img"), "ext4", "24M", "relatime");
    let data = disk.data(&host);
    let mut engine = Engine::start_on(host, &["--data-root", &data], &[]);
    engine.load("busybox");
    let archive = e2e::archive("debian");
    let full = engine.docker(&["load", "-i", text(&archive)]).exits(1);
    assert!(full.stderr.to_lowercase().contains("no space left on device"), "{full}");
    engine.docker(&["run", "--rm", "busybox", "echo", "still here"]).ok().prints("still here");
    engine.lichen(&["system", "check"]).ok();
    engine.stop();
    engine.launch();
    engine.docker(&["images", "--format", "{{.Repository}}"]).ok().prints("busybox");
    engine.docker(&["run", "--rm", "busybox", "true"]).ok();
    engine.lichen(&["system", "check"]).ok();
}

#[test]
fn an_export_has_the_mount_points_that_diff_hides() {
    let engine = Engine::start();
    engine.load("busybox");
    engine.docker(&["run", "--name", "c1", "busybox", "sh", "-c", "test -f /.dockerenv && touch /mine"]).ok();
    engine.docker(&["diff", "c1"]).ok().prints("A /mine");
    engine.docker(&["create", "--name", "c2", "busybox"]).ok();
    for name in ["c1", "c2"] {
        let tar = engine.host().path(&format!("{name}.tar"));
        engine.docker(&["export", "-o", text(&tar), name]).ok();
        let list = engine.host().run_command("tar", &["-tf", text(&tar)]).ok();
        for path in [".dockerenv", "etc/hosts", "etc/resolv.conf", "dev/console", "dev/shm/", "proc/", "sys/"]
        {
            assert!(list.stdout.lines().any(|line| line == path), "{path} of {name}: {list}");
        }
    }
    engine.docker(&["diff", "c2"]).ok().prints("");
}
