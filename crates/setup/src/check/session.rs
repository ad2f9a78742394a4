//! Limits, and the session that the engine runs in.

use super::ids::install;
use crate::cgroup::{Cgroup, WANTED};
use crate::distribution::Need;
use crate::facts::Facts;
use crate::finding::{Finding, Fix, Group, Status};
use crate::session::Systemd;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![limits(facts), manager(facts)];
    if facts.session.systemd != Systemd::Absent {
        findings.push(bus(facts));
    }
    findings.extend(linger(facts));
    findings
}

fn limits(facts: &Facts) -> Finding {
    let (id, group) = ("cgroup", Group::Limits);
    let missing = facts.cgroup.missing();
    if missing.is_empty() {
        return Finding::ok(id, group, format!("controllers {} are delegated", WANTED.join(", ")));
    }
    if facts.cgroup == Cgroup::Old {
        let summary = "no cgroup v2: --cpus, --memory, --pids-limit and the like are ignored";
        let fix = Fix::user(
            "boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line (Linux 5.2 or later)",
        );
        return Finding::bad(Status::Warning, id, group, summary, fix);
    }
    let summary = format!(
        "cgroup controllers {} are not delegated to you: limits by them are ignored",
        missing.join(", ")
    );
    let fix = if facts.session.systemd == Systemd::Absent {
        Fix::user(
            "have a cgroup v2 directory with these controllers given to you, and start the engine in it",
        )
    } else {
        Fix::root([
            "mkdir -p /etc/systemd/system/user@.service.d",
            "cat <<EOT > /etc/systemd/system/user@.service.d/delegate.conf",
            "[Service]",
            "Delegate=cpu cpuset io memory pids",
            "EOT",
            "systemctl daemon-reload",
        ])
    };
    Finding::bad(Status::Warning, id, group, summary, fix)
}

fn manager(facts: &Facts) -> Finding {
    let (id, group, name) = ("systemd", Group::Session, &facts.user.name);
    match &facts.session.systemd {
        Systemd::Running => Finding::ok(id, group, "the user's systemd manager answers"),
        Systemd::Absent => Finding::bad(
            Status::Info,
            id,
            group,
            "no systemd: the engine has to be started by hand, or by what starts programs here",
            Fix::default(),
        ),
        Systemd::NoManager(reason) => Finding::bad(
            Status::Warning,
            id,
            group,
            format!("systemctl --user does not work: {reason}"),
            Fix::user(format!(
                "su and sudo make no session: log in by ssh, on the console or with `sudo machinectl shell {name}@` \
                 (package systemd-container)"
            )),
        ),
    }
}

fn bus(facts: &Facts) -> Finding {
    if facts.session.bus {
        return Finding::ok("dbus", Group::Session, "the session's D-Bus socket is there");
    }
    let mut fix = install(facts, Need::SessionBus, "the D-Bus daemon");
    fix.user = Some("log in again afterwards, or run systemctl --user enable --now dbus".to_owned());
    let summary = "no D-Bus for your session: systemd cannot be asked for cgroups";
    Finding::bad(Status::Warning, "dbus", Group::Session, summary, fix)
}

fn linger(facts: &Facts) -> Option<Finding> {
    let name = &facts.user.name;
    Some(if facts.session.linger? {
        Finding::ok("linger", Group::Session, "the engine can start at boot and outlive your logout")
    } else {
        Finding::bad(
            Status::Info,
            "linger",
            Group::Session,
            "lingering is off: the engine starts when you log in and stops when you log out",
            Fix::root([format!("loginctl enable-linger {name}")]),
        )
    })
}
