use super::*;
use std::sync::Arc;

#[test]
fn vfs_conforms() {
    testing::in_userns("vfs::tests::vfs_conforms", || {
        crate::conformance::run(NAME, |root| Arc::new(Vfs::open(root, Ownership::Archive).unwrap()));
    });
}

#[test]
fn with_one_id_layers_and_containers_keep_their_owners_on_record() {
    testing::as_user("vfs::tests::with_one_id_layers_and_containers_keep_their_owners_on_record", || {
        use crate::conformance::lab::{Special, archive, chain};
        let dir = tempfile::tempdir().unwrap();
        let driver = Vfs::open(dir.path(), Ownership::Recorded).unwrap();
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
