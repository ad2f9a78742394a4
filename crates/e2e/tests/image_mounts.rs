//! Images mounted in containers: `--mount type=image`.

use e2e::{Engine, Output, kill_9, wait_until};
use std::path::Path;

/// An engine with busybox, and `data:v1`, which has a layer more.
fn engine(arguments: &[&str]) -> Engine {
    let engine = Engine::start_with(arguments);
    engine.load("busybox");
    let fill = "mkdir -p /sub/deep /hack && echo world > /sub/hello && ln -s ../sub /hack/good \
                && ln -s ../../../../../etc/passwd /hack/bad && chown 1000:1000 /sub/hello && chmod 640 /sub/hello";
    engine.docker(&["run", "--name", "maker", "busybox", "sh", "-c", fill]).ok();
    engine.docker(&["commit", "maker", "data:v1"]).ok();
    engine.docker(&["rm", "maker"]).ok();
    engine
}

fn mount(options: &str) -> String {
    format!("type=image,source=data:v1,{options}")
}

/// Runs busybox with the image, or a part of it, mounted.
fn run(engine: &Engine, client: &str, options: &str, command: &[&str]) -> Output {
    let mount = mount(options);
    let args = [&["run", "--rm", "--mount", &mount, "busybox"], command].concat();
    if client == "docker" { engine.docker(&args) } else { engine.lichen(&args) }
}

#[test]
fn an_image_is_mounted_read_only() {
    let engine = engine(&[]);
    for client in ["docker", "lichen"] {
        let run = |options: &str, command: &[&str]| run(&engine, client, options, command);
        run("target=/image", &["cat", "/image/sub/hello"]).ok().prints("world");
        run("target=/image", &["stat", "-c", "%u:%g %a", "/image/sub/hello"]).ok().prints("1000:1000 640");
        for write in
            ["touch /image/new", "rm /image/sub/hello", "chmod 777 /image/sub", "mount -o remount,rw /image"]
        {
            let denied = run("target=/image", &["sh", "-c", write]);
            assert!(!denied.status.success(), "{write}: {denied}");
        }
        run("target=/image", &["touch", "/image/new"]).exits(1).complains("Read-only file system");
        run("target=/i,image-subpath=sub", &["cat", "/i/hello"]).ok().prints("world");
        run("target=/i,image-subpath=hack/good", &["cat", "/i/hello"]).ok().prints("world");
        run("target=/etc/localtime,image-subpath=sub/hello", &["cat", "/etc/localtime"]).ok().prints("world");
        run("target=/i,image-subpath=sub", &["touch", "/i/new"]).exits(1).complains("Read-only file system");
    }
    // One in the other, and one beside the other.
    for (first, second) in [("/a", "/a/mnt"), ("/a", "/b")] {
        let whole = mount(&format!("target={first}"));
        let part = mount(&format!("target={second},image-subpath=sub"));
        let cat = format!("cat {first}/sub/hello {second}/hello");
        let args = ["run", "--rm", "--mount", &part, "--mount", &whole, "busybox", "sh", "-c", &cat];
        engine.docker(&args).ok().prints("world\nworld");
    }
}

#[test]
fn parts_of_images_that_lead_nowhere_or_out_are_refused_in_dockers_words() {
    let engine = engine(&[]);
    for client in ["docker", "lichen"] {
        let part = |subpath: &str| {
            run(&engine, client, &format!("target=/i,image-subpath={subpath}"), &["true"]).exits(125)
        };
        part("hack/bad").complains("path concatenation escapes the base directory");
        part("none").complains("cannot access path");
        part("../../etc/passwd").complains("subpath must be a relative path within the volume");
        part("/etc").complains("subpath must be a relative path within the volume");
    }
    let create =
        |mount: &str| engine.docker(&["create", "--pull", "never", "--mount", mount, "busybox"]).exits(1);
    create("type=image,source=zzz:v1,target=/i").complains("No such image: zzz:v1");
    create("type=image,source=data:v1,target=/").complains("destination can't be '/'");
    engine.docker(&["ps", "-aq"]).ok().prints("");
}

#[test]
fn what_is_mounted_is_shown_as_docker_shows_it() {
    let engine = engine(&[]);
    engine
        .docker(&["create", "--name", "c1", "--mount", &mount("target=/i,image-subpath=sub"), "busybox"])
        .ok();
    let shown = "{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}} {{.RW}} {{.Propagation}}{{end}}";
    engine.docker(&["inspect", "-f", shown, "c1"]).ok().prints("image data:v1 /i false rprivate");
    let asked =
        "{{range .HostConfig.Mounts}}{{.Type}} {{.Source}} {{.Target}} {{.ImageOptions.Subpath}}{{end}}";
    engine.docker(&["inspect", "-f", asked, "c1"]).ok().prints("image data:v1 /i sub");
    let source =
        engine.docker(&["inspect", "-f", "{{(index .Mounts 0).Source}}", "c1"]).ok().text().to_owned();
    assert!(Path::new(&source).starts_with(engine.host().data()), "{source}");
    // As clients copy it, without a start.
    engine.docker(&["cp", "c1:/i/hello", engine.host().path("copied").to_str().unwrap()]).ok();
    assert_eq!(std::fs::read_to_string(engine.host().path("copied")).unwrap(), "world\n");
    let file = engine.host().write("new", "text");
    engine.docker(&["cp", file.to_str().unwrap(), "c1:/i/new"]).exits(1);
    let from = ["run", "--rm", "--volumes-from", "c1", "busybox", "cat", "/i/hello"];
    engine.docker(&from).ok().prints("world");
}

