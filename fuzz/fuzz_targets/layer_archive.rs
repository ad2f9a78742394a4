//! Layer blobs, plain and compressed, into a directory beside which nothing may appear.
#![no_main]

use archive::{
    Limits,
    unpack::{self, Options, Ownership},
    whiteout::Whiteouts,
};
use libfuzzer_sys::fuzz_target;
use std::{fs, os::fd::AsFd};

fuzz_target!(|blob: &[u8]| {
    let jail = tempfile::tempdir().expect("a directory to unpack into");
    let root = jail.path().join("root");
    fs::create_dir(&root).expect("mkdir");
    let options = Options {
        whiteouts: Whiteouts::Overlay,
        ownership: Ownership::Recorded,
        overwrite_kinds: true,
        limits: Limits {
            total_bytes: 1 << 20,
            file_bytes: 1 << 24,
            ratio_free_bytes: 1 << 20,
            ..Limits::default()
        },
        below: None,
    };
    let opened = fs::File::open(&root).expect("open");
    drop(unpack::layer(blob, opened.as_fd(), &options));
    assert_eq!(fs::read_dir(jail.path()).expect("readdir").count(), 1, "something was made beside the root");
});
