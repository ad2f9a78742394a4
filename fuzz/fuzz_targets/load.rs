//! Any archive is loaded or refused with one line; a refused one leaves no image, and nothing is made outside the
//! store. Run it as an unprivileged user: owners in the archive are then refused instead of obeyed.
#![no_main]

use image::{ImageStore, LoadOptions, Progress, RegistryConfig};
use libfuzzer_sys::fuzz_target;
use std::{io::Cursor, sync::LazyLock};

struct Lab {
    images: ImageStore,
    runtime: tokio::runtime::Runtime,
    _dir: tempfile::TempDir,
}

static LAB: LazyLock<Lab> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let layout = model::DataLayout::new(dir.path());
    let driver = snapshot::open(&layout, Some("vfs")).expect("vfs works anywhere").driver;
    let records = store::Store::open(layout.database()).expect("a database");
    let images =
        ImageStore::open(records, &layout, driver, RegistryConfig::default()).expect("an image store");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    Lab { images, runtime, _dir: dir }
});

fuzz_target!(|archive: &[u8]| {
    let lab = &*LAB;
    let loading = lab.images.load(Cursor::new(archive.to_vec()), LoadOptions::default(), Progress::none());
    if let Err(error) = lab.runtime.block_on(loading) {
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    let all = image::ListFilter { dangling: Some(false), ..Default::default() };
    lab.images.prune(&all, &Vec::new).expect("images without containers can go");
    lab.images.collect_garbage(&Vec::new).expect("garbage can go");
    assert_eq!(lab.images.count(), 0);
});
