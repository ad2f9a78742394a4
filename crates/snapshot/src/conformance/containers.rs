//! Containers' trees: writing, what changed, and that as a layer again.

use super::{Case, Lab, lab::*};
use crate::{Driver, Error};
use model::Id;
use std::{fs, os::unix::fs as unix};

pub const CASES: &[Case] = &[
    Case { name: "a container writes to its own tree only", check: separate },
    Case { name: "a container can stand on nothing", check: scratch },
    Case { name: "changes are listed as docker diff lists them", check: changes },
    Case { name: "an unchanged container has no changes", check: unchanged },
    Case { name: "what a runtime makes to mount on is no change", check: mount_points },
    Case { name: "the difference on top of the layer is the container's tree again", check: round_trip },
    Case { name: "the same tree gives the same bytes", check: deterministic },
    Case { name: "containers are made and removed by many at once", check: concurrent },
];

fn container(driver: &dyn Driver, layer: Option<usize>) -> Id {
    let id = Id::random();
    driver.create_container(&id, layer.map(chain).as_ref()).unwrap();
    id
}

fn separate(lab: &Lab) {
    let driver = lab.open();
    add(&*driver, 1, None, &[File("f", "image")]);
    let (one, two) = (container(&*driver, Some(1)), container(&*driver, Some(1)));
    assert!(matches!(driver.create_container(&one, None), Err(Error::ContainerExists(_))));
    mount(&driver.rootfs(&one).unwrap()).write("f", "one");
    let reopened = lab.open();
    assert_eq!(mount(&reopened.rootfs(&one).unwrap()).read("f"), "one");
    assert_eq!(mount(&reopened.rootfs(&two).unwrap()).read("f"), "image");
    assert_eq!(mount(&reopened.layer_rootfs(&chain(1)).unwrap()).read("f"), "image");
    reopened.remove_container(&one).unwrap();
    assert!(matches!(reopened.remove_container(&one), Err(Error::NoSuchContainer(_))));
    assert!(matches!(reopened.rootfs(&one), Err(Error::NoSuchContainer(_))));
    assert_eq!(reopened.containers(), [two]);
}

fn scratch(lab: &Lab) {
    let driver = lab.open();
    let id = container(&*driver, None);
    let tree = mount(&driver.rootfs(&id).unwrap());
    assert!(tree.paths().is_empty());
    assert_eq!(tree.stat(".").st_mode & 0o7777, 0o755);
    tree.write("f", "x");
    let listed: Vec<String> = driver.changes(&id).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(listed, ["A /f"]);
    let reopened = lab.open();
    assert_eq!(mount(&reopened.rootfs(&id).unwrap()).read("f"), "x");
}

/// What the cases below start from.
fn image(driver: &dyn Driver) {
    let entries = [
        Dir("etc", 0o755, 0),
        File("etc/hosts", "h"),
        File("etc/same", "s"),
        Dir("var", 0o755, 0),
        Dir("var/log", 0o755, 0),
        File("var/log/a", "a"),
        File("var/log/b", "b"),
        Dir("var/log/sub", 0o755, 0),
        File("var/log/sub/c", "c"),
        Dir("moved", 0o755, 0),
        File("moved/x", "x"),
        File("kind", "file"),
        Symlink("link", "etc/hosts"),
        File("linked", "l"),
        Dir("gone", 0o755, 0),
        File("gone/deep", ""),
        Dir("mode", 0o755, 0),
    ];
    add(driver, 1, None, &entries);
}