/// A container that may mount cannot make the mount writable: the files are those of every other container.
#[test]
fn a_privileged_container_cannot_change_an_image_that_it_has_mounted() {
    let change = "mount -o remount,bind,rw /i; mount -o remount,rw /i; echo changed > /i/sub/hello";
    let privileged = |source: &str| {
        let mount = format!("type=image,source={source},target=/i");
        let args = ["run", "--rm", "--privileged", "--mount", &mount, "busybox", "sh", "-c", change];
        args.map(str::to_owned)
    };
    let engine = engine(&[]);
    // An image of one layer, which is no overlay of several by itself.
    engine.docker(&["create", "--name", "maker", "data:v1"]).ok();
    let file = engine.host().path("flat.tar");
    engine.docker(&["export", "-o", file.to_str().unwrap(), "maker"]).ok();
    engine.docker(&["import", file.to_str().unwrap(), "flat:v1"]).ok();
    for source in ["data:v1", "flat:v1"] {
        let args = privileged(source);
        let ran = engine.docker(&args.each_ref().map(String::as_str));
        ran.exits(1).complains("Read-only file system");
        engine.docker(&["run", "--rm", source, "cat", "/sub/hello"]).ok().prints("world");
    }
    drop(engine);
    let engine = self::engine(&["--storage-driver", "vfs"]);
    let refused = engine.docker(&privileged("data:v1").each_ref().map(String::as_str));
    refused
        .exits(125)
        .complains("a mount of type image in a container that may mount (--privileged or SYS_ADMIN)");
    // Nor can a process that comes into the container with privileges of its own.
    let mount = "type=image,source=data:v1,target=/i";
    engine.docker(&["run", "-d", "--name", "plain", "--mount", mount, "busybox", "sleep", "600"]).ok();
    engine.docker(&["exec", "--privileged", "plain", "sh", "-c", change]).exits(1).complains(
        "exec --privileged in a container with a mount of type image, with the storage driver vfs,",
    );
    engine.docker(&["exec", "plain", "cat", "/i/sub/hello"]).ok().prints("world");
    engine.docker(&["run", "-d", "--name", "other", "busybox", "sleep", "600"]).ok();
    engine.docker(&["exec", "--privileged", "other", "echo", "in"]).ok().prints("in");
}

fn layers(engine: &Engine) -> usize {
    std::fs::read_dir(engine.host().data().join("overlay2/layers")).unwrap().count()
}

#[test]
fn a_mounted_image_stays_as_long_as_its_container() {
    let mut engine = engine(&[]);
    let all = layers(&engine);
    let create = ["create", "--name", "c1", "--mount", &mount("target=/i,image-subpath=sub")];
    let id = engine.docker(&[&create[..], &["busybox", "cat", "/i/hello"]].concat()).ok().text().to_owned();
    let used = format!("container {} is using its referenced image", &id[..12]);
    engine.docker(&["rmi", "data:v1"]).exits(1).complains(&used);
    engine.docker(&["image", "prune", "-af"]).ok();
    engine.docker(&["images", "-q", "data:v1"]).ok();
    engine.docker(&["start", "-a", "c1"]).ok().prints("world");

    // By force the image goes, and its files stay for the container: also for an engine that collects what nobody needs.
    engine.docker(&["rmi", "-f", "data:v1"]).ok();
    engine.docker(&["start", "-a", "c1"]).ok().prints("world");
    kill_9(engine.pid());
    engine.wait_ready();
    engine.docker(&["image", "prune", "-f"]).ok();
    engine.docker(&["start", "-a", "c1"]).ok().prints("world");
    assert_eq!(layers(&engine), all);

    engine.docker(&["rm", "c1"]).ok();
    wait_until("the layer that nobody needs is gone", || (layers(&engine) == all - 1).then_some(()));
    engine.docker(&["run", "--rm", "busybox", "echo", "whole"]).ok().prints("whole");
}

#[test]
fn an_image_that_is_mounted_in_a_running_container_cannot_go() {
    let engine = engine(&[]);
    let args = ["run", "-d", "--name", "c1", "--mount", &mount("target=/i"), "busybox", "sleep", "1000"];
    engine.docker(&args).ok();
    let id = engine.docker(&["inspect", "-f", "{{.Id}}", "data:v1"]).ok().text().to_owned();
    engine.docker(&["rmi", "-f", &id]).exits(1).complains("image is being used by running container");
    engine.docker(&["exec", "c1", "cat", "/i/sub/hello"]).ok().prints("world");
    // It is not the container's image, and does not count as such.
    engine.docker(&["ps", "-q", "--filter", "ancestor=data:v1"]).ok().prints("");
    engine.docker(&["rm", "-f", "c1"]).ok();
    engine.docker(&["rmi", &id]).ok();
}

#[test]
fn other_drivers_and_other_runtimes_mount_images_too() {
    for driver in ["vfs", "fuse-overlayfs"] {
        let engine = engine(&["--storage-driver", driver]);
        run(&engine, "docker", "target=/i,image-subpath=sub", &["cat", "/i/hello"]).ok().prints("world");
        run(&engine, "docker", "target=/i", &["touch", "/i/new"]).exits(1).complains("Read-only file system");
    }
    let engine = engine(&[]);
    for runtime in ["runc", "crun"] {
        let whole = ["--runtime", runtime, "--mount", &mount("target=/i")];
        let file = ["--mount", &mount("target=/etc/localtime,image-subpath=sub/hello")];
        let command = ["busybox", "sh", "-c", "cat /i/sub/hello /etc/localtime; touch /i/new"];
        let ran = engine.docker(&[&["run", "--rm"], &whole[..], &file, &command].concat());
        ran.exits(1).prints("world\nworld").complains("Read-only file system");
    }
}
