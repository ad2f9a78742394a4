use super::*;

fn layout(root: &Path) -> DataLayout {
    DataLayout::new(root)
}

fn error(layout: &DataLayout, forced: Option<&str>) -> String {
    open(layout, forced).map(|selected| selected.driver.name()).expect_err("refused").to_string()
}

#[test]
fn the_fastest_driver_that_works_is_taken() {
    testing::in_userns("select::tests::the_fastest_driver_that_works_is_taken", || {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("made/when/absent");
        let selected = open(&layout(&root), None).unwrap();
        assert_eq!((selected.driver.name(), selected.warnings.len()), ("overlay2", 0));
        let status = selected.driver.status();
        assert!(status.contains(&("Supports d_type".into(), "true".into())), "{status:?}");
        let left: Vec<_> = std::fs::read_dir(&root).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["overlay2"], "probes leave nothing");
        assert_eq!(open(&layout(&root), Some("vfs")).unwrap().driver.name(), "vfs");
        std::fs::write(root.join("vfs/layers/x"), "").unwrap();
        let [warning] = &open(&layout(&root), None).unwrap().warnings[..] else { panic!("one warning") };
        assert!(warning.contains("storage driver vfs are in") && warning.contains("not shown"), "{warning}");
        let unknown = error(&layout(&root), Some("zfs"));
        assert_eq!(
            unknown,
            "storage driver zfs: there is no such driver; Lichen has overlay2, fuse-overlayfs, btrfs, vfs"
        );
    });
}

#[test]
fn a_slower_driver_is_never_taken_silently() {
    testing::in_userns("select::tests::a_slower_driver_is_never_taken_silently", || {
        // The kernel takes no overlay as the upper layer of another.
        let dir = tempfile::tempdir().unwrap();
        let root = crate::conformance::lab::mount_overlay(dir.path());
        let selected = open(&layout(&root), None).unwrap();
        assert_eq!(selected.driver.name(), "fuse-overlayfs");
        let [warning] = &selected.warnings[..] else { panic!("{:?}", selected.warnings) };
        assert!(warning.starts_with("WARNING: storage driver overlay2 cannot be used ("), "{warning}");
        assert!(warning.contains("an overlay cannot be the upper layer of another"), "{warning}");
        let forced = error(&layout(&root), Some("overlay2"));
        assert!(forced.starts_with("storage driver overlay2: "), "{forced}");
        let forced = error(&layout(&root), Some("btrfs"));
        assert_eq!(forced, "storage driver btrfs: the data root is not on btrfs but on overlayfs");
        sys::mount::detach(&root).unwrap();
    });
}

#[test]
fn a_data_root_that_keeps_no_owners_is_refused() {
    // Outside a namespace that maps them, nobody but root can give files away, as on NFS.
    testing::as_user("select::tests::a_data_root_that_keeps_no_owners_is_refused", || {
        let dir = tempfile::tempdir().unwrap();
        let refused = error(&layout(dir.path()), None);
        assert!(refused.contains("lchown to ") && refused.contains("operation not permitted"), "{refused}");
        assert!(refused.contains("\"data-root\""), "{refused}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "the probe leaves nothing");
    });
}
