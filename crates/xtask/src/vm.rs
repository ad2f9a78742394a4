//! Real systems: throw-away machines of Debian's packages in QEMU, with a kernel, a systemd and cgroups of their own.
//!
//! `tests/vm/make-image` makes a release's disk once; here a machine is booted from it with what was built, and what
//! `tests/vm/guest/main` prints is shown as it comes. Nothing that a machine writes is kept.

use crate::package;
use crate::run::{cargo, command, output, root};
use anyhow::{Context, Result, bail, ensure};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

/// Linux 6.1 with systemd 252, and 6.12 with 257.
const RELEASES: &[&str] = &["bookworm", "trixie"];
/// What a user of Lichen installs, and what the tests need.
const PACKAGES: &str =
    "uidmap,dbus-user-session,fuse-overlayfs,passt,slirp4netns,ca-certificates,curl,docker-registry";
/// What is only there to be installed by a test.
const AT_HAND: &str = "nfs-kernel-server,apparmor,rpm,docker.io";
/// Without hardware virtualisation a machine takes about two minutes to boot, and each client a second to start.
const SECONDS: &str = "3600";
const PROGRAMS: &[(&str, &str)] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("mmdebstrap", "mmdebstrap"),
    ("mke2fs", "e2fsprogs"),
    ("ssh-keygen", "openssh-client"),
    ("strip", "binutils"),
    ("rpmbuild", "rpm"),
];

/// `vm [RELEASE…] [TEST…]`: all of either where none is named.
pub(crate) fn vm(args: &[&str]) -> Result<()> {
    let (releases, tests): (Vec<&str>, Vec<&str>) = args.iter().partition(|a| RELEASES.contains(a));
    let releases = if releases.is_empty() { RELEASES.to_vec() } else { releases };
    let tests = if tests.is_empty() { all_tests()? } else { tests.into_iter().map(str::to_owned).collect() };
    for test in &tests {
        let script = guest().join("tests").join(format!("{test}.sh"));
        ensure!(script.exists(), "no test {test:?}: there are {}", all_tests()?.join(", "));
    }
    programs()?;
    let bins = bins()?;
    let mut failed = Vec::new();
    for release in releases {
        let started = Instant::now();
        let image = image(release)?;
        for (kernel, tests) in machines(&tests)? {
            if let Err(error) = run(release, &image, &bins, &kernel, &tests) {
                failed.push(format!("{release}: {error:#}"));
            }
        }
        eprintln!("{release}: {} s", started.elapsed().as_secs());
    }
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

fn guest() -> PathBuf {
    root().join("tests/vm/guest")
}

fn all_tests() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(guest().join("tests"))? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    // That one begins where nothing is installed.
    names.sort_by_key(|name| (name != "fresh", name.clone()));
    Ok(names)
}

/// The tests of each machine: those that want the same of the kernel's command line, which a first line
/// `# kernel: WORD…` tells.
fn machines(tests: &[String]) -> Result<Vec<(String, Vec<String>)>> {
    let mut machines: Vec<(String, Vec<String>)> = Vec::new();
    for test in tests {
        let script = fs::read_to_string(guest().join("tests").join(format!("{test}.sh")))?;
        let kernel =
            script.lines().next().and_then(|line| line.strip_prefix("# kernel: ")).unwrap_or_default();
        match machines.iter_mut().find(|(words, _)| words == kernel) {
            Some((_, tests)) => tests.push(test.clone()),
            None => machines.push((kernel.to_owned(), vec![test.clone()])),
        }
    }
    Ok(machines)
}

fn programs() -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = |program: &str| {
        std::env::split_paths(&path).chain(["/usr/sbin".into()]).any(|dir| dir.join(program).exists())
    };
    let missing: Vec<&str> =
        PROGRAMS.iter().filter(|(p, _)| !there(p)).map(|(_, package)| *package).collect();
    ensure!(missing.is_empty(), "install what is missing: apt-get install {}", missing.join(" "));
    Ok(())
}

/// The directory with `lichen` and `lichen-shim`: that of `LICHEN_BIN_DIR`, or built now.
fn bins() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("LICHEN_BIN_DIR") {
        return Ok(dir.into());
    }
    cargo(&["build", "--package", "lichen", "--package", "lichen-shim"])?;
    let metadata = output("cargo", &["metadata", "--format-version", "1", "--no-deps"])?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let target = Path::new(metadata["target_directory"].as_str().context("no target directory")?);
    let found = [target.join("x86_64-unknown-linux-gnu/debug"), target.join("debug")];
    found.into_iter().find(|dir| dir.join("lichen").exists()).context("what was built is nowhere to be found")
}

