//! Any bytes parse as manifest, index or configuration, or are refused; what parses survives being written again.
#![no_main]

use image::{
    ImageConfig, Platform,
    manifest::{Document, OCI_INDEX, OCI_MANIFEST},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for media_type in ["", OCI_INDEX, OCI_MANIFEST] {
        match Document::parse(bytes, media_type) {
            Ok(Document::Index(index)) => {
                drop(index.select(&Platform::host()).map(|d| d.digest.hex().to_owned()))
            }
            Ok(Document::Image(manifest)) => assert_eq!(manifest.config.digest.hex().len(), 64),
            Err(_) => {}
        }
    }
    if let Ok(config) = ImageConfig::parse(bytes) {
        let written = serde_json::to_vec(&config).expect("a configuration can be written");
        assert_eq!(ImageConfig::parse(&written).ok(), Some(config));
    }
});
