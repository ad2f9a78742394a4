use super::*;
use std::sync::Arc;

#[test]
fn vfs_conforms() {
    testing::in_userns("vfs::tests::vfs_conforms", || {
        crate::conformance::run(NAME, |root| Arc::new(Vfs::open(root, Ownership::Archive).unwrap()));
    });
}
