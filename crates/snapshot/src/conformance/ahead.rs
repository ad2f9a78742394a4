//! Layers that are filled while their parent is.

use super::{Case, Lab, crashes::nothing_but, lab::*};
use crate::{Arrival, Driver, Error, StagedLayer};
use archive::Limits;
use std::{
    io,
    sync::Mutex,
    sync::mpsc::{self, Receiver},
};

pub const CASES: &[Case] = &[
    Case { name: "a layer staged ahead of its parent is the one staged on it", check: same },
    Case { name: "what an archive brings whole waits for no parent", check: no_waiting },
    Case { name: "a layer staged ahead comes after its parent or not at all", check: order },
];

const BASE: &[Entry<'static>] = &[
    Dir("./", 0o751, 9),
    Dir("usr", 0o711, 5),
    Dir("usr/lib", 0o750, 6),
    Symlink("lib", "usr/lib"),
    Symlink("up", "../../usr"),
    File("usr/file", "x"),
    Dir("d", 0o755, 0),
    File("d/old", ""),
    File("in-the-way", ""),
];

/// Archives on top of [`BASE`], which is asked for what they leave out.
const ASKING: &[&[Entry<'static>]] = &[
    &[File("lib/x", "1"), File("up/y", "2"), File("new/deep/z", "3")],
    &[HardLink("c", "usr/file"), HardLink("e", "c")],
    &[Special("usr/.wh.file", 0, 0), File("usr/lib/new", "")],
    &[Special(".wh.d", 0, 0), File("d/new", ""), File("usr/new", "")],
    &[Special("d/.wh..wh..opq", 0, 0), File("d/new", "")],
];

/// Archives that ask for nothing.
const WHOLE: &[&[Entry<'static>]] = &[
    &[File("top", "")],
    &[Dir("./", 0o700, 3), File("top", "")],
    &[Dir("lib", 0o755, 0), File("lib/x", "no link any more")],
    &[Special(".wh.usr", 0, 0), Special(".wh.lib", 0, 0), Dir("in-the-way", 0o755, 0)],
    &[Dir("d", 0o700, 4), Special("d/.wh..wh..opq", 0, 0), File("d/new", "")],
];

/// `None` where a layer begins as a copy of its parent.
fn stage(driver: &dyn Driver, parent: usize, arrival: Arrival) -> Option<StagedLayer> {
    driver.begin_layer_ahead(&chain(parent), arrival).map(Result::unwrap)
}

/// Arrives when told so; never when the other end is gone.
fn told(told: Receiver<()>) -> Arrival {
    let told = Mutex::new(told);
    Box::new(move || told.lock().unwrap().recv().map_err(io::Error::other))
}

fn same(lab: &Lab) {
    let driver = lab.open();
    for (number, entries) in ASKING.iter().enumerate() {
        let (parent, on_it, ahead_of_it) = (100 + number, 200 + number, 300 + number);
        let (arrive, arrived) = mpsc::channel();
        let Some(mut staged) = stage(&*driver, parent, told(arrived)) else { return };
        let staged = std::thread::scope(|scope| {
            let unpacking = scope.spawn(|| {
                staged.unpack(&archive(entries)[..], &Limits::default()).unwrap();
                staged
            });
            add(&*driver, parent, None, BASE);
            arrive.send(()).unwrap();
            unpacking.join().unwrap()
        });
        driver.commit_layer(staged, &chain(ahead_of_it)).unwrap();
        compare(&*driver, parent, on_it, ahead_of_it, entries);
    }
}

/// With the same archive, unpacked on the parent as `on_it`.
fn compare(driver: &dyn Driver, parent: usize, on_it: usize, ahead_of_it: usize, entries: &[Entry<'_>]) {
    add(driver, on_it, Some(parent), entries);
    let seen = |number| {
        let tree = mount(&driver.layer_rootfs(&chain(number)).unwrap());
        let root = tree.stat(".");
        (tree.listing(), (root.st_mode, root.st_uid))
    };
    assert_eq!(seen(ahead_of_it), seen(on_it));
    let usage = |number| driver.layer_usage(&chain(number)).unwrap();
    assert_eq!(usage(ahead_of_it), usage(on_it));
    assert_eq!(driver.layer_parent(&chain(ahead_of_it)).unwrap(), Some(chain(parent)));
}

fn no_waiting(lab: &Lab) {
    let driver = lab.open();
    for (number, entries) in WHOLE.iter().enumerate() {
        let (parent, on_it, ahead_of_it) = (100 + number, 200 + number, 300 + number);
        let never = Box::new(|| panic!("what is below was asked for"));
        let Some(mut staged) = stage(&*driver, parent, never) else { return };
        staged.unpack(&archive(entries)[..], &Limits::default()).unwrap();
        add(&*driver, parent, None, BASE);
        driver.commit_layer(staged, &chain(ahead_of_it)).unwrap();
        compare(&*driver, parent, on_it, ahead_of_it, entries);
    }
}

fn order(lab: &Lab) {
    let driver = lab.open();
    let never = || told(mpsc::channel().1);
    let Some(staged) = stage(&*driver, 1, never()) else { return };
    let early = driver.commit_layer(staged, &chain(2)).unwrap_err();
    assert!(matches!(early, Error::NoSuchLayer(_)), "{early}");
    let staged = stage(&*driver, 1, never()).unwrap();
    add(&*driver, 1, None, &[File("a", "")]);
    let in_use = driver.remove_layer(&chain(1)).unwrap_err().to_string();
    assert!(in_use.ends_with("unpacked"), "{in_use}");
    driver.commit_layer(staged, &chain(2)).unwrap();
    let mut staged = stage(&*driver, 3, never()).unwrap();
    assert!(staged.unpack(&archive(&[File("implied/f", "")])[..], &Limits::default()).is_err());
    drop(staged);
    nothing_but(lab, 2, 0);
}
