//! What is left after the engine died.

use super::{Case, Lab, lab::*};
use model::Id;
use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

pub const CASES: &[Case] = &[
    Case { name: "what a crash left is collected when the driver opens", check: leftovers },
    Case { name: "a layer whose files are gone is absent", check: lost_files },
    Case { name: "a layer whose record is unreadable is absent", check: unreadable_record },
    Case { name: "a check names what is wrong and puts it right", check: check_and_repair },
    Case { name: "a check finds nothing wrong with what goes on", check: check_while_working },
    Case { name: "killed at any moment, each layer is complete or absent", check: killed },
];

fn entries(path: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Asserts that the driver's directory holds so many layers and containers, and nothing else.
pub fn nothing_but(lab: &Lab, layers: usize, containers: usize) {
    let dir = lab.path();
    assert_eq!(entries(&dir.join("tmp")), [""; 0]);
    assert_eq!(entries(&dir.join("l")).len(), layers, "layer directories");
    assert_eq!(entries(&dir.join("layers")).len(), layers, "records");
    assert_eq!(entries(&dir.join("c")).len(), containers, "containers");
}

fn leftovers(lab: &Lab) {
    let driver = lab.open();
    add(&*driver, 1, None, &[File("a", "")]);
    let id = Id::random();
    driver.create_container(&id, Some(&chain(1))).unwrap();
    let staged = driver.begin_layer(Some(&chain(1))).unwrap();
    // An engine that is killed runs no destructors.
    std::mem::forget(staged);
    drop(driver);
    let dir = lab.path();
    fs::create_dir_all(dir.join("l/0123456789ab/deep/tree")).unwrap();
    fs::create_dir_all(dir.join("c").join(Id::random().as_str()).join("diff")).unwrap();
    fs::write(dir.join("tmp/0123456789ab.json"), "{").unwrap();
    let driver = lab.open();
    nothing_but(lab, 1, 1);
    assert_eq!((driver.layers(), driver.containers()), (vec![chain(1)], vec![id]));
}

fn lost_files(lab: &Lab) {
    let driver = lab.open();
    add(&*driver, 1, None, &[File("a", "")]);
    add(&*driver, 2, Some(1), &[File("b", "")]);
    add(&*driver, 3, None, &[File("c", "")]);
    drop(driver);
    // As when power fails after a removal: the record is back, the files are not.
    let record =
        fs::read_to_string(lab.path().join("layers").join(format!("{}.json", chain(1).hex()))).unwrap();
    let dir = record.split('"').nth(3).unwrap();
    fs::remove_dir_all(lab.path().join("l").join(dir)).unwrap();
    assert_eq!(lab.open().layers(), [chain(3)], "nor is what stood on it");
    nothing_but(lab, 1, 0);
}

fn record_path(lab: &Lab, number: usize) -> std::path::PathBuf {
    lab.path().join("layers").join(format!("{}.json", chain(number).hex()))
}

fn unreadable_record(lab: &Lab) {
    let driver = lab.open();
    add(&*driver, 1, None, &[File("a", "")]);
    add(&*driver, 2, Some(1), &[File("b", "")]);
    add(&*driver, 3, None, &[File("c", "")]);
    drop(driver);
    fs::write(record_path(lab, 1), "{\"dir\":").unwrap();
    assert_eq!(lab.open().layers(), [chain(3)], "nor is what stood on it");
    nothing_but(lab, 1, 0);
}

fn check_and_repair(lab: &Lab) {
    let driver = lab.open();
    for number in 1..=3 {
        add(&*driver, number, None, &[File("a", "")]);
    }
    let id = Id::random();
    driver.create_container(&id, Some(&chain(3))).unwrap();
    assert!(driver.check(true).unwrap().is_empty());
    let record = fs::read_to_string(record_path(lab, 1)).unwrap();
    fs::remove_dir_all(lab.path().join("l").join(record.split('"').nth(3).unwrap())).unwrap();
    fs::remove_file(record_path(lab, 2)).unwrap();
    fs::create_dir_all(lab.path().join("l/0123456789ab/deep")).unwrap();
    fs::create_dir_all(lab.path().join("c").join(Id::random().as_str())).unwrap();
    let found = driver.check(false).unwrap();
    let problems: BTreeSet<&str> = found.iter().map(|d| d.problem.as_str()).collect();
    let expect = ["its files are gone", "its record is gone or is not what was written", "nothing uses it"];
    assert_eq!((problems, found.len()), (BTreeSet::from(expect), 4));
    assert!(found.iter().all(|damage| damage.repair.is_none()));
    let repaired = driver.check(true).unwrap();
    assert!(repaired.len() == 4 && repaired.iter().all(|d| matches!(d.repair, Some(Ok(())))), "{repaired:?}");
    assert!(driver.check(false).unwrap().is_empty());
    assert!(!driver.layer_exists(&chain(1)));
    drop(driver);
    let reopened = lab.open();
    assert!(reopened.layer_exists(&chain(2)) && reopened.layer_exists(&chain(3)));
    nothing_but(lab, 2, 1);
}

fn check_while_working(lab: &Lab) {
    let driver = lab.open();
    std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            for number in 0..30 {
                add(&*driver, number, None, &[File("a", "")]);
                let id = Id::random();
                driver.create_container(&id, Some(&chain(number))).unwrap();
                driver.remove_container(&id).unwrap();
                driver.remove_layer(&chain(number)).unwrap();
            }
        });
        while !work.is_finished() {
            let found = driver.check(true).unwrap();
            assert!(found.is_empty(), "{found:?}");
        }
    });
    nothing_but(lab, 0, 0);
}

