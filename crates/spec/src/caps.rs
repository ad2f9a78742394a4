//! Which capabilities a container gets (capabilities(7)).

use crate::Error;
use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities, LinuxCapabilitiesBuilder};
use std::collections::HashSet;

/// What Docker gives by default: enough for package managers and for servers that drop their privileges.
pub const DEFAULT: &[Capability] = &[
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fsetid,
    Capability::Fowner,
    Capability::Mknod,
    Capability::NetRaw,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setfcap,
    Capability::Setpcap,
    Capability::NetBindService,
    Capability::SysChroot,
    Capability::Kill,
    Capability::AuditWrite,
];

/// Every capability of Linux 5.9 and later, in numerical order.
pub const ALL: &[Capability] = &[
    Capability::Chown,
    Capability::DacOverride,
    Capability::DacReadSearch,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setpcap,
    Capability::LinuxImmutable,
    Capability::NetBindService,
    Capability::NetBroadcast,
    Capability::NetAdmin,
    Capability::NetRaw,
    Capability::IpcLock,
    Capability::IpcOwner,
    Capability::SysModule,
    Capability::SysRawio,
    Capability::SysChroot,
    Capability::SysPtrace,
    Capability::SysPacct,
    Capability::SysAdmin,
    Capability::SysBoot,
    Capability::SysNice,
    Capability::SysResource,
    Capability::SysTime,
    Capability::SysTtyConfig,
    Capability::Mknod,
    Capability::Lease,
    Capability::AuditWrite,
    Capability::AuditControl,
    Capability::Setfcap,
    Capability::MacOverride,
    Capability::MacAdmin,
    Capability::Syslog,
    Capability::WakeAlarm,
    Capability::BlockSuspend,
    Capability::AuditRead,
    Capability::Perfmon,
    Capability::Bpf,
    Capability::CheckpointRestore,
];

/// The capabilities of a container with `--cap-add add --cap-drop drop`, and all of them when `privileged`.
///
/// Docker's rules: names are case-insensitive, `CAP_` may be left out, `ALL` adds or drops everything; what is dropped
/// by name is dropped even when `ALL` is added, what is added by name is kept even when `ALL` is dropped.
pub fn resolve(add: &[String], drop: &[String], privileged: bool) -> Result<Capabilities, Error> {
    let adds = parse(add, Error::UnknownCapAdd)?;
    let drops = parse(drop, Error::UnknownCapDrop)?;
    if privileged {
        return Ok(ALL.iter().copied().collect());
    }
    let base: &[Capability] = match (adds.all, drops.all) {
        (true, _) => ALL,
        (false, true) => &[],
        (false, false) => DEFAULT,
    };
    let mut result: Capabilities = base.iter().copied().filter(|c| !drops.named.contains(c)).collect();
    result.extend(adds.named.iter().copied().filter(|c| drops.all || !drops.named.contains(c)));
    Ok(result)
}

/// The set as the specification wants it: no inheritable capabilities, so that none is regained by executing a file
/// that has them (CVE-2022-29162), and none ambient.
pub fn render(caps: &Capabilities) -> Result<LinuxCapabilities, Error> {
    let set = caps.clone();
    Ok(LinuxCapabilitiesBuilder::default()
        .bounding(set.clone())
        .effective(set.clone())
        .permitted(set)
        .inheritable(HashSet::new())
        .ambient(HashSet::new())
        .build()?)
}

/// `CAP_…`, as the kernel and profiles spell it.
pub fn name(cap: Capability) -> String {
    match serde_json::to_value(cap) {
        Ok(serde_json::Value::String(name)) => name,
        _ => unreachable!("a capability serialises to its name"),
    }
}

struct Wanted {
    all: bool,
    named: Capabilities,
}

fn parse(names: &[String], unknown: fn(String) -> Error) -> Result<Wanted, Error> {
    let mut wanted = Wanted { all: false, named: Capabilities::new() };
    for given in names {
        let upper = given.trim().to_ascii_uppercase();
        if upper == "ALL" {
            wanted.all = true;
            continue;
        }
        let full = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
        let cap =
            serde_json::from_value(serde_json::Value::String(full)).map_err(|_| unknown(given.clone()))?;
        wanted.named.insert(cap);
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(add: &[&str], drop: &[&str], expect: impl Fn(&Capabilities) -> bool) {
        let own = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let caps = resolve(&own(add), &own(drop), false).unwrap();
        assert!(expect(&caps), "add {add:?} drop {drop:?} gave {caps:?}");
    }

    #[test]
    fn docker_gives_fourteen() {
        check(&[], &[], |c| c.len() == 14 && !c.contains(&Capability::SysAdmin));
    }

    #[test]
    fn names_are_forgiving() {
        check(&["sys_admin", "CAP_NET_ADMIN"], &["cap_chown"], |c| {
            c.len() == 15 && !c.contains(&Capability::Chown)
        });
    }

    #[test]
    fn all_gives_way_to_names() {
        check(&["ALL"], &["MKNOD"], |c| c.len() == ALL.len() - 1 && !c.contains(&Capability::Mknod));
        check(&["KILL"], &["ALL"], |c| *c == Capabilities::from([Capability::Kill]));
        check(&["ALL"], &["ALL"], |c| c.len() == ALL.len());
    }

    #[test]
    fn unknown_names_are_refused_in_dockers_words() {
        let error = resolve(&["NOPE".into()], &[], false).unwrap_err();
        assert_eq!(error.to_string(), "invalid CapAdd: unknown capability: \"NOPE\"");
    }

    #[test]
    fn nothing_is_inheritable() {
        let caps = render(&resolve(&[], &[], true).unwrap()).unwrap();
        assert_eq!(caps.inheritable().as_ref().map(HashSet::len), Some(0));
        assert_eq!(caps.bounding().as_ref().map(HashSet::len), Some(41));
    }
}