/// What a container may do to it.
fn disturb(tree: &Tree) {
    tree.write("etc/hosts", "changed");
    tree.write("etc/new", "new");
    fs::remove_dir_all(tree.at("var/log")).unwrap();
    fs::create_dir_all(tree.at("var/log/sub")).unwrap();
    tree.write("var/log/b", "another b");
    // As mv(1) does it where rename(2) answers EXDEV, which overlays do for a directory of the image.
    fs::create_dir(tree.at("renamed")).unwrap();
    fs::rename(tree.at("moved/x"), tree.at("renamed/x")).unwrap();
    fs::remove_dir(tree.at("moved")).unwrap();
    fs::remove_file(tree.at("kind")).unwrap();
    fs::create_dir(tree.at("kind")).unwrap();
    tree.write("kind/inside", "");
    fs::remove_file(tree.at("link")).unwrap();
    unix::symlink("etc/new", tree.at("link")).unwrap();
    fs::hard_link(tree.at("linked"), tree.at("etc/second")).unwrap();
    fs::remove_dir_all(tree.at("gone")).unwrap();
    fs::set_permissions(tree.at("mode"), std::os::unix::fs::PermissionsExt::from_mode(0o2700)).unwrap();
    unix::chown(tree.at("etc/new"), Some(1000), Some(50)).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, tree.at("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
}

fn changes(lab: &Lab) {
    let driver = lab.open();
    image(&*driver);
    let id = container(&*driver, Some(1));
    disturb(&mount(&driver.rootfs(&id).unwrap()));
    let listed: Vec<String> = driver.changes(&id).unwrap().iter().map(ToString::to_string).collect();
    let mut expect = vec![
        "C /etc",
        "C /etc/hosts",
        "A /etc/new",
        "A /etc/second",
        "A /fifo",
        "D /gone",
        "C /kind",
        "A /kind/inside",
        "C /link",
        "C /linked",
        "C /mode",
        "D /moved",
        "A /renamed",
        "A /renamed/x",
        "C /var",
        "C /var/log",
        "D /var/log/a",
        "C /var/log/b",
        "C /var/log/sub",
        "D /var/log/sub/c",
    ];
    expect.sort_by_key(|line| &line[2..]);
    assert_eq!(listed, expect);
}

fn unchanged(lab: &Lab) {
    let driver = lab.open();
    image(&*driver);
    let id = container(&*driver, Some(1));
    let tree = mount(&driver.rootfs(&id).unwrap());
    // Opened for writing and not written to; a file made and removed again.
    drop(fs::OpenOptions::new().append(true).open(tree.at("etc/same")).unwrap());
    tree.write("etc/passing", "");
    fs::remove_file(tree.at("etc/passing")).unwrap();
    assert_eq!(driver.changes(&id).unwrap(), []);
}

fn mount_points(lab: &Lab) {
    let driver = lab.open();
    add(&*driver, 1, None, &[Dir("etc", 0o750, 7), File("etc/hosts", "image"), File("etc/same", "")]);
    let check = |layer: Option<usize>, change: fn(&Tree), expect: &[&str], archived: &[&str]| {
        let id = container(&*driver, layer);
        let tree = mount(&driver.rootfs(&id).unwrap());
        fs::create_dir_all(tree.at("dev/pts")).unwrap();
        for path in ["proc", "sys", "etc"] {
            fs::create_dir_all(tree.at(path)).unwrap();
        }
        for path in ["dev/console", ".dockerenv", "etc/hostname", "etc/resolv.conf"] {
            tree.write(path, "");
        }
        unix::symlink("/proc/mounts", tree.at("etc/mtab")).unwrap();
        change(&tree);
        let listed: Vec<String> = driver.changes(&id).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(listed, expect);
        let mut difference = Vec::new();
        driver.diff(&id, &mut difference).unwrap();
        let mut tar = tar::Archive::new(&difference[..]);
        let paths: Vec<String> =
            tar.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()).collect();
        assert_eq!(paths, archived);
    };
    check(Some(1), |_| (), &[], &[]);
    check(None, |_| (), &[], &[]);
    let mine = |tree: &Tree| tree.write("etc/mine", "");
    check(Some(1), mine, &["C /etc", "A /etc/mine"], &["etc/", "etc/mine"]);
    check(None, mine, &["A /etc", "A /etc/mine"], &["etc/", "etc/mine"]);
    let written = |tree: &Tree| tree.write("etc/resolv.conf", "written");
    check(Some(1), written, &["C /etc", "A /etc/resolv.conf"], &["etc/", "etc/resolv.conf"]);
    let changed = |tree: &Tree| tree.write("etc/hosts", "");
    check(Some(1), changed, &["C /etc", "C /etc/hosts"], &["etc/", "etc/hosts"]);
}

fn round_trip(lab: &Lab) {
    let driver = lab.open();
    image(&*driver);
    let id = container(&*driver, Some(1));
    let tree = mount(&driver.rootfs(&id).unwrap());
    disturb(&tree);
    let mut difference = Vec::new();
    driver.diff(&id, &mut difference).unwrap();
    add_archive(&*driver, 2, Some(1), &difference).unwrap();
    let again = mount(&driver.layer_rootfs(&chain(2)).unwrap());
    assert_eq!(again.listing(), tree.listing());
    assert_eq!(again.stat("etc/second").st_ino, again.stat("linked").st_ino);
}

fn deterministic(lab: &Lab) {
    let driver = lab.open();
    image(&*driver);
    let id = container(&*driver, Some(1));
    disturb(&mount(&driver.rootfs(&id).unwrap()));
    let archive = || {
        let mut bytes = Vec::new();
        driver.diff(&id, &mut bytes).unwrap();
        bytes
    };
    assert!(archive() == archive());
}

fn concurrent(lab: &Lab) {
    let driver = lab.open();
    image(&*driver);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let id = container(&*driver, Some(1));
                    mount(&driver.rootfs(&id).unwrap()).write("mine", id.as_str());
                    assert_eq!(mount(&driver.rootfs(&id).unwrap()).read("mine"), id.as_str());
                    driver.remove_container(&id).unwrap();
                }
            });
        }
    });
    super::crashes::nothing_but(lab, 1, 0);
}
