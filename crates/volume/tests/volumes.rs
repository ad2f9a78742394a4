//! What the engine relies on: names, holding, removal that survives being cut short, mounts.

use model::Id;
use std::{collections::BTreeMap, fs, path::Path};
use store::Store;
use volume::{ANONYMOUS_LABEL, Error, NewVolume, Volumes};

fn named(name: &str) -> NewVolume {
    NewVolume { name: name.into(), ..NewVolume::default() }
}

fn open(root: &Path) -> (Store, Volumes) {
    let store = Store::in_memory().unwrap();
    let volumes = Volumes::open(&store, root.join("volumes")).unwrap();
    (store, volumes)
}

#[test]
fn a_volume_is_made_once_and_keeps_its_labels() {
    let dir = tempfile::tempdir().unwrap();
    let (store, volumes) = open(dir.path());
    let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    let first = volumes.create(NewVolume { labels, ..named("data") }, None).unwrap();
    assert_eq!(volumes.create(named("data"), None).unwrap(), first);
    assert!(volumes.mountpoint("data").is_dir());

    drop(volumes);
    let again = Volumes::open(&store, dir.path().join("volumes")).unwrap();
    assert_eq!(again.list(), [first]);
}

#[test]
fn a_volume_without_a_name_is_anonymous() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, volumes) = open(dir.path());
    let volume = volumes.create(NewVolume::default(), None).unwrap();
    assert_eq!(volume.name.len(), 64);
    assert!(volume.is_anonymous());
    assert_eq!(volume.labels[ANONYMOUS_LABEL], "");
}

#[test]
fn refusals_are_worded_as_dockers() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, volumes) = open(dir.path());
    let text = |new| volumes.create(new, None).unwrap_err().to_string();
    assert_eq!(
        text(named("a/b")),
        "create a/b: \"a/b\" includes invalid characters for a local volume name, only \
         \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    );
    assert_eq!(
        text(NewVolume { driver: "nope".into(), ..named("xx") }),
        "create xx: error looking up volume plugin nope: plugin \"nope\" not found"
    );
    assert_eq!(volumes.get("xx").unwrap_err().to_string(), "get xx: no such volume");
    assert_eq!(
        fs::read_dir(dir.path().join("volumes")).unwrap().count(),
        0,
        "a refusal leaves nothing behind"
    );
}

#[test]
fn a_held_volume_cannot_be_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, volumes) = open(dir.path());
    let container = Id::random();
    volumes.create(named("data"), Some(&container)).unwrap();
    let refused = volumes.remove("data").unwrap_err();
    assert_eq!(refused.to_string(), format!("remove data: volume is in use - [{container}]"));

    volumes.release("data", &container);
    volumes.remove("data").unwrap();
    assert!(matches!(volumes.remove("data"), Err(Error::NotFound { .. })));
    assert!(matches!(volumes.hold("data", &container), Err(Error::NotFound { .. })));
}

#[test]
fn a_removal_cut_short_is_completed() {
    let dir = tempfile::tempdir().unwrap();
    let (store, volumes) = open(dir.path());
    volumes.create(named("data"), None).unwrap();
    fs::write(volumes.mountpoint("data").join("file"), "x").unwrap();
    drop(volumes);
    let root = dir.path().join("volumes");
    fs::rename(root.join("data"), root.join(".removed-1")).unwrap();

    let volumes = Volumes::open(&store, &root).unwrap();
    assert!(volumes.list().is_empty());
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
}

#[test]
fn data_without_a_record_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, volumes) = open(dir.path());
    volumes.create(named("data"), None).unwrap();
    fs::write(volumes.mountpoint("data").join("file"), "precious").unwrap();
    drop(volumes);

    let (_other_store, volumes) = open(dir.path());
    assert_eq!(volumes.get("data").unwrap().name, "data");
    assert_eq!(fs::read(volumes.mountpoint("data").join("file")).unwrap(), b"precious");
}

#[test]
fn removal_does_not_follow_symlinks() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, volumes) = open(dir.path());
    let canary = dir.path().join("canary");
    fs::create_dir(&canary).unwrap();
    fs::write(canary.join("file"), "alive").unwrap();
    volumes.create(named("data"), None).unwrap();
    std::os::unix::fs::symlink(&canary, volumes.mountpoint("data").join("link")).unwrap();
    volumes.remove("data").unwrap();
    assert_eq!(fs::read(canary.join("file")).unwrap(), b"alive");
}

#[test]
fn hard_links_count_once() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, volumes) = open(dir.path());
    volumes.create(named("data"), None).unwrap();
    let data = volumes.mountpoint("data");
    fs::create_dir(data.join("sub")).unwrap();
    fs::write(data.join("a"), [0; 100]).unwrap();
    fs::hard_link(data.join("a"), data.join("sub/b")).unwrap();
    assert_eq!(volumes.size("data").unwrap(), Some(100));
}

#[test]
fn options_are_mounted_while_used() {
    testing::in_userns("options_are_mounted_while_used", || {
        let dir = tempfile::tempdir().unwrap();
        let (_store, volumes) = open(dir.path());
        let pairs = [("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=64k,mode=0700")];
        let options = pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        volumes.create(NewVolume { options, ..named("scratch") }, None).unwrap();
        let (one, two) = (Id::random(), Id::random());

        let path = volumes.mount("scratch", &one).unwrap();
        fs::write(path.join("file"), "x").unwrap();
        volumes.mount("scratch", &two).unwrap();
        volumes.unmount("scratch", &one).unwrap();
        assert!(path.join("file").exists(), "the second container still uses it");
        volumes.unmount("scratch", &two).unwrap();
        assert!(!path.join("file").exists(), "the tmpfs is gone");
        volumes.remove("scratch").unwrap();
    });
}

#[test]
fn what_needs_root_says_so() {
    testing::in_userns("what_needs_root_says_so", || {
        let dir = tempfile::tempdir().unwrap();
        let (_store, volumes) = open(dir.path());
        let options =
            [("type", "ext4"), ("device", "/dev/null")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        volumes.create(NewVolume { options, ..named("disk") }, None).unwrap();
        let text = volumes.mount("disk", &Id::random()).unwrap_err().to_string();
        assert!(text.starts_with("failed to mount local volume: mount /dev/null:"), "{text}");
        assert!(text.contains("operation not permitted (file systems of type ext4 cannot"), "{text}");
    });
}
