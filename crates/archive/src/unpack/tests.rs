use super::*;
use crate::{
    Error,
    support::{Tar, header, listing, options, unpack},
};
use std::{
    fs,
    os::{
        fd::AsFd,
        unix::fs::{MetadataExt, PermissionsExt, symlink},
    },
    path::Path,
};

mod differential;
mod hostile;

/// An empty directory to unpack into.
fn target() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn paths(root: &Path) -> Vec<String> {
    listing(root).into_keys().collect()
}

#[test]
fn later_entries_replace_earlier_ones() {
    testing::in_userns("unpack::tests::later_entries_replace_earlier_ones", || {
        let root = target();
        let archive = Tar::default()
            .file("a", "old")
            .file("a", "new")
            .dir("d")
            .file("d/x", "")
            .file("d", "a file now")
            .symlink("l", "a")
            .dir("l")
            .file("l/inside", "")
            .dir("kept")
            .file("kept/x", "")
            .dir("kept")
            .end();
        unpack(&archive, root.path(), &options(Whiteouts::Overlay)).unwrap();
        assert_eq!(paths(root.path()), ["a", "d", "kept", "kept/x", "l", "l/inside"]);
        assert_eq!(fs::read_to_string(root.path().join("a")).unwrap(), "new");
        assert!(fs::metadata(root.path().join("d")).unwrap().is_file());
    });
}

#[test]
fn sparse_files_have_holes_and_their_data_in_place() {
    testing::in_userns("unpack::tests::sparse_files_have_holes_and_their_data_in_place", || {
        let root = target();
        let pax =
            [("GNU.sparse.map", "0,3,1048576,2"), ("GNU.sparse.size", "2097152"), ("GNU.sparse.name", "s")];
        let archive = Tar::default().pax(&pax).file("GNUSparseFile.1/s", "abcde").file("after", "x").end();
        let contents = unpack(&archive, root.path(), &options(Whiteouts::Overlay)).unwrap();
        assert_eq!((contents.file_bytes, paths(root.path()).len()), (2_097_153, 2));
        let data = fs::read(root.path().join("s")).unwrap();
        assert_eq!(
            (data.len(), &data[..4], &data[1_048_575..1_048_579]),
            (2 << 20, &b"abc\0"[..], &b"\0de\0"[..])
        );
        assert!(fs::metadata(root.path().join("s")).unwrap().blocks() < 100, "the holes are holes");
    });
}

#[test]
fn capabilities_belong_to_the_namespace_and_overlay_marks_to_nobody() {
    testing::in_userns(
        "unpack::tests::capabilities_belong_to_the_namespace_and_overlay_marks_to_nobody",
        || {
            let root = target();
            // VFS_CAP_REVISION_2 and cap_net_raw, as setcap(8) writes them; here without bytes that UTF-8 forbids.
            let capability = "\u{1}\0\0\u{2}\0 \0\0\0\0\0\0\0\0\0\0\0\0\0\0";
            let archive = Tar::default()
                .pax(&[
                    ("SCHILY.xattr.security.capability", capability),
                    ("SCHILY.xattr.user.note", "n"),
                    ("SCHILY.xattr.user.overlay.redirect", "/etc"),
                    ("SCHILY.xattr.trusted.overlay.opaque", "y"),
                ])
                .raw(
                    &{
                        let mut header = header(b'0', "ping", "", 1);
                        header.set_uid(5);
                        header.set_mode(0o4755);
                        header.set_cksum();
                        header
                    },
                    b"x",
                )
                .end();
            let contents = unpack(&archive, root.path(), &options(Whiteouts::Overlay)).unwrap();
            assert_eq!(contents.skipped_xattrs, 1, "trusted.* needs privilege in the first namespace");
            let file = fs::File::open(root.path().join("ping")).unwrap();
            let xattr = |name: &str| crate::at::xattr(&file, name).unwrap();
            assert_eq!(xattr("security.capability").as_deref(), Some(capability.as_bytes()));
            assert_eq!(xattr("user.note").as_deref(), Some(&b"n"[..]));
            assert_eq!(xattr("user.overlay.redirect"), None);
            assert_eq!(xattr("user.overlay.overlay.redirect").as_deref(), Some(&b"/etc"[..]));
            assert_eq!(file.metadata().unwrap().mode() & 0o7777, 0o4755);
            let mut again = Vec::new();
            crate::pack::tree(fs::File::open(root.path()).unwrap().as_fd(), &mut again).unwrap();
            let copy = target();
            unpack(&again, copy.path(), &options(Whiteouts::Overlay)).unwrap();
            let file = fs::File::open(copy.path().join("ping")).unwrap();
            assert_eq!(
                crate::at::xattr(&file, "security.capability").unwrap().as_deref(),
                Some(capability.as_bytes())
            );
            assert!(crate::at::xattr(&file, "user.overlay.overlay.redirect").unwrap().is_some());
        },
    );
}

