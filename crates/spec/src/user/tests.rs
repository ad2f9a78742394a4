use super::*;
use std::{os::fd::AsFd, path::Path};

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\nwww:x:33:33::/var/www:/bin/sh\nbig:x:4294967296:1::/:\n\
                      huge:x:4294967295:1::/:\n1000:x:7:7::/seven:\n";
const GROUP: &str = "root:x:0:\nwww:x:33:\nvideo:x:44:www,root\nwheel:x:10:www\n";

fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("etc")).unwrap();
    std::fs::write(dir.path().join("etc/passwd"), PASSWD).unwrap();
    std::fs::write(dir.path().join("etc/group"), GROUP).unwrap();
    dir
}

fn lookup(root: &Path, spec: &str, add: &[&str]) -> Result<ResolvedUser, String> {
    let add: Vec<String> = add.iter().map(|g| (*g).to_owned()).collect();
    let fd = File::open(root).unwrap();
    resolve(fd.as_fd(), spec, &add).map_err(|e| e.to_string())
}

fn check(spec: &str, uid: u32, gid: u32, additional: &[u32], home: &str) {
    let found = lookup(tree().path(), spec, &[]).unwrap();
    let expect = ResolvedUser { uid, gid, additional_gids: additional.to_vec(), home: home.to_owned() };
    assert_eq!(found, expect, "{spec:?}");
}

#[test]
fn users_are_found_by_name_and_number() {
    check("", 0, 0, &[44], "/root");
    check("www", 33, 33, &[10, 44], "/var/www");
    check("33", 33, 33, &[10, 44], "/var/www");
    check("www:video", 33, 44, &[], "/var/www");
    check("5000", 5000, 0, &[], "/");
    check("5000:6000", 5000, 6000, &[], "/");
    // A name that looks like a number is a name first, as in getpwnam.
    check("1000", 7, 7, &[], "/seven");
}

#[test]
fn further_groups_are_added_once() {
    let found = lookup(tree().path(), "www", &["video", "777", "33"]).unwrap();
    assert_eq!(found.additional_gids, [10, 44, 777]);
}

#[test]
fn what_is_not_there_is_named() {
    for (spec, expect) in [
        ("nobody", "unable to find user nobody: no matching entries in passwd file"),
        ("www:nope", "unable to find group nope: no matching entries in group file"),
        ("big", "unable to find user big: no matching entries in passwd file"),
        ("huge", "uids and gids must be in range 0-2147483647: huge"),
        ("4294967296", "uids and gids must be in range 0-2147483647: 4294967296"),
        ("2147483648:1", "uids and gids must be in range 0-2147483647: 2147483648"),
        ("-1", "unable to find user -1: no matching entries in passwd file"),
    ] {
        assert_eq!(lookup(tree().path(), spec, &[]).unwrap_err(), expect, "{spec}");
    }
}

#[test]
fn an_image_without_files_has_root() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(lookup(dir.path(), "", &[]).unwrap().uid, 0);
    assert!(lookup(dir.path(), "www", &[]).is_err());
}

#[test]
fn a_fifo_does_not_hang_the_lookup() {
    let dir = tree();
    let passwd = dir.path().join("etc/passwd");
    std::fs::remove_file(&passwd).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &passwd, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
    assert!(lookup(dir.path(), "www", &[]).unwrap_err().contains("not a regular file"));
}

#[test]
fn a_link_out_of_the_root_stays_inside() {
    let dir = tree();
    let passwd = dir.path().join("etc/passwd");
    std::fs::remove_file(&passwd).unwrap();
    std::os::unix::fs::symlink("/../../../../etc/other", &passwd).unwrap();
    std::fs::write(dir.path().join("etc/other"), "www:x:99:99::/:\n").unwrap();
    assert_eq!(lookup(dir.path(), "www", &[]).unwrap().uid, 99);
}
