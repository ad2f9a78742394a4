//! What GNU tar makes of the same trees and archives: hard and symbolic links, sparse files of every format, pax records,
//! long names, extended attributes, owners, modes, times, and pipes. Devices cannot be made without privileges, so of these
//! only what GNU tar writes is read.

use super::*;
use proptest::prelude::*;
use std::process::Command;

fn gnu_tar(args: &[&str], dir: &Path) {
    let status = Command::new("tar").args(args).current_dir(dir).status().expect("GNU tar is installed");
    assert!(status.success(), "tar {args:?}: {status}");
}

/// A tree with everything an unprivileged user can make.
fn furnish(root: &Path) {
    let long = format!("{}/{}", "long-directory-name-".repeat(8), "long-file-name-".repeat(10));
    fs::create_dir_all(root.join("a/b/c")).unwrap();
    fs::create_dir_all(root.join(&long).parent().unwrap()).unwrap();
    for (path, content) in [
        ("a/empty", String::new()),
        ("a/b/text", "x".repeat(100_000)),
        (&long, "long".into()),
        ("Ünïcödé ☃", "snow".into()),
        ("-dash", "".into()),
        (" space \n", "".into()),
    ] {
        fs::write(root.join(path), content).unwrap();
    }
    let mut sparse = fs::File::create(root.join("sparse")).unwrap();
    for at in [0u64, 1 << 20, 5 << 20] {
        std::os::unix::fs::FileExt::write_all_at(&sparse, &[7; 5000], at).unwrap();
    }
    sparse.set_len(9 << 20).unwrap();
    std::io::Write::flush(&mut sparse).unwrap();
    fs::hard_link(root.join("a/b/text"), root.join("z-link")).unwrap();
    symlink(&long, root.join("a/long-symlink")).unwrap();
    symlink("nowhere/../at all", root.join("dangling")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, root.join("fifo"), rustix::fs::FileType::Fifo, 0o640.into(), 0)
        .unwrap();
    for (path, mode, owner) in
        [("a/empty", 0o4755, 0), ("a/b", 0o3770, 12), ("-dash", 0o400, 65_000), (" space \n", 0, 1)]
    {
        std::os::unix::fs::chown(root.join(path), Some(owner), Some(owner)).unwrap();
        fs::set_permissions(root.join(path), PermissionsExt::from_mode(mode)).unwrap();
    }
    for path in ["a/b/text", "a/b/c"] {
        let file = fs::File::open(root.join(path)).unwrap();
        rustix::fs::fsetxattr(&file, "user.note", b"a\0b\n=c", rustix::fs::XattrFlags::empty()).unwrap();
    }
    for path in ["a/empty", "a/b/text", "a/b/c"] {
        let file = fs::File::open(root.join(path)).unwrap();
        let old = rustix::fs::Timespec { tv_sec: -86_400, tv_nsec: 0 };
        rustix::fs::futimens(&file, &rustix::fs::Timestamps { last_access: old, last_modification: old })
            .unwrap();
    }
}

fn directory_times(root: &Path) -> Vec<(String, i64)> {
    let all = listing(root).into_keys();
    all.filter_map(|path| {
        let metadata = fs::symlink_metadata(root.join(&path)).unwrap();
        metadata.is_dir().then(|| (path, metadata.mtime()))
    })
    .collect()
}

fn notes(root: &Path) -> Vec<(String, Vec<u8>)> {
    let note = |path: String| {
        let mut value = vec![0; 64];
        let length = rustix::fs::lgetxattr(root.join(&path), "user.note", &mut value[..]).ok()?;
        value.truncate(length);
        Some((path, value))
    };
    listing(root).into_keys().filter_map(note).collect()
}

