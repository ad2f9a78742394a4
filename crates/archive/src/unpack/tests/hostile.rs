//! Archives that want out, and where each known way is tried:
//!
//! | | What | Test |
//! |---|---|---|
//! | CVE-2026-17106 | names and links that lead out of the root | [`nothing_outside_the_root_is_ever_touched`] |
//! | CVE-2021-32760 | modes of files outside changed through links | the same: the canary's mode is compared too |
//! | CVE-2025-62518 | pax and header disagree about a size, and hide an entry | `read::tests::the_pax_size_is_the_size` |
//! | CVE-2026-32288 | a sparse map without end | `read::tests::a_sparse_map_without_end_is_not_read_to_it` |
//! | bombs | bytes, entries, depth, holes | [`bombs_stop_at_a_limit`], `read::tests::limits_are_named` |
//! | bombs | ratio of compression | `image`: `blob::tests::a_bomb_is_stopped` |
//!
//! Sparse maps that do not fit their file are in `read::tests::sparse_maps_must_fit_their_file`.

use super::*;

/// Unpacks below `jail/root`, where `jail` also holds what must not be touched, and tells what became of it. Whatever
/// the answer, nothing outside `root` may have changed.
fn escape(archive: &[u8], whiteouts: Whiteouts) -> Result<Vec<String>> {
    let jail = target();
    let (root, outside) = (jail.path().join("root"), jail.path().join("outside"));
    fs::create_dir(&root).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("canary"), "untouched").unwrap();
    fs::set_permissions(outside.join("canary"), PermissionsExt::from_mode(0o640)).unwrap();
    let before = listing(jail.path());
    let outcome = unpack(archive, &root, &options(whiteouts));
    let after = listing(jail.path());
    let others = |list: &std::collections::BTreeMap<String, String>| {
        list.iter()
            .filter(|(path, _)| !path.starts_with("root"))
            .map(|(p, w)| format!("{p} {w}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(others(&before), others(&after), "something outside the root changed");
    outcome.map(|_| paths(&root))
}

#[test]
fn nothing_outside_the_root_is_ever_touched() {
    testing::in_userns("unpack::tests::hostile::nothing_outside_the_root_is_ever_touched", || {
        let tar = Tar::default;
        let through = |target: &str| tar().symlink("l", target).file("l/canary", "owned").end();
        let corpus: Vec<(&str, Vec<u8>)> = vec![
            ("dot dot", tar().file("../outside/canary", "owned").end()),
            ("dot dot in the middle", tar().dir("a").file("a/../../outside/canary", "owned").end()),
            ("absolute", tar().file("/outside/canary", "owned").end()),
            ("through a relative link", through("../outside")),
            ("through an absolute link", through("/outside")),
            ("through a link to the root's parent", through("..")),
            (
                "through a chain",
                tar().symlink("a", "..").symlink("b", "a/outside").file("b/canary", "owned").end(),
            ),
            ("through procfs", tar().symlink("l", "/proc/self/cwd").file("l/canary", "owned").end()),
            ("hard link out", tar().link("h", "../outside/canary").file("h", "owned").end()),
            (
                "hard link through a link",
                tar().symlink("l", "../outside").link("h", "l/canary").file("h", "owned").end(),
            ),
            (
                "hard link to a link",
                tar().symlink("l", "../outside/canary").link("h", "l").file("h", "owned").end(),
            ),
            (
                "write through a link",
                tar().symlink("canary", "../outside/canary").file("canary", "owned").end(),
            ),
            (
                "directory over a link",
                tar().symlink("l", "../outside").dir("l").file("l/canary", "owned").end(),
            ),
            (
                "link over a directory",
                tar().dir("l").symlink("l", "../outside").file("l/canary", "owned").end(),
            ),
            ("the root as a link", tar().symlink("./", "../outside").file("canary", "owned").end()),
            ("the root as a file", tar().file("./", "owned").end()),
            ("whiteout of dot", tar().file(".wh..", "").end()),
            ("whiteout of dot dot", tar().file(".wh...", "").end()),
            ("whiteout of nothing", tar().file(".wh.", "").end()),
            ("whiteout through a link", tar().symlink("l", "../outside").file("l/.wh.canary", "").end()),
            ("opaque through a link", tar().symlink("l", "../outside").file("l/.wh..wh..opq", "").end()),
            ("long name out", tar().extension(b'L', b"../outside/canary\0").file("x", "owned").end()),
            ("pax path out", tar().pax(&[("path", "../outside/canary")]).file("x", "owned").end()),
            (
                "pax link out",
                tar().pax(&[("linkpath", "../outside/canary")]).link("h", "x").file("h", "owned").end(),
            ),
            (
                "sparse name out",
                tar()
                    .pax(&[
                        ("GNU.sparse.map", "0,1"),
                        ("GNU.sparse.size", "1"),
                        ("GNU.sparse.name", "../outside/canary"),
                    ])
                    .file("x", "o")
                    .end(),
            ),
            ("directory mode through a link", tar().symlink("l", "../outside").dir("l/").end()),
            (
                "times through a link",
                tar().dir("d").symlink("x", "../outside").link("d2", "x").symlink("d", "../outside").end(),
            ),
        ];
        for whiteouts in [Whiteouts::Overlay, Whiteouts::FuseOverlay, Whiteouts::Apply, Whiteouts::Literal] {
            for (name, archive) in &corpus {
                println!("{whiteouts:?}: {name}: {:?}", escape(archive, whiteouts));
            }
        }
        // Those that name a way out are refused; links that lead out lead, as in a container, to somewhere inside.
        for refused in [0, 1, 8, 14, 15, 16, 17, 18, 21, 22, 23, 24] {
            let (name, archive) = &corpus[refused];
            assert!(escape(archive, Whiteouts::Overlay).is_err(), "{name}");
        }
        assert_eq!(escape(&corpus[2].1, Whiteouts::Overlay).unwrap(), ["outside", "outside/canary"]);
        assert_eq!(escape(&corpus[4].1, Whiteouts::Overlay).unwrap(), ["l", "outside", "outside/canary"]);
    });
}

#[test]
fn links_in_circles_end() {
    testing::in_userns("unpack::tests::hostile::links_in_circles_end", || {
        let tar = Tar::default;
        for archive in [
            tar().symlink("a", "b").symlink("b", "a").file("a/f", "").end(),
            tar().symlink("a", "a").file("a/f", "").end(),
            tar().symlink("a", "a/b/c").file("a/f", "").end(),
            tar().link("a", "a").end(),
            tar().link("a", "b").link("b", "a").end(),
        ] {
            let root = target();
            assert!(unpack(&archive, root.path(), &options(Whiteouts::Overlay)).is_err());
        }
    });
}

#[test]
fn bombs_stop_at_a_limit() {
    testing::in_userns("unpack::tests::hostile::bombs_stop_at_a_limit", || {
        let limits = Limits { total_bytes: 1000, depth: 20, ..Limits::default() };
        let strict = |archive: &[u8]| {
            let root = target();
            let options = Options { limits: limits.clone(), ..options(Whiteouts::Overlay) };
            unpack(archive, root.path(), &options).unwrap_err().to_string()
        };
        let many = (0..30).fold(Tar::default(), |tar, n| tar.file(&format!("f{n}"), &"x".repeat(100)));
        assert!(strict(&many.end()).contains("1000 bytes of files"));
        let deep = Tar::default().file(&"d/".repeat(30), "").end();
        assert!(strict(&deep).contains("20 directories in a path"));
        // A hole of an exabyte is no file to keep.
        let pax = [("GNU.sparse.map", "0,1"), ("GNU.sparse.size", "1152921504606846976")];
        let hole = Tar::default().pax(&pax).file("s", "x").end();
        assert!(strict(&hole).contains("bytes in a file"));
    });
}

#[test]
fn a_tree_deeper_than_descriptors_is_removed() {
    let root = target();
    let dir = fs::File::open(root.path()).unwrap();
    let mut at = rustix::fs::openat(&dir, ".", rustix::fs::OFlags::DIRECTORY, 0.into()).unwrap();
    for _ in 0..3000 {
        rustix::fs::mkdirat(&at, "d", 0o700.into()).unwrap();
        at = rustix::fs::openat(&at, "d", rustix::fs::OFlags::DIRECTORY, 0.into()).unwrap();
    }
    fs::write(root.path().join("d/f"), "").unwrap();
    symlink("/", root.path().join("d/l")).unwrap();
    crate::at::remove_tree(dir.as_fd(), b"d").unwrap();
    assert!(paths(root.path()).is_empty());
}

#[test]
fn errors_name_the_path() {
    testing::in_userns("unpack::tests::hostile::errors_name_the_path", || {
        let root = target();
        let archive = Tar::default().file("f", "").file("f/x", "").end();
        let error = unpack(&archive, root.path(), &options(Whiteouts::Overlay)).unwrap_err();
        assert_eq!(error.to_string(), "mkdir f: not a directory");
        let no_dir = Options { overwrite_kinds: false, ..options(Whiteouts::Literal) };
        let archive = Tar::default().dir("f").end();
        let error = unpack(&archive, root.path(), &no_dir).unwrap_err();
        assert!(matches!(error, Error::Overwrite { directory: false, .. }), "{error}");
    });
}
