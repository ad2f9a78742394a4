//! The images that tests load, made from Debian packages by `tests/images/make`.

use std::{path::PathBuf, process::Command};

/// Where the archives are kept between runs.
fn cache() -> PathBuf {
    std::env::var_os("LICHEN_TEST_CACHE")
        .map_or_else(|| "/var/tmp/lichen-tests".into(), PathBuf::from)
        .join("images")
}

/// The docker-archive of `name` (`busybox`, `alpine`, `hello-world`, `debian`), made when it is not there yet.
///
/// # Panics
/// When it cannot be made; the script says what is missing.
pub fn archive(name: &str) -> PathBuf {
    let path = cache().join(format!("{name}.tar"));
    if !path.exists() {
        let make = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/images/make");
        let status =
            Command::new(make).arg(cache()).arg(name).status().expect("run tests/images/make (python3)");
        assert!(status.success(), "tests/images/make {name}: {status}");
    }
    path
}
