//! The committed fuzzing corpus, which the tests run too, so that it stays true without a fuzzer.

use archive::{
    Limits,
    unpack::{self, Options, Ownership},
    whiteout::Whiteouts,
};
use std::{fs, os::fd::AsFd, path::Path};

/// Those that are refused, and why.
const REFUSED: &[(&str, &str)] = &[("whiteouts", "a whiteout of \".wh..\" is none of a name")];

#[test]
fn each_blob_of_the_corpus_is_unpacked_or_refused_as_it_should_be() {
    testing::as_user("each_blob_of_the_corpus_is_unpacked_or_refused_as_it_should_be", || {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/layer_archive");
        let mut count = 0;
        for entry in fs::read_dir(corpus).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let jail = tempfile::tempdir().unwrap();
            let root = jail.path().join("root");
            fs::create_dir(&root).unwrap();
            let options = Options {
                whiteouts: Whiteouts::Overlay,
                ownership: Ownership::Recorded,
                overwrite_kinds: true,
                limits: Limits::default(),
                below: None,
            };
            let blob = fs::File::open(&path).unwrap();
            let outcome = unpack::layer(blob, fs::File::open(&root).unwrap().as_fd(), &options);
            assert_eq!(fs::read_dir(jail.path()).unwrap().count(), 1, "{name}: something beside the root");
            match (REFUSED.iter().find(|(refused, _)| *refused == name), outcome) {
                (None, outcome) => drop(outcome.unwrap_or_else(|e| panic!("{name}: {e}"))),
                (Some((_, why)), Err(e)) => assert!(e.to_string().contains(why), "{name}: {e}"),
                (Some(_), Ok(_)) => panic!("{name} was accepted"),
            }
            count += 1;
        }
        assert!(count >= 13, "only {count} blobs were found");
    });
}