/// The release's disk, made where its recipe has changed.
fn image(release: &str) -> Result<PathBuf> {
    let recipe = root().join("tests/vm/make-image");
    let sum = output("sha256sum", &[&recipe.to_string_lossy()])?;
    let packages = format!("{PACKAGES},{AT_HAND}");
    let key = format!("{release}-{:016x}", fnv(format!("{packages}-{sum}").as_bytes()));
    let image = cache().join(&key);
    if !image.join("root.img").exists() {
        fs::create_dir_all(cache())?;
        command(&recipe.to_string_lossy(), &[release, &packages, &image.to_string_lossy()])?;
    }
    Ok(image)
}

fn cache() -> PathBuf {
    std::env::var_os("LICHEN_VM_CACHE").map_or_else(|| "/var/tmp/lichen-vm".into(), PathBuf::from)
}

/// A name that depends on the contents (FNV-1a, 64 bits).
fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

fn run(release: &str, image: &Path, bins: &Path, kernel: &str, tests: &[String]) -> Result<()> {
    let work = cache().join(format!("run-{release}-{}", std::process::id()));
    fs::create_dir_all(&work)?;
    let outcome = payload(&work, bins, tests).and_then(|disk| boot(release, image, kernel, &work, &disk));
    fs::remove_dir_all(&work).with_context(|| format!("remove {}", work.display()))?;
    outcome
}

/// A disk with what the machine is to find under /payload.
fn payload(work: &Path, bins: &Path, tests: &[String]) -> Result<PathBuf> {
    let payload = work.join("payload");
    fs::create_dir_all(payload.join("bin"))?;
    for program in ["lichen", "lichen-shim"] {
        let to = payload.join("bin").join(program);
        command("strip", &["-o", &to.to_string_lossy(), &bins.join(program).to_string_lossy()])?;
    }
    let docker = output("sh", &["-c", "command -v docker"]).context("the tests drive the docker client")?;
    let images = std::env::var("LICHEN_TEST_CACHE").unwrap_or_else(|_| "/var/tmp/lichen-tests".to_owned());
    let busybox = Path::new(&images).join("images/busybox.tar");
    ensure!(busybox.exists(), "{}: run cargo xtask prepare", busybox.display());
    for (from, to) in [
        (Path::new(docker.trim()), payload.join("bin/docker")),
        (&busybox, payload.join("busybox.tar")),
        (&guest(), payload.join("guest")),
    ] {
        command("cp", &["--recursive", "--dereference", &from.to_string_lossy(), &to.to_string_lossy()])?;
    }
    if tests.iter().any(|test| test == "packages") {
        package::of(bins, &["deb", "rpm"], &payload.join("built"))?;
    }
    fs::write(payload.join("tests"), tests.join("\n") + "\n")?;
    fs::write(payload.join("packages"), PACKAGES.replace(',', "\n") + "\n")?;
    let disk = work.join("payload.img");
    command("truncate", &["--size", "512M", &disk.to_string_lossy()])?;
    command("mke2fs", &["-q", "-t", "ext4", "-d", &payload.to_string_lossy(), &disk.to_string_lossy()])?;
    Ok(disk)
}

fn boot(release: &str, image: &Path, kernel: &str, work: &Path, payload: &Path) -> Result<()> {
    // The device may be there and the processor not have it.
    let kvm = fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok()
        && fs::read_to_string("/proc/cpuinfo").is_ok_and(|t| t.contains(" vmx ") || t.contains(" svm "));
    let console = work.join("console");
    let drive =
        |file: &Path| format!("file={},if=virtio,format=raw,snapshot=on,cache=unsafe", file.display());
    let mut machine = Command::new("timeout")
        .args([SECONDS, "qemu-system-x86_64", "-cpu", "max", "-m", "2048", "-smp", "2"])
        .args(["-accel", if kvm { "kvm" } else { "tcg,thread=multi" }])
        .args(["-display", "none", "-monitor", "none", "-nic", "none"])
        .arg("-kernel")
        .arg(image.join("vmlinuz"))
        .arg("-initrd")
        .arg(image.join("initrd"))
        .args([
            "-append",
            &format!("root=LABEL=root rw console=ttyS0 quiet systemd.show_status=0 panic=-1 mitigations=off {kernel}"),
        ])
        .args(["-drive", &drive(&image.join("root.img")), "-drive", &drive(payload)])
        .args(["-serial", &format!("file:{}", console.display()), "-serial", "stdio"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("start qemu-system-x86_64")?;
    let mut status = None;
    for line in BufReader::new(machine.stdout.take().context("the machine's output")?).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches('\r');
        match line.strip_prefix("exit status: ") {
            Some(code) => status = Some(code.to_owned()),
            None => println!("{release}: {line}"),
        }
    }
    machine.wait()?;
    match status.as_deref() {
        Some("0") => Ok(()),
        Some(_) => bail!("tests failed"),
        None => {
            let told = fs::read_to_string(&console).unwrap_or_default();
            let last: Vec<&str> = told.lines().rev().take(30).collect();
            bail!(
                "the machine did not finish; the end of its console:\n{}",
                last.into_iter().rev().collect::<Vec<_>>().join("\n")
            )
        }
    }
}
