//! Compiles the program of the embedded image: static, without any library, a few kilobytes.

use std::{env, path::PathBuf, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=hello/hello.rs");
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name: &str| env::var(name).unwrap_or_else(|e| panic!("cargo sets {name}: {e}"));
    let out = PathBuf::from(variable("OUT_DIR")).join("hello");
    let mut rustc = Command::new(variable("RUSTC"));
    rustc
        .args(["hello/hello.rs", "--crate-name", "hello", "--crate-type", "bin", "--edition", "2024"])
        .args([
            "--target",
            &variable("TARGET"),
            "-C",
            "panic=abort",
            "-C",
            "opt-level=s",
            "-C",
            "strip=symbols",
        ])
        // No start files, no libc, at a fixed address: the kernel loads it and jumps to `_start`.
        .args(["-C", "target-feature=+crt-static", "-C", "relocation-model=static"])
        .args(["-C", "link-arg=-nostartfiles", "-C", "link-arg=-nostdlib", "-C", "link-arg=-static"])
        .args(["-C", "link-arg=-Wl,--build-id=none,-z,norelro,-z,noseparate-code,--gc-sections,-n"])
        .arg("-o")
        .arg(&out);
    let status = rustc.status().unwrap_or_else(|e| panic!("run {rustc:?}: {e}"));
    assert!(status.success(), "{rustc:?}: {status}");
}
