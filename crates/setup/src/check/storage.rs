//! Where images and containers are kept.

use super::ids::install;
use crate::distribution::Need;
use crate::facts::{Device, Facts};
use crate::finding::{Finding, Fix, Group, Status};
use crate::probe::Probe;

const GROUP: Group = Group::Storage;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![data_root(facts)];
    // Without a user namespace this says nothing of its own.
    if facts.user_namespace == Probe::Works {
        findings.push(overlay(facts));
    }
    findings
}

fn data_root(facts: &Facts) -> Finding {
    let (path, kind) = (facts.data_root.path.display(), &facts.data_root.file_system);
    if facts.data_root.remote {
        let summary = format!(
            "{path} is on {kind}, whose server does not let you give files to subordinate IDs (lchown: operation not permitted)"
        );
        let fix = Fix::user(
            "choose a local directory in ~/.config/docker/daemon.json: {\"data-root\":\"/somewhere-out-of-nfs\"}",
        );
        return Finding::bad(Status::Error, "data-root", GROUP, summary, fix);
    }
    Finding::ok("data-root", GROUP, format!("{path} is on {kind}"))
}

fn overlay(facts: &Facts) -> Finding {
    let Probe::Fails(reason) = &facts.overlay else {
        return Finding::ok("overlay", GROUP, "the kernel's overlay works in a user namespace");
    };
    let fuse = facts.fuse_overlayfs && facts.fuse == Device::Good;
    let instead = if fuse {
        "fuse-overlayfs is used, which is slower"
    } else {
        "vfs is used, which copies every layer"
    };
    let why = if kernel_at_least(&facts.kernel, (5, 11)) {
        if facts.selinux.is_some() { ", perhaps by SELinux's policy" } else { "" }
    } else {
        " (Linux 5.11 is the first that allows it)"
    };
    let mut fix = if facts.fuse_overlayfs {
        Fix::default()
    } else {
        install(facts, Need::FuseOverlayfs, "fuse-overlayfs")
    };
    if facts.fuse != Device::Good {
        fix.root.push("modprobe fuse && chmod 0666 /dev/fuse".to_owned());
    }
    let summary =
        format!("the kernel's overlay cannot be mounted in a user namespace{why}: {reason}; {instead}");
    Finding::bad(Status::Warning, "overlay", GROUP, summary, fix)
}

/// An unreadable release counts as new.
fn kernel_at_least(release: &str, wanted: (u32, u32)) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= wanted,
        _ => true,
    }
}
