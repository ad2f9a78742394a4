//! User namespaces and the IDs in them.

use crate::apparmor;
use crate::distribution::Need;
use crate::facts::{ENOUGH_IDS, Facts, MapProgram, SubordinateIds};
use crate::finding::{Finding, Fix, Group, Status, sysctl_fix};
use crate::probe::Probe;
use rootless::{AppArmor, Kind};
use std::path::Path;

const GROUP: Group = Group::UserNamespaces;

/// `force` accepts a single mapped ID.
pub(super) fn check(facts: &Facts, force: bool) -> Vec<Finding> {
    let missing = if force { Status::Warning } else { Status::Error };
    let mut findings = vec![
        user_namespaces(facts),
        map_program(facts, "newuidmap", &facts.newuidmap, missing),
        map_program(facts, "newgidmap", &facts.newgidmap, missing),
        ranges(facts, Kind::Uid, &facts.subuid, missing),
        ranges(facts, Kind::Gid, &facts.subgid, missing),
    ];
    findings.extend(facts.selinux.is_some().then(selinux));
    findings
}

/// Setting a label takes a policy that lets the user's domain enter another, and libselinux's knowledge of it.
fn selinux() -> Finding {
    let summary = "SELinux is enforcing: containers have the label of what you run yourself, so it does not keep them apart \
                   from your files (--security-opt label=… and :z change nothing)";
    Finding::bad(Status::Info, "selinux", GROUP, summary, Fix::default())
}

fn user_namespaces(facts: &Facts) -> Finding {
    const ID: &str = "user-namespaces";
    let fail = |summary: String, fix| Finding::bad(Status::Error, ID, GROUP, summary, fix);
    let sysctls = &facts.sysctls;
    if sysctls.unprivileged_userns_clone == Some(0) {
        return fail(
            "kernel.unprivileged_userns_clone is 0: users may not create user namespaces".to_owned(),
            sysctl_fix("50-rootless.conf", "kernel.unprivileged_userns_clone = 1"),
        );
    }
    if sysctls.max_user_namespaces == Some(0) {
        return fail(
            "user.max_user_namespaces is 0: no user namespace can be created".to_owned(),
            sysctl_fix("51-rootless.conf", "user.max_user_namespaces = 28633"),
        );
    }
    let Probe::Fails(reason) = &facts.user_namespace else {
        return Finding::ok(ID, GROUP, "a user namespace with a mount namespace can be made");
    };
    match &facts.apparmor {
        AppArmor::Restricts => fail(
            format!("AppArmor restricts unprivileged user namespaces ({reason})"),
            apparmor::fix(&facts.program),
        ),
        AppArmor::Confines(by) if Path::new(by) == facts.program => {
            let text = format!("AppArmor's profile {by} does not allow user namespaces ({reason})");
            fail(text, apparmor::fix(&facts.program))
        }
        AppArmor::Confines(by) => {
            let text = format!("no user namespace can be made under AppArmor's profile {by}: {reason}");
            fail(text, Fix::user(rootless::SANDBOXED))
        }
        AppArmor::Indifferent => {
            let fix = match &facts.selinux {
                Some(label) => rootless::selinux::fix(label, &facts.user.name),
                None => rootless::SANDBOXED.to_owned(),
            };
            fail(format!("no user namespace can be made: {reason}"), Fix::user(fix))
        }
    }
}

fn map_program(facts: &Facts, name: &'static str, program: &MapProgram, missing: Status) -> Finding {
    let fail = |summary: String, fix| Finding::bad(missing, name, GROUP, summary, fix);
    match program {
        MapProgram::Good(path) => Finding::ok(name, GROUP, format!("{} can map IDs", path.display())),
        MapProgram::Missing => fail(format!("{name} is not installed"), install(facts, Need::UidMap, name)),
        MapProgram::Unprivileged(path) => fail(
            format!("{} has neither the set-user-ID bit nor file capabilities", path.display()),
            Fix::root([format!("chmod u+s {}", path.display())]),
        ),
        MapProgram::NoSuid(path) => fail(
            format!("{} is on a file system mounted with nosuid", path.display()),
            Fix::user("have it mounted without nosuid, or the program installed elsewhere on PATH"),
        ),
    }
}

/// Installing what a package provides; without a known package manager, in words.
pub(super) fn install(facts: &Facts, need: Need, what: &str) -> Fix {
    match facts.distribution.packages {
        Some(packages) => Fix::root([packages.install(need)]),
        None => Fix::user(format!("install the package of your distribution that holds {what}")),
    }
}

fn ranges(facts: &Facts, kind: Kind, ids: &SubordinateIds, missing: Status) -> Finding {
    let id = if kind == Kind::Uid { "subuid" } else { "subgid" };
    let file = kind.file().display();
    let user = &facts.user;
    let entry = Fix::root([format!("echo \"{}:{}:{ENOUGH_IDS}\" >> {file}", user.name, ids.free)]);
    if let Some(error) = &ids.error {
        let fix = Fix::user(format!("have {file} mended: lines are NAME:START:COUNT"));
        return Finding::bad(Status::Error, id, GROUP, error, fix);
    }
    if ids.ranges.is_empty() {
        let summary = format!(
            "No {kind} ranges found for user {} (\"{}\"): without them images run with a single ID (--force accepts that)",
            user.uid, user.name
        );
        return Finding::bad(missing, id, GROUP, summary, entry);
    }
    if let Some((other, range)) = ids.shared.first() {
        let summary = format!(
            "{file}: the range {}:{} of user {other} overlaps yours: that user can act as your containers",
            range.start, range.count
        );
        let fix = Fix::user(format!("have one of the ranges in {file} moved before containers make files"));
        return Finding::bad(Status::Warning, id, GROUP, summary, fix);
    }
    if ids.count() < ENOUGH_IDS {
        let summary = format!(
            "only {} {kind}s for user \"{}\", images commonly need {ENOUGH_IDS}: pulling fails with \
             \"lchown <FILE>: invalid argument\" for those that do",
            ids.count(),
            user.name
        );
        return Finding::bad(Status::Warning, id, GROUP, summary, entry);
    }
    Finding::ok(id, GROUP, format!("{} {kind}s", ids.count()))
}
