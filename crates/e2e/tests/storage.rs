//! Storage drivers, full disks, and what an export has.

use e2e::{Engine, Host, wait_until};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
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
    // Those that looked at the stopped container are gone; the container's own goes with it.
    let c1 = engine.docker(&["inspect", "--format", "{{.Id}}", "c1"]).ok();
    wait_until("one program serves", || (serving(c1.text()) == 1).then_some(()));
    engine.docker(&["rm", "-f", "c1"]).ok();
    wait_until("no program serves", || (serving(c1.text()) == 0).then_some(()));
}

/// How many fuse-overlayfs(1) there are for a container. A shim's has no variables of the user's by which the harness
/// knows other processes.
fn serving(container: &str) -> usize {
    let upper = format!("upperdir=c/{container}/");
    let processes = std::fs::read_dir("/proc").expect("read /proc");
    // What ended meanwhile, and what is no process, has no command line.
    let commands = processes.filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok());
    commands.filter(|command| String::from_utf8_lossy(command).contains(&upper)).count()
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

/// The file `name` in the one layer that has it.
fn in_layer(layers: &Path, name: &str) -> PathBuf {
    let entries = std::fs::read_dir(layers).unwrap_or_else(|e| panic!("{}: {e}", layers.display()));
    let paths = entries.map(|entry| entry.expect("read a directory").path());
    let found: Vec<PathBuf> = paths.map(|layer| layer.join(name)).filter(|file| file.exists()).collect();
    let [file] = &found[..] else { panic!("{name}: {found:?}") };
    file.clone()
}

#[test]
fn a_changed_layer_is_found_and_its_image_loaded_again() {
    let engine = Engine::start();
    engine.load("busybox");
    engine.load("hello-world");
    engine.docker(&["create", "--name", "c1", "busybox"]).ok();
    engine.lichen(&["system", "check"]).ok();
    let image = engine.docker(&["image", "inspect", "--format", "{{.Id}}", "busybox"]).ok();
    let driver = engine.docker(&["info", "--format", "{{.Driver}}"]).ok();
    let layers = engine.host().data().join(driver.text()).join("l");
    let file = in_layer(&layers, "etc/passwd");
    let text = std::fs::read_to_string(&file).expect("read a layer's file");
    std::fs::write(&file, text.replace("root:x:", "root::x")).expect("write a layer's file");

    let found = engine.lichen(&["system", "check"]).exits(1);
    let line = found.stdout.lines().next().unwrap_or_default();
    assert!(line.starts_with("layer sha256:") && line.contains(image.text()), "{found}");
    assert!(found.stdout.ends_with(": 1 problem\n"), "{found}");
    let used = engine.lichen(&["system", "check", "--repair"]).exits(1);
    assert!(used.stdout.contains("uses it: remove the container first"), "{used}");
    engine.docker(&["rm", "c1"]).ok();
    let repaired = engine.lichen(&["system", "check", "--repair"]).ok();
    assert!(repaired.stdout.contains("(repaired); the images were removed"), "{repaired}");
    engine.docker(&["images", "--format", "{{.Repository}}"]).ok().prints("hello-world");
    engine.lichen(&["system", "check"]).ok();

    engine.load("busybox");
    engine.docker(&["run", "--rm", "busybox", "cat", "/etc/passwd"]).ok().prints(text.trim());
    engine.lichen(&["system", "check"]).ok();
}

/// An engine on what a disk had at some moment; whether it knows debian.
fn after_power_loss(image: &Path) -> bool {
    // Replays the journal.
    let disk = Disk::mount(image, "relatime");
    let host = Host::new();
    let data = disk.data(&host);
    let engine = Engine::start_on(host, &["--data-root", &data], &[]);
    engine.lichen(&["system", "check"]).ok();
    let list = engine.docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).ok();
    let mut images: Vec<&str> = list.text().lines().collect();
    images.sort_unstable();
    for image in &images {
        engine.docker(&["run", "--rm", image, "cat", "/etc/passwd"]).ok();
    }
    assert!(images == ["busybox:latest"] || images == ["busybox:latest", "debian:bookworm"], "{list}");
    images.len() == 2
}

#[test]
fn images_survive_a_loss_of_power_whole_or_not_at_all() {
    let host = Host::new();
    // A reflink copies a file as it is at one moment, between two writes (ioctl_ficlonerange(2)). What a file system in
    // that file has not written yet is not in the copy, as after a loss of power.
    let shelf = Disk::new(&host.path("shelf.img"), "btrfs", "4G", "relatime");
    let image = shelf.place.join("disk.img");
    let copy = |number: usize| {
        let copy = shelf.place.join(format!("copy-{number}.img"));
        root("cp", &["--reflink=always", text(&image), text(&copy)]);
        copy
    };
    let disk = Disk::new(&image, "ext4", "1G", "relatime");
    let data = disk.data(&host);
    let engine = Engine::start_on(host, &["--data-root", &data], &[]);
    engine.load("busybox");
    let mut copies = vec![copy(0)];
    let archive = e2e::archive("debian");
    std::thread::scope(|scope| {
        let load = scope.spawn(|| engine.docker(&["load", "-i", text(&archive)]).ok());
        // Whenever these happen to be: what is asked of them is the same at any time.
        while !load.is_finished() && copies.len() < 5 {
            std::thread::sleep(Duration::from_millis(25 << copies.len()));
            copies.push(copy(copies.len()));
        }
        load.join().expect("load");
    });
    let last = copy(copies.len());
    for copy in &copies {
        after_power_loss(copy);
    }
    assert!(after_power_loss(&last), "an image that was loaded is gone");
}
