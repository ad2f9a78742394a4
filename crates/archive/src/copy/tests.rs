use super::*;
use crate::{read::Reader, support::Tar};
use std::{
    fs,
    os::unix::fs::symlink,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

/// A container's root with a directory, a file, and links that mean other things inside than outside.
fn root() -> (tempfile::TempDir, fs::File) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("data/sub")).unwrap();
    fs::write(dir.path().join("data/file"), "content").unwrap();
    symlink("/data", dir.path().join("abs")).unwrap();
    symlink("../../../data/file", dir.path().join("data/up")).unwrap();
    symlink("missing/x", dir.path().join("dangling")).unwrap();
    let root = fs::File::open(dir.path()).unwrap();
    (dir, root)
}

fn names(resource: &Resource) -> Vec<String> {
    let mut bytes = Vec::new();
    resource.write_archive(&mut bytes).unwrap();
    let mut reader = Reader::new(&bytes[..], &Limits::default());
    let mut names = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        names.push(String::from_utf8(entry.path).unwrap());
    }
    names
}

#[test]
fn a_path_is_seen_as_the_container_sees_it() {
    let (_dir, root) = root();
    let check = |path: &str, name: &str, link: &str, entries: &[&str]| {
        let resource = open(root.as_fd(), Path::new(path)).unwrap();
        assert_eq!(resource.stat().name, Path::new(name), "{path}");
        assert_eq!(resource.stat().link_target, Path::new(link), "{path}");
        assert_eq!(names(&resource), entries, "{path}");
    };
    check("/data/file", "file", "", &["file"]);
    check("data", "data", "", &["data/", "data/file", "data/sub/", "data/up"]);
    check("/data/", "data", "", &["data/", "data/file", "data/sub/", "data/up"]);
    check("/abs", "abs", "/data", &["abs"]);
    check("/abs/", "abs", "", &["abs/", "abs/file", "abs/sub/", "abs/up"]);
    check("/abs/.", "abs", "", &["abs/", "abs/file", "abs/sub/", "abs/up"]);
    check("/abs/file", "file", "", &["file"]);
    check("/abs/up", "up", "/data/file", &["up"]);
    check("/dangling", "dangling", "/missing/x", &["dangling"]);
    check("/../../data/./sub/../file", "file", "", &["file"]);
    check("/", "/", "", &["/", "/abs", "/dangling", "/data/", "/data/file", "/data/sub/", "/data/up"]);
}

#[test]
fn what_is_not_there_is_not_found() {
    let (_dir, root) = root();
    for path in ["/nothing", "/nothing/", "/dangling/", "/data/file/x", "/dangling/y"] {
        let error = open(root.as_fd(), Path::new(path)).err().unwrap();
        let put =
            put(root.as_fd(), Path::new(path), &b""[..], PutOptions { overwrite_kinds: true, owner: None });
        assert!(!put.unwrap_err().to_string().is_empty());
        if path != "/data/file/x" {
            assert_eq!(error.kind(), model::ErrorKind::NotFound, "{path}: {error}");
        }
    }
}

#[test]
fn modes_are_gos() {
    let check = |mode: u32, go: u32| {
        let stat = PathStat { name: "".into(), size: 0, mode, mtime: (0, 0), link_target: "".into() };
        assert_eq!(stat.go_mode(), go, "{mode:o}");
    };
    check(0o100_644, 0o644);
    check(0o040_755, 0x8000_0000 | 0o755);
    check(0o120_777, 0x0800_0000 | 0o777);
    check(0o104_755, 0x0080_0000 | 0o755);
    check(0o041_777, 0x8010_0000 | 0o777);
    check(0o020_666, 0x0420_0000 | 0o666);
    check(0o010_600, 0x0200_0000 | 0o600);
}

fn mine() -> PutOptions {
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    PutOptions { overwrite_kinds: true, owner: Some((ContainerUid(uid), ContainerGid(gid))) }
}

#[test]
fn putting_goes_through_links_and_stays_inside() {
    let (dir, root) = root();
    let archive = Tar::default().file("new", "1").file(".wh.file", "just a name").symlink("l", "/").end();
    put(root.as_fd(), Path::new("/abs"), &archive[..], mine()).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("data/new")).unwrap(), "1");
    assert_eq!(fs::read_to_string(dir.path().join("data/.wh.file")).unwrap(), "just a name");
    assert_eq!(fs::read_to_string(dir.path().join("data/file")).unwrap(), "content");
    let through = Tar::default().file("l/at-the-root", "2").end();
    put(root.as_fd(), Path::new("/data"), &through[..], mine()).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("at-the-root")).unwrap(), "2");
    let not_a_directory = put(root.as_fd(), Path::new("/data/file"), &archive[..], mine()).unwrap_err();
    assert_eq!(not_a_directory.to_string(), "extraction point is not a directory");
}

#[test]
fn directories_and_files_change_places_only_when_they_may() {
    let (dir, root) = root();
    let strict = PutOptions { overwrite_kinds: false, ..mine() };
    let over_dir = Tar::default().file("sub", "x").end();
    let error = put(root.as_fd(), Path::new("/data"), &over_dir[..], strict).unwrap_err();
    assert_eq!(error.to_string(), r#"cannot overwrite directory "/data/sub" with non-directory "/data""#);
    assert_eq!(error.kind(), model::ErrorKind::InvalidParameter);
    let over_file = Tar::default().dir("file").end();
    let error = put(root.as_fd(), Path::new("/data"), &over_file[..], strict).unwrap_err();
    assert_eq!(error.to_string(), r#"cannot overwrite non-directory "/data/file" with directory "/data""#);
    put(root.as_fd(), Path::new("/data"), &over_dir[..], mine()).unwrap();
    assert!(fs::metadata(dir.path().join("data/sub")).unwrap().is_file());
}

/// CVE-2018-15664: a container swaps a directory for a link to the host while files are copied.
#[test]
fn a_swap_race_leads_nowhere() {
    let host = tempfile::tempdir().unwrap();
    fs::write(host.path().join("secret"), "host").unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("stash")).unwrap();
    fs::write(dir.path().join("stash/secret"), "container").unwrap();
    symlink(host.path(), dir.path().join("bait")).unwrap();
    let root = fs::File::open(dir.path()).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let exchange = rustix::fs::RenameFlags::EXCHANGE;
                rustix::fs::renameat_with(&root, "stash", &root, "bait", exchange).unwrap();
            }
        });
        let (mut seen, mut written, mut rounds) = (0, 0, 0);
        let started = Instant::now();
        // On a busy machine the other thread may rest for long with the link in the directory's place.
        while rounds < 5000 || ((seen == 0 || written == 0) && started.elapsed() < Duration::from_secs(30)) {
            rounds += 1;
            if let Ok(resource) = open(root.as_fd(), Path::new("/stash/secret")) {
                let mut bytes = Vec::new();
                resource.write_archive(&mut bytes).unwrap();
                assert!(!bytes.windows(4).any(|w| w == b"host"), "a file of the host was read");
                seen += usize::from(bytes.windows(9).any(|w| w == b"container"));
            }
            let archive = Tar::default().file("planted", "x").end();
            written += usize::from(put(root.as_fd(), Path::new("/stash"), &archive[..], mine()).is_ok());
        }
        stop.store(true, Ordering::Relaxed);
        assert!(seen > 0 && written > 0, "the race was never won by the container's own file");
    });
    assert!(!host.path().join("planted").exists(), "a file of the host was written");
}