#[test]
fn extended_attributes_are_those_that_gnu_tar_has() {
    testing::in_userns("unpack::tests::differential::extended_attributes_are_those_that_gnu_tar_has", || {
        let work = target();
        let (source, ours) = (work.path().join("source"), work.path().join("ours"));
        let (theirs, packed) = (work.path().join("theirs"), work.path().join("packed.tar"));
        for dir in [&source, &ours, &theirs] {
            fs::create_dir(dir).unwrap();
        }
        furnish(&source);
        assert_eq!(notes(&source).len(), 3, "a file, its other name, and a directory");
        gnu_tar(&["--xattrs", "-C", "source", "-cf", "archive.tar", "."], work.path());
        let archive = fs::read(work.path().join("archive.tar")).unwrap();
        unpack(&archive, &ours, &options(Whiteouts::Overlay)).unwrap();
        assert_eq!(notes(&ours), notes(&source));
        let mut bytes = Vec::new();
        crate::pack::tree(fs::File::open(&source).unwrap().as_fd(), &mut bytes).unwrap();
        fs::write(packed, &bytes).unwrap();
        gnu_tar(&["--xattrs", "--xattrs-include=user.*", "-C", "theirs", "-xpf", "packed.tar"], work.path());
        assert_eq!(notes(&theirs), notes(&source));
    });
}

#[test]
fn devices_are_read_as_gnu_tar_writes_them() {
    let work = target();
    for format in ["--format=gnu", "--format=posix", "--format=ustar"] {
        gnu_tar(&[format, "-C", "/dev", "-cf", "archive.tar", "null", "random"], work.path());
        let archive = fs::read(work.path().join("archive.tar")).unwrap();
        let mut reader = crate::read::Reader::new(&archive[..], &crate::Limits::default());
        for (path, minor) in [("null", 3), ("random", 8)] {
            let entry = reader.next_entry().unwrap().unwrap();
            assert_eq!((entry.kind, &*entry.path), (crate::read::Kind::CharDevice, path.as_bytes()));
            assert_eq!(entry.device, (1, minor), "{format}");
        }
        assert!(reader.next_entry().unwrap().is_none());
    }
}

#[test]
fn gnu_tars_archives_unpack_as_gnu_tar_unpacks_them() {
    testing::in_userns(
        "unpack::tests::differential::gnu_tars_archives_unpack_as_gnu_tar_unpacks_them",
        || {
            let work = target();
            let source = work.path().join("source");
            fs::create_dir(&source).unwrap();
            furnish(&source);
            let formats: [&[&str]; 6] = [
                &["--format=gnu"],
                &["--format=gnu", "--sparse"],
                &["--format=posix"],
                &["--format=posix", "--sparse", "--sparse-version=0.0"],
                &["--format=posix", "--sparse", "--sparse-version=0.1"],
                &["--format=posix", "--sparse", "--sparse-version=1.0"],
            ];
            for format in formats {
                let archive = work.path().join("archive.tar");
                let (theirs, ours) = (work.path().join("theirs"), work.path().join("ours"));
                fs::create_dir(&theirs).unwrap();
                fs::create_dir(&ours).unwrap();
                let create = [format, &["-C", "source", "-cf", "archive.tar", "."]].concat();
                gnu_tar(&create, work.path());
                gnu_tar(&["-C", "theirs", "-xpf", "archive.tar", "--same-owner"], work.path());
                unpack(&fs::read(&archive).unwrap(), &ours, &options(Whiteouts::Overlay)).unwrap();
                assert!(listing(&theirs) == listing(&ours), "{format:?}");
                assert_eq!(directory_times(&theirs), directory_times(&ours), "{format:?}");
                fs::remove_dir_all(&theirs).unwrap();
                fs::remove_dir_all(&ours).unwrap();
            }
        },
    );
}

#[test]
fn our_archives_unpack_with_gnu_tar_to_the_same_tree() {
    testing::in_userns(
        "unpack::tests::differential::our_archives_unpack_with_gnu_tar_to_the_same_tree",
        || {
            let work = target();
            let (source, theirs) = (work.path().join("source"), work.path().join("theirs"));
            fs::create_dir(&source).unwrap();
            fs::create_dir(&theirs).unwrap();
            furnish(&source);
            let mut bytes = Vec::new();
            crate::pack::tree(fs::File::open(&source).unwrap().as_fd(), &mut bytes).unwrap();
            fs::write(work.path().join("archive.tar"), &bytes).unwrap();
            gnu_tar(&["-C", "theirs", "-xpf", "archive.tar", "--same-owner"], work.path());
            assert!(listing(&source) == listing(&theirs));
            assert_eq!(directory_times(&source), directory_times(&theirs));
        },
    );
}

