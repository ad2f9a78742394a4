use super::*;
use std::sync::Arc;

fn with_kernel(root: &Path) -> Arc<dyn Driver> {
    Arc::new(Overlays::open(root, Mounter::Kernel, Ownership::Archive).unwrap())
}

fn with_fuse(root: &Path) -> Arc<dyn Driver> {
    Arc::new(Overlays::open(root, fuse_program().unwrap(), Ownership::Archive).unwrap())
}

#[test]
fn overlay2_conforms() {
    testing::in_userns("overlay::tests::overlay2_conforms", || crate::conformance::run(KERNEL, with_kernel));
}

#[test]
fn fuse_overlayfs_conforms() {
    testing::in_userns("overlay::tests::fuse_overlayfs_conforms", || {
        crate::conformance::run(FUSE, with_fuse);
    });
}

/// As in a container without a volume for the data root: no whiteout devices there.
#[test]
fn fuse_overlayfs_conforms_on_an_overlay() {
    testing::in_userns("overlay::tests::fuse_overlayfs_conforms_on_an_overlay", || {
        let dir = tempfile::tempdir().unwrap();
        let place = crate::conformance::lab::mount_overlay(dir.path());
        crate::conformance::run_below(&place, FUSE, with_fuse);
        sys::mount::detach(&place).unwrap();
    });
}