#[test]
fn unmapped_owners_are_refused_in_dockers_words() {
    testing::in_userns("unpack::tests::unmapped_owners_are_refused_in_dockers_words", || {
        for owner in [4_000_000_000u64, u64::from(u32::MAX)] {
            let root = target();
            let mut head = header(b'0', "f", "", 0);
            head.set_uid(owner);
            head.set_cksum();
            let archive = Tar::default().raw(&head, b"").end();
            let error = unpack(&archive, root.path(), &options(Whiteouts::Overlay)).unwrap_err().to_string();
            assert!(error.starts_with("lchown /f: invalid argument ("), "{error}");
        }
    });
}

#[test]
fn with_one_id_owners_are_recorded_and_given_back() {
    testing::as_user("unpack::tests::with_one_id_owners_are_recorded_and_given_back", || {
        let root = target();
        let owned = |flag, path, mode, uid: u64, gid: u64| {
            let mut header = header(flag, path, "", 0);
            header.set_mode(mode);
            header.set_uid(uid);
            header.set_gid(gid);
            header.set_cksum();
            header
        };
        let archive = Tar::default()
            .raw(&owned(b'5', "d", 0o750, 33, 44), b"")
            .raw(&owned(b'0', "d/f", 0o640, 1000, 100_000), b"")
            .raw(&owned(b'0', "mine", 0o600, 0, 0), b"")
            .end();
        let recorded = Options { ownership: Ownership::Recorded, ..options(Whiteouts::Overlay) };
        unpack(&archive, root.path(), &recorded).unwrap();
        let file = fs::File::open(root.path().join("d/f")).unwrap();
        assert_eq!(
            crate::at::xattr(&file, OVERRIDE_STAT).unwrap().as_deref(),
            Some(&b"1000:100000:0640"[..])
        );
        let mut out = Vec::new();
        crate::pack::tree(fs::File::open(root.path()).unwrap().as_fd(), &mut out).unwrap();
        let mut reader = Reader::new(&out[..], &Limits::default());
        let mut seen = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            seen.push((
                String::from_utf8(entry.path).unwrap(),
                entry.uid,
                entry.gid,
                entry.mode,
                entry.xattrs.len(),
            ));
        }
        let me = fs::metadata(root.path()).unwrap();
        let expect = [
            ("d/".to_owned(), 33, 44, 0o750, 0),
            ("d/f".to_owned(), 1000, 100_000, 0o640, 0),
            ("mine".to_owned(), me.uid(), me.gid(), 0o600, 0),
        ];
        assert_eq!(seen, expect);
    });
}

#[test]
fn devices_are_left_out_with_their_links() {
    testing::in_userns("unpack::tests::devices_are_left_out_with_their_links", || {
        let root = target();
        let device = |path, major, minor| {
            let mut header = header(b'3', path, "", 0);
            header.set_device_major(major).unwrap();
            header.set_device_minor(minor).unwrap();
            header.set_cksum();
            header
        };
        let archive = Tar::default()
            .raw(&device("null", 1, 3), b"")
            .raw(&device("looks-like-a-whiteout", 0, 0), b"")
            .link("again", "null")
            .file("f", "")
            .end();
        let contents = unpack(&archive, root.path(), &options(Whiteouts::Overlay)).unwrap();
        assert_eq!((contents.skipped_devices, paths(root.path())), (3, vec!["f".to_owned()]));
    });
}
