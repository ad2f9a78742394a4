//! What building and testing need, installed; the test users, made.

use crate::run::{command, output, root};
use anyhow::{Result, ensure};
use std::path::Path;

/// Must agree with `testing::TEST_USER` and `testing::OTHER_USER`.
pub(crate) const TEST_USER: &str = "lichen-test";
const OTHER_USER: &str = "lichen-other";

/// Debian packages with a file that tells whether each is there.
const PACKAGES: &[(&str, &str)] = &[
    ("gcc", "/usr/bin/gcc"),
    ("libseccomp-dev", "/usr/include/seccomp.h"),
    ("uidmap", "/usr/bin/newuidmap"),
    ("slirp4netns", "/usr/bin/slirp4netns"),
    ("fuse-overlayfs", "/usr/bin/fuse-overlayfs"),
    ("btrfs-progs", "/usr/sbin/mkfs.btrfs"),
    ("passt", "/usr/bin/pasta"),
    ("liblxc-common", "/usr/libexec/lxc/lxc-user-nic"),
    ("dnsmasq-base", "/usr/sbin/dnsmasq"),
    ("libcap2-bin", "/usr/sbin/setcap"),
    ("crun", "/usr/bin/crun"),
    ("runc", "/usr/sbin/runc"),
    ("busybox-static", "/bin/busybox"),
    ("docker-registry", "/usr/bin/docker-registry"),
    ("skopeo", "/usr/bin/skopeo"),
    ("podman", "/usr/bin/podman"),
    ("openssl", "/usr/bin/openssl"),
    ("mmdebstrap", "/usr/bin/mmdebstrap"),
    ("iproute2", "/usr/sbin/ip"),
    ("rootlesskit", "/usr/bin/rootlesskit"),
    ("iperf3", "/usr/bin/iperf3"),
    ("wrk", "/usr/bin/wrk"),
    ("apache2-utils", "/usr/bin/ab"),
    ("nginx-light", "/usr/sbin/nginx"),
    ("curl", "/usr/bin/curl"),
    ("openssh-server", "/usr/sbin/sshd"),
    ("openssh-client", "/usr/bin/ssh"),
    ("zsh", "/usr/bin/zsh"),
    ("fish", "/usr/bin/fish"),
    ("mandoc", "/usr/bin/mandoc"),
    ("man-db", "/usr/bin/man"),
    // Its own file names tell Python's version.
    ("python3-venv", "/var/lib/dpkg/info/python3-venv.list"),
];

/// Installs what is missing and makes the test users.
pub(crate) fn prepare() -> Result<()> {
    ensure!(
        output("id", &["-u"])?.trim() == "0",
        "prepare installs packages and makes a user: run it as root"
    );
    let missing: Vec<&str> =
        PACKAGES.iter().filter(|(_, file)| !Path::new(file).exists()).map(|(p, _)| *p).collect();
    if !missing.is_empty() {
        command("apt-get", &["update", "-qq"])?;
        command("apt-get", &[&["install", "-y", "-qq", "--no-install-recommends"], &missing[..]].concat())?;
    }
    for user in [TEST_USER, OTHER_USER] {
        if output("id", &["-u", user]).is_err() {
            command("useradd", &["--create-home", "--shell", "/bin/bash", user])?;
        }
    }
    devices()?;
    let cache = std::env::var("LICHEN_TEST_CACHE").unwrap_or_else(|_| "/var/tmp/lichen-tests".to_owned());
    command(&root().join("tests/images/make").to_string_lossy(), &[&format!("{cache}/images")])?;
    command("chmod", &["-R", "a+rX", &cache])
}

/// Distributions let everyone open these two (udev's 50-udev-default.rules); a machine without udev may not.
fn devices() -> Result<()> {
    for device in ["/dev/net/tun", "/dev/fuse"] {
        if Path::new(device).exists() {
            command("chmod", &["0666", device])?;
        }
    }
    Ok(())
}
