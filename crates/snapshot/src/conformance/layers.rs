//! Layers: stacking, whiteouts, links, attributes, references.

use super::{Case, Lab, lab::*};
use crate::{Error, Usage};
use std::sync::Barrier;

pub const CASES: &[Case] = &[
    Case { name: "a layer shows what is below it and hides what it removed", check: stacking },
    Case { name: "an opaque directory hides what is below it, wherever its mark stands", check: opaque },
    Case { name: "a whiteout spares what its own archive brings", check: whiteout_and_new },
    Case { name: "hard links join files of the layer and of those below", check: hard_links },
    Case { name: "directories that an archive implies are those below", check: implied },
    Case { name: "owners, set-user-ID, times and the root's own attributes are kept", check: attributes },
    Case { name: "140 layers can be mounted", check: many_layers },
    Case { name: "a layer in use is not removed, and one that is not is gone", check: references },
    Case { name: "a staged layer that is dropped leaves nothing", check: dropped },
    Case { name: "one of many equal layers is committed", check: concurrent_commits },
    Case { name: "usage counts a layer's own files once", check: usage },
];

fn stacking(lab: &Lab) {
    let driver = lab.open();
    let base = [File("a", "1"), Dir("b", 0o755, 0), File("b/c", "2"), File("b/e", "3"), Symlink("l", "b/c")];
    add(&*driver, 1, None, &base);
    let top = [
        Special(".wh.a", 0, 0),
        Dir("b", 0o755, 0),
        Special("b/.wh.e", 0, 0),
        File("b/d", "4"),
        File("l", "5"),
    ];
    add(&*driver, 2, Some(1), &top);
    let tree = mount(&driver.layer_rootfs(&chain(2)).unwrap());
    assert_eq!(tree.paths(), ["b", "b/c", "b/d", "l"]);
    assert_eq!((tree.read("b/d"), tree.read("l")), ("4".into(), "5".into()));
    let below = mount(&driver.layer_rootfs(&chain(1)).unwrap());
    assert_eq!(below.paths(), ["a", "b", "b/c", "b/e", "l"]);
    assert_eq!(driver.layer_parent(&chain(2)).unwrap(), Some(chain(1)));
    assert!(matches!(driver.layer_rootfs(&chain(3)), Err(Error::NoSuchLayer(_))));
}

