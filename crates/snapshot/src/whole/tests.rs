use super::*;
use std::sync::Arc;

#[test]
fn vfs_conforms() {
    testing::in_userns("whole::tests::vfs_conforms", || {
        let open: crate::conformance::Open =
            |root| Arc::new(WholeTrees::open(root, Cloner::Copy, Ownership::Archive).unwrap());
        crate::conformance::run(VFS, open);
    });
}

fn with_snapshots(root: &Path) -> Arc<dyn Driver> {
    Arc::new(WholeTrees::open(root, Cloner::Snapshot, Ownership::Archive).unwrap())
}

#[test]
fn btrfs_conforms() {
    let file_system =
        testing::FileSystem { kind: "btrfs", megabytes: 512, options: "user_subvol_rm_allowed" };
    testing::in_userns_on(&file_system, "whole::tests::btrfs_conforms", || {
        crate::conformance::run(BTRFS, with_snapshots);
        let dir = tempfile::tempdir().unwrap();
        let quick = ("user_subvol_rm_allowed".to_owned(), "true".to_owned());
        assert!(with_snapshots(dir.path()).status().contains(&quick));
    });
}

#[test]
fn btrfs_conforms_where_subvolumes_go_file_by_file() {
    let test = "whole::tests::btrfs_conforms_where_subvolumes_go_file_by_file";
    let file_system = testing::FileSystem { kind: "btrfs", megabytes: 512, options: "relatime" };
    testing::in_userns_on(&file_system, test, || {
        crate::conformance::run(BTRFS, with_snapshots);
        let dir = tempfile::tempdir().unwrap();
        let quick = ("user_subvol_rm_allowed".to_owned(), "false".to_owned());
        assert!(with_snapshots(dir.path()).status().contains(&quick));
        assert!(matches!(probe_btrfs(dir.path()), Ok(Ok(()))));
    });
}

#[test]
fn with_one_id_layers_and_containers_keep_their_owners_on_record() {
    testing::as_user("whole::tests::with_one_id_layers_and_containers_keep_their_owners_on_record", || {
        use crate::conformance::lab::{Special, archive, chain};
        let dir = tempfile::tempdir().unwrap();
        let driver = WholeTrees::open(dir.path(), Cloner::Copy, Ownership::Recorded).unwrap();
        let mut staged = driver.begin_layer(None).unwrap();
        staged.unpack(&archive(&[Special("owned", 0o640, 1000)])[..], &archive::Limits::default()).unwrap();
        driver.commit_layer(staged, &chain(1)).unwrap();
        let id = Id::random();
        driver.create_container(&id, Some(&chain(1))).unwrap();
        let tree = driver.container_tree(&id).unwrap();
        let mut bytes = Vec::new();
        archive::pack::tree(tree.as_fd(), &mut bytes).unwrap();
        let mut tar = tar::Archive::new(&bytes[..]);
        let entry = tar.entries().unwrap().next().unwrap().unwrap();
        let header = entry.header();
        assert_eq!(
            (header.uid().unwrap(), header.gid().unwrap(), header.mode().unwrap()),
            (1000, 1000, 0o640)
        );
    });
}