/// What [`victim`] reads: the driver's name and directory.
const VICTIM: &str = "LICHEN_TEST_VICTIM";

fn killed(lab: &Lab) {
    for round in 0..20 {
        let mut child = Command::new("/proc/self/exe")
            .args(["--exact", "conformance::crashes::victim", "--nocapture", "--include-ignored"])
            .env(VICTIM, format!("{}:{}", lab.driver_name, lab.path().display()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line.ends_with("ready")), "the victim did not start");
        // So far by its own account, and then somewhere into the next step.
        let mut seen: Vec<String> = lines.by_ref().take(round % 7).collect();
        assert_eq!(seen.len(), round % 7, "the victim ended by itself");
        std::thread::sleep(Duration::from_micros(round as u64 * 170));
        child.kill().unwrap();
        child.wait().unwrap();
        seen.extend(lines);
        let mut kept = BTreeSet::new();
        for line in seen {
            match line.split_once(' ') {
                Some(("committed", number)) => drop(kept.insert(number.parse::<usize>().unwrap())),
                Some(("removing", number)) => drop(kept.remove(&number.parse::<usize>().unwrap())),
                _ => {}
            }
        }
        check_whole(lab, &kept);
    }
}

/// Everything that was committed is there, and everything that is there is whole.
fn check_whole(lab: &Lab, kept: &BTreeSet<usize>) {
    let driver = lab.open();
    for number in kept {
        assert!(driver.layer_exists(&chain(*number)), "layer {number} was committed and is gone");
    }
    let expected = victim_entries();
    for layer in driver.layers() {
        let tree = mount(&driver.layer_rootfs(&layer).unwrap());
        for (path, content) in &expected {
            assert_eq!(&tree.read(path), content);
        }
    }
    for id in driver.containers() {
        drop(mount(&driver.rootfs(&id).unwrap()));
        driver.remove_container(&id).unwrap();
    }
    nothing_but(lab, driver.layers().len(), 0);
    for layer in driver.layers() {
        driver.remove_layer(&layer).unwrap();
    }
}

fn victim_entries() -> Vec<(String, String)> {
    (0..40).map(|n| (format!("d{}/f{n}", n % 7), "x".repeat(n * 100))).collect()
}

/// Makes and removes layers and containers until it is killed. Only run by [`killed`], which tells it where.
#[test]
#[ignore = "the child of another test"]
fn victim() {
    let target = std::env::var(VICTIM).expect("only run by `killed`");
    let (name, dir) = target.split_once(':').unwrap();
    let driver = crate::select::open_named(name, Path::new(dir));
    let expected = victim_entries();
    let files: Vec<Entry<'_>> = expected.iter().map(|(path, content)| File(path, content)).collect();
    let bytes = archive(&files);
    println!("ready");
    for number in 0.. {
        println!("unpacking {number}");
        add_archive(&*driver, number, None, &bytes).unwrap();
        println!("committed {number}");
        let id = Id::random();
        driver.create_container(&id, Some(&chain(number))).unwrap();
        driver.remove_container(&id).unwrap();
        if number % 2 == 0 {
            println!("removing {number}");
            driver.remove_layer(&chain(number)).unwrap();
        }
    }
}
