//! Fuzzing one parser of untrusted bytes (cargo-fuzz, with its corpus in fuzz/corpus).

use crate::run::{command, root};
use anyhow::{Result, bail};

pub(crate) fn fuzz(args: &[&str]) -> Result<()> {
    let fuzz = root().join("fuzz");
    let mut targets = Vec::new();
    for entry in std::fs::read_dir(fuzz.join("fuzz_targets"))? {
        let path = entry?.path();
        targets.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    targets.sort();
    let Some((target, rest)) = args.split_first() else {
        println!("{}", targets.join("\n"));
        return Ok(());
    };
    if !targets.iter().any(|t| t == target) {
        bail!("no fuzz target {target:?}: there are {}", targets.join(", "));
    }
    let fuzz = fuzz.to_string_lossy().into_owned();
    // Without a sanitizer the stable toolchain will do; --sanitizer address wants a nightly one.
    command(
        "cargo",
        &[&["fuzz", "run", "--sanitizer", "none", "--fuzz-dir", &fuzz, target, "--"], rest].concat(),
    )
}