/// A file of a made-up tree.
#[derive(Debug, Clone)]
enum Node {
    File(Vec<u8>, u32, u32),
    Dir(u32),
    Link(String),
    Same(usize),
}

fn tree() -> impl Strategy<Value = Vec<(String, Node)>> {
    let name = prop_oneof!["[a-c]{1,2}", "[ -.0-~é☃]{1,60}", "[x-z]{90,110}"];
    let path = proptest::collection::vec(name, 1..5).prop_map(|parts| parts.join("/"));
    let mode = 0u32..0o10000;
    let node = prop_oneof![
        (proptest::collection::vec(any::<u8>(), 0..2000), mode.clone(), 0u32..60_000)
            .prop_map(|(data, mode, owner)| Node::File(data, mode, owner)),
        mode.prop_map(Node::Dir),
        "[a-z/.]{1,150}".prop_map(Node::Link),
        (0usize..20).prop_map(Node::Same),
    ];
    proptest::collection::vec((path, node), 0..25)
}

/// Makes what can be made of it: paths may clash.
fn plant(root: &Path, nodes: &[(String, Node)]) {
    let mut files = Vec::new();
    for (path, node) in nodes {
        let at = root.join(path.trim_start_matches('/'));
        if path.split('/').any(|part| part == "..")
            || fs::create_dir_all(at.parent().unwrap()).is_err()
            || fs::symlink_metadata(&at).is_ok()
        {
            continue;
        }
        let made = match node {
            Node::File(data, mode, owner) => fs::write(&at, data).map(|()| {
                std::os::unix::fs::chown(&at, Some(*owner), Some(*owner / 2)).unwrap();
                fs::set_permissions(&at, PermissionsExt::from_mode(*mode)).unwrap();
                files.push(at.clone());
            }),
            Node::Dir(mode) => fs::create_dir(&at)
                .map(|()| fs::set_permissions(&at, PermissionsExt::from_mode(*mode)).unwrap()),
            Node::Link(target) => symlink(target, &at),
            Node::Same(which) => files.get(*which).map_or(Ok(()), |file| fs::hard_link(file, &at)),
        };
        drop(made); // A name that is too long, or a directory named like a file.
    }
}

#[test]
fn what_is_packed_is_what_is_unpacked() {
    testing::in_userns("unpack::tests::differential::what_is_packed_is_what_is_unpacked", || {
        let config = ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() };
        proptest!(config, |(nodes in tree())| {
            let (source, copy) = (target(), target());
            plant(source.path(), &nodes);
            let pack = |from: &Path| {
                let mut bytes = Vec::new();
                crate::pack::tree(fs::File::open(from).unwrap().as_fd(), &mut bytes).unwrap();
                bytes
            };
            let bytes = pack(source.path());
            unpack(&bytes, copy.path(), &options(Whiteouts::Literal)).unwrap();
            prop_assert_eq!(listing(source.path()), listing(copy.path()));
            prop_assert!(pack(copy.path()) == bytes, "packing is deterministic");
        });
    });
}

#[test]
fn a_damaged_archive_is_an_error_or_another_tree_but_never_a_panic() {
    testing::in_userns(
        "unpack::tests::differential::a_damaged_archive_is_an_error_or_another_tree_but_never_a_panic",
        || {
            let whole = Tar::default()
                .pax(&[("path", "p"), ("size", "3"), ("mtime", "1.5")])
                .file("f", "abc")
                .extension(b'L', b"long\0")
                .link("h", "p")
                .dir("d")
                .symlink("d/s", "..")
                .file("d/.wh.x", "")
                .end();
            let config =
                ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
            proptest!(config, |(at in 0..whole.len() - 1024, byte: u8, repair: bool)| {
                let mut bytes = whole.clone();
                bytes[at] = byte;
                if repair {
                    let block = at / 512 * 512;
                    let header = tar::Header::from_byte_slice(&bytes[block..block + 512]);
                    let mut header = header.clone();
                    header.set_cksum();
                    bytes[block..block + 512].copy_from_slice(header.as_bytes());
                }
                let root = target();
                drop(unpack(&bytes, root.path(), &options(Whiteouts::Overlay)));
            });
        },
    );
}
