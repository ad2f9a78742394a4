use super::*;
use std::sync::Arc;

#[test]
fn overlay2_conforms() {
    testing::in_userns("overlay2::tests::overlay2_conforms", || {
        crate::conformance::run(NAME, |root| Arc::new(Overlay2::open(root, Ownership::Archive).unwrap()));
    });
}
