//! Fuzzing the parsers of untrusted bytes (cargo-fuzz, with their corpora in fuzz/corpus).
//!
//! A target runs as root of a user namespace, as the engine does, never as real root: an archive's owners and devices are
//! then obeyed as far as they would be.

use crate::{
    prepare::TEST_USER,
    run::{command, root},
};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Where runs keep what they find: inputs that reach new code in `TARGET/new`, those that crash in `TARGET/artifacts`.
const PLACE: &str = "/var/tmp/lichen-fuzz";
const DEFAULT_SECONDS: u32 = 60;

pub(crate) fn fuzz(args: &[&str]) -> Result<()> {
    let targets = targets()?;
    let (target, seconds) = match args {
        [] => {
            println!("{}", targets.join("\n"));
            return Ok(());
        }
        [target] => (*target, DEFAULT_SECONDS),
        [target, seconds] => (*target, seconds.parse().with_context(|| format!("{seconds:?} seconds"))?),
        _ => bail!("usage: cargo xtask fuzz [TARGET|all [SECONDS]]"),
    };
    let chosen: Vec<&String> = targets.iter().filter(|known| target == "all" || *known == target).collect();
    if chosen.is_empty() {
        bail!("no fuzz target {target:?}: there are {}", targets.join(", "));
    }
    for target in chosen {
        // libFuzzer's instrumentation wants a nightly compiler; there is no unsafe code for a sanitizer to look at.
        let dir = root().join("fuzz").to_string_lossy().into_owned();
        let build = ["+nightly", "fuzz", "build", "--sanitizer", "none", "--fuzz-dir", &dir, target];
        command("cargo", &build)?;
        run(target, seconds)?;
    }
    Ok(())
}

fn targets() -> Result<Vec<String>> {
    let mut targets = Vec::new();
    for entry in fs::read_dir(root().join("fuzz/fuzz_targets"))? {
        let path = entry?.path();
        targets.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    targets.sort();
    Ok(targets)
}

fn run(target: &str, seconds: u32) -> Result<()> {
    let place = Path::new(PLACE).join(target);
    let (new, seeds, artifacts) = (place.join("new"), place.join("seeds"), place.join("artifacts"));
    let is_root = fs::metadata("/proc/self")?.uid() == 0;
    for dir in [&new, &seeds, &artifacts] {
        fs::create_dir_all(dir)?;
        if is_root {
            // The test user's, who has no other way to write here.
            fs::set_permissions(dir, fs::Permissions::from_mode(0o777))?;
        }
    }
    for seed in fs::read_dir(root().join("fuzz/corpus").join(target))? {
        let seed = seed?;
        fs::copy(seed.path(), seeds.join(seed.file_name()))?;
    }
    let program = place.join("program");
    fs::copy(built(target), &program)?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let options = [
        text(&program),
        text(&new),
        text(&seeds),
        format!("-max_total_time={seconds}"),
        format!("-artifact_prefix={}/", text(&artifacts)),
        "-print_final_stats=1".to_owned(),
        "-timeout=30".to_owned(),
    ];
    let mut line: Vec<&str> = Vec::new();
    if is_root {
        line.extend(["setpriv", "--reuid", TEST_USER, "--regid", TEST_USER, "--init-groups"]);
    }
    line.extend(["unshare", "--user", "--map-root-user", "--map-auto", "--mount", "--net"]);
    // Unpacked layers by the thousand are not for a disk.
    line.extend(["env", "TMPDIR=/dev/shm"]);
    line.extend(options.iter().map(String::as_str));
    command(line[0], &line[1..]).with_context(|| format!("what it found is in {}", artifacts.display()))
}

fn built(target: &str) -> PathBuf {
    let dir = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("fuzz/target"), PathBuf::from);
    dir.join(format!("{}-unknown-linux-gnu/release", std::env::consts::ARCH)).join(target)
}
