//! What containers' traffic needs.

use crate::facts::{Device, Facts};
use crate::finding::{Finding, Fix, Group, Status, sysctl_fix};

const GROUP: Group = Group::Network;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    vec![tun(facts), ping(facts), ports(facts)]
}

fn tun(facts: &Facts) -> Finding {
    let (what, fix) = match facts.tun {
        Device::Good => return Finding::ok("tun", GROUP, "/dev/net/tun can be opened"),
        Device::Missing => {
            ("does not exist", Fix::root(["modprobe tun", "echo tun > /etc/modules-load.d/tun.conf"]))
        }
        Device::Forbidden => ("may not be opened by you", Fix::root(["chmod 0666 /dev/net/tun"])),
    };
    let summary = format!("/dev/net/tun {what}: containers reach nothing outside");
    Finding::bad(Status::Warning, "tun", GROUP, summary, fix)
}

fn ping(facts: &Facts) -> Finding {
    let gid = u64::from(facts.user.gid);
    match facts.sysctls.ping_group_range {
        Some((first, last)) if !(first..=last).contains(&gid) => Finding::bad(
            Status::Warning,
            "ping",
            GROUP,
            format!(
                "net.ipv4.ping_group_range is {first} {last}, without your group {gid}: ping from containers does not work"
            ),
            sysctl_fix("52-rootless-ping.conf", "net.ipv4.ping_group_range = 0 2147483647"),
        ),
        _ => Finding::ok("ping", GROUP, "containers may ping"),
    }
}

fn ports(facts: &Facts) -> Finding {
    match facts.sysctls.ip_unprivileged_port_start {
        Some(start) if start > 1 => Finding::bad(
            Status::Info,
            "privileged-ports",
            GROUP,
            format!("ports below {start} cannot be published"),
            sysctl_fix("53-rootless-ports.conf", "net.ipv4.ip_unprivileged_port_start = 0"),
        ),
        _ => Finding::ok("privileged-ports", GROUP, "every port can be published"),
    }
}
