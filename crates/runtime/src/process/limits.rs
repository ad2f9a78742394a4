//! Resource limits (setrlimit(2)) and the OOM killer's preference.

use crate::{
    Failure, Warning,
    report::{At, Reporter, failed},
};
use oci_spec::runtime::{PosixRlimit, PosixRlimitType};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// One validated limit. `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit {
    resource: Resource,
    name: &'static str,
    soft: Option<u64>,
    hard: Option<u64>,
}

pub(super) fn plan(limits: &[PosixRlimit]) -> Vec<Limit> {
    let value = |v: u64| (v != u64::MAX).then_some(v);
    let one = |limit: &PosixRlimit| {
        let (resource, name) = resource(limit.typ());
        Limit { resource, name, soft: value(limit.soft()), hard: value(limit.hard()) }
    };
    limits.iter().map(one).collect()
}

fn resource(typ: PosixRlimitType) -> (Resource, &'static str) {
    match typ {
        PosixRlimitType::RlimitCpu => (Resource::Cpu, "cpu"),
        PosixRlimitType::RlimitFsize => (Resource::Fsize, "fsize"),
        PosixRlimitType::RlimitData => (Resource::Data, "data"),
        PosixRlimitType::RlimitStack => (Resource::Stack, "stack"),
        PosixRlimitType::RlimitCore => (Resource::Core, "core"),
        PosixRlimitType::RlimitRss => (Resource::Rss, "rss"),
        PosixRlimitType::RlimitNproc => (Resource::Nproc, "nproc"),
        PosixRlimitType::RlimitNofile => (Resource::Nofile, "nofile"),
        PosixRlimitType::RlimitMemlock => (Resource::Memlock, "memlock"),
        PosixRlimitType::RlimitAs => (Resource::As, "as"),
        PosixRlimitType::RlimitLocks => (Resource::Locks, "locks"),
        PosixRlimitType::RlimitSigpending => (Resource::Sigpending, "sigpending"),
        PosixRlimitType::RlimitMsgqueue => (Resource::Msgqueue, "msgqueue"),
        PosixRlimitType::RlimitNice => (Resource::Nice, "nice"),
        PosixRlimitType::RlimitRtprio => (Resource::Rtprio, "rtprio"),
        PosixRlimitType::RlimitRttime => (Resource::Rttime, "rttime"),
    }
}

/// Sets each limit, at most to the hard limit the engine has itself: raising that needs CAP_SYS_RESOURCE in the initial
/// user namespace. What had to be lowered is reported.
pub(super) fn apply(limits: &[Limit], reporter: &Reporter) -> Result<(), Failure> {
    for limit in limits {
        let ceiling = getrlimit(limit.resource).maximum;
        let wanted = Rlimit { current: limit.soft, maximum: limit.hard };
        // With real root the ceiling is none.
        if exceeds(limit.hard, ceiling) && setrlimit(limit.resource, wanted).is_ok() {
            continue;
        }
        let given = Rlimit { current: at_most(limit.soft, ceiling), maximum: at_most(limit.hard, ceiling) };
        setrlimit(limit.resource, given).at("set rlimit", limit.name)?;
        if exceeds(limit.hard, ceiling) {
            let wanted = limit.hard.unwrap_or(u64::MAX);
            let given = ceiling.unwrap_or(u64::MAX);
            reporter.warn(Warning::RlimitClamped { name: limit.name.to_owned(), wanted, given });
        }
    }
    Ok(())
}

fn exceeds(value: Option<u64>, ceiling: Option<u64>) -> bool {
    ceiling.is_some_and(|c| value.is_none_or(|v| v > c))
}

fn at_most(value: Option<u64>, ceiling: Option<u64>) -> Option<u64> {
    if exceeds(value, ceiling) { ceiling } else { value }
}

/// Written while /proc is the creator's. Going below the engine's own value needs CAP_SYS_RESOURCE in the initial user
/// namespace (proc_pid_oom_score_adj(5)); then the value is kept and reported.
pub(super) fn set_oom_score(wanted: i32, reporter: &Reporter) -> Result<(), Failure> {
    let path = "/proc/self/oom_score_adj";
    match std::fs::write(path, wanted.to_string()) {
        Err(e) if matches!(e.kind(), std::io::ErrorKind::PermissionDenied) => {
            let kept = std::fs::read_to_string(path).map_err(failed("read oom_score_adj"))?;
            reporter.warn(Warning::OomScoreKept { wanted, kept: kept.trim().parse().unwrap_or(0) });
            Ok(())
        }
        other => other.map_err(failed("write oom_score_adj")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_exceeds_every_ceiling_and_no_ceiling_is_exceeded() {
        assert!(exceeds(None, Some(10)) && exceeds(Some(11), Some(10)));
        assert!(!exceeds(Some(10), Some(10)) && !exceeds(None, None) && !exceeds(Some(u64::MAX), None));
        assert_eq!(at_most(None, Some(10)), Some(10));
        assert_eq!(at_most(Some(3), Some(10)), Some(3));
    }
}