fn opaque(lab: &Lab) {
    let driver = lab.open();
    let base = [Dir("d", 0o755, 0), File("d/old", ""), Dir("d/s", 0o755, 0), File("d/s/old", "")];
    add(&*driver, 1, None, &base);
    let first = [Dir("d", 0o755, 0), Special("d/.wh..wh..opq", 0, 0), File("d/new", "")];
    let last =
        [Dir("d", 0o755, 0), Dir("d/s", 0o755, 0), File("d/s/new", ""), Special("d/.wh..wh..opq", 0, 0)];
    let implied = [Special("d/.wh..wh..opq", 0, 0), File("d/new", "")];
    let cases: [(&[Entry<'_>], &[&str]); 3] =
        [(&first, &["d", "d/new"]), (&last, &["d", "d/s", "d/s/new"]), (&implied, &["d", "d/new"])];
    for (number, (entries, expect)) in cases.iter().enumerate() {
        add(&*driver, 10 + number, Some(1), entries);
        let tree = mount(&driver.layer_rootfs(&chain(10 + number)).unwrap());
        assert_eq!(tree.paths(), *expect, "archive {number}");
    }
}

fn whiteout_and_new(lab: &Lab) {
    let driver = lab.open();
    add(&*driver, 1, None, &[Dir("d", 0o755, 0), File("d/old", ""), File("f", "old")]);
    let before = [
        Special(".wh.d", 0, 0),
        Dir("d", 0o755, 0),
        File("d/new", ""),
        Special(".wh.f", 0, 0),
        File("f", "new"),
    ];
    let after = [
        Dir("d", 0o755, 0),
        File("d/new", ""),
        Special(".wh.d", 0, 0),
        File("f", "new"),
        Special(".wh.f", 0, 0),
    ];
    let implied = [Special(".wh.d", 0, 0), File("d/new", ""), File("f", "new")];
    for (number, entries) in [&before[..], &after, &implied].into_iter().enumerate() {
        add(&*driver, 10 + number, Some(1), entries);
        let tree = mount(&driver.layer_rootfs(&chain(10 + number)).unwrap());
        assert_eq!(tree.paths(), ["d", "d/new", "f"], "archive {number}");
        assert_eq!(tree.read("f"), "new", "archive {number}");
    }
}

fn hard_links(lab: &Lab) {
    let driver = lab.open();
    add(
        &*driver,
        1,
        None,
        &[Dir("d", 0o750, 7), File("d/a", "x"), HardLink("b", "d/a"), Special("s", 0o4755, 3)],
    );
    let tree = mount(&driver.layer_rootfs(&chain(1)).unwrap());
    assert_eq!(tree.stat("d/a").st_ino, tree.stat("b").st_ino);
    add(&*driver, 2, Some(1), &[HardLink("c", "d/a"), HardLink("e", "c"), HardLink("t", "s")]);
    let tree = mount(&driver.layer_rootfs(&chain(2)).unwrap());
    assert_eq!(tree.stat("c").st_ino, tree.stat("d/a").st_ino);
    assert_eq!(tree.stat("c").st_ino, tree.stat("e").st_ino);
    assert_eq!((tree.read("c"), tree.stat("c").st_mtime), ("x".into(), MTIME as i64));
    assert_eq!((tree.stat("t").st_mode & 0o7777, tree.stat("t").st_uid), (0o4755, 3));
    assert_eq!((tree.stat("d").st_mode & 0o7777, tree.stat("d").st_uid), (0o750, 7));
    let nowhere = archive(&[HardLink("x", "missing")]);
    let error = add_archive(&*driver, 3, Some(2), &nowhere).unwrap_err();
    assert_eq!(error.to_string(), r#"link "missing" "x": no such file or directory"#);
    assert!(!driver.layer_exists(&chain(3)));
}

fn implied(lab: &Lab) {
    let driver = lab.open();
    let base = [
        Dir("usr", 0o711, 5),
        Dir("usr/lib", 0o750, 6),
        Symlink("lib", "usr/lib"),
        Symlink("up", "../../usr"),
    ];
    add(&*driver, 1, None, &base);
    add(&*driver, 2, Some(1), &[File("lib/x", "1"), File("up/y", "2"), File("new/deep/z", "3")]);
    let tree = mount(&driver.layer_rootfs(&chain(2)).unwrap());
    assert_eq!(
        tree.paths(),
        ["lib", "new", "new/deep", "new/deep/z", "up", "usr", "usr/lib", "usr/lib/x", "usr/y"]
    );
    assert_eq!((tree.stat("usr").st_mode & 0o7777, tree.stat("usr").st_uid), (0o711, 5));
    assert_eq!((tree.stat("usr/lib").st_mode & 0o7777, tree.stat("usr/lib").st_uid), (0o750, 6));
    assert_eq!((tree.stat("new").st_mode & 0o7777, tree.stat("new").st_uid), (0o755, 0));
}

fn attributes(lab: &Lab) {
    let driver = lab.open();
    let entries = [
        Dir("./", 0o751, 9),
        Special("suid", 0o6755, 1000),
        Dir("sticky", 0o1777, 65_534),
        File("sticky/f", ""),
    ];
    add(&*driver, 1, None, &entries);
    add(&*driver, 2, Some(1), &[File("unrelated", "")]);
    let id = model::Id::random();
    driver.create_container(&id, Some(&chain(2))).unwrap();
    for plan in [driver.layer_rootfs(&chain(2)).unwrap(), driver.rootfs(&id).unwrap()] {
        let tree = mount(&plan);
        let seen = |path| {
            let stat = tree.stat(path);
            (stat.st_mode & 0o7777, stat.st_uid, stat.st_gid)
        };
        assert_eq!(seen("."), (0o751, 9, 9));
        assert_eq!(seen("suid"), (0o6755, 1000, 1000));
        assert_eq!(seen("sticky"), (0o1777, 65_534, 65_534));
        assert_eq!(tree.stat("sticky").st_mtime, MTIME as i64, "made before what is in it");
    }
}

fn many_layers(lab: &Lab) {
    const COUNT: usize = 140;
    let driver = lab.open();
    for number in 0..COUNT {
        let name = format!("f{number}");
        add(&*driver, number, number.checked_sub(1), &[File(&name, &name), File("last", &name)]);
    }
    let id = model::Id::random();
    driver.create_container(&id, Some(&chain(COUNT - 1))).unwrap();
    let tree = mount(&driver.rootfs(&id).unwrap());
    assert_eq!(tree.paths().len(), COUNT + 1);
    assert_eq!((tree.read("f0"), tree.read("last")), ("f0".into(), format!("f{}", COUNT - 1)));
}

fn references(lab: &Lab) {
    let driver = lab.open();
    add(&*driver, 1, None, &[File("a", "")]);
    add(&*driver, 2, Some(1), &[File("b", "")]);
    let id = model::Id::random();
    driver.create_container(&id, Some(&chain(2))).unwrap();
    let refused = |number| {
        let error = driver.remove_layer(&chain(number)).unwrap_err();
        assert!(matches!(error, Error::LayerInUse { .. }), "{error}");
        error.to_string()
    };
    assert!(refused(2).ends_with(&format!("container {id}")));
    assert!(refused(1).ends_with(&format!("layer {}", chain(2))));
    driver.remove_container(&id).unwrap();
    driver.remove_layer(&chain(2)).unwrap();
    let staged = driver.begin_layer(Some(&chain(1))).unwrap();
    assert!(refused(1).ends_with("unpacked"));
    drop(staged);
    driver.remove_layer(&chain(1)).unwrap();
    assert!(driver.layers().is_empty() && driver.containers().is_empty());
    assert!(matches!(driver.remove_layer(&chain(1)), Err(Error::NoSuchLayer(_))));
    assert!(matches!(driver.begin_layer(Some(&chain(1))).err(), Some(Error::NoSuchLayer(_))));
    super::crashes::nothing_but(lab, 0, 0);
}

fn dropped(lab: &Lab) {
    let driver = lab.open();
    let mut staged = driver.begin_layer(None).unwrap();
    staged.unpack(&archive(&[Dir("d", 0, 0), File("d/f", "")])[..], &archive::Limits::default()).unwrap();
    drop(staged);
    super::crashes::nothing_but(lab, 0, 0);
    let mut staged = driver.begin_layer(None).unwrap();
    let malformed = staged.unpack(&[1u8; 600][..], &archive::Limits::default()).unwrap_err();
    assert_eq!(malformed.kind(), model::ErrorKind::InvalidParameter, "{malformed}");
    drop(staged);
    super::crashes::nothing_but(lab, 0, 0);
}

fn concurrent_commits(lab: &Lab) {
    const THREADS: usize = 8;
    let driver = lab.open();
    add(&*driver, 1, None, &[File("a", "")]);
    let start = Barrier::new(THREADS);
    let committed = std::thread::scope(|scope| {
        let race = || {
            start.wait();
            match add_archive(&*driver, 2, Some(1), &archive(&[File("b", "")])) {
                Ok(_) => 1,
                Err(Error::LayerExists(_)) => 0,
                Err(e) => panic!("{e}"),
            }
        };
        let racers: Vec<_> = (0..THREADS).map(|_| scope.spawn(race)).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).sum::<usize>()
    });
    assert_eq!(committed, 1);
    super::crashes::nothing_but(lab, 2, 0);
}

fn usage(lab: &Lab) {
    let driver = lab.open();
    add(&*driver, 1, None, &[File("a", "12345"), HardLink("b", "a"), Dir("d", 0o755, 0), File("d/e", "123")]);
    assert_eq!(driver.layer_usage(&chain(1)).unwrap(), Usage { bytes: 8, inodes: 3 });
    add(&*driver, 2, Some(1), &[File("f", "1")]);
    assert_eq!(driver.layer_usage(&chain(2)).unwrap(), Usage { bytes: 1, inodes: 1 });
    let id = model::Id::random();
    driver.create_container(&id, Some(&chain(2))).unwrap();
    mount(&driver.rootfs(&id).unwrap()).write("new", "1234567");
    assert_eq!(driver.container_usage(&id).unwrap(), Usage { bytes: 7, inodes: 1 });
}
