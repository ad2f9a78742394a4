//! Seccomp: from the rules of the specification to a BPF program.
//!
//! libseccomp compiles the rules; a few instructions of ours go in front of what it makes ([`prologue`]). Compiling
//! Docker's default rules takes some twenty milliseconds, so that the result can be kept in a directory ([`load`]), and
//! once for a container, whose exec processes share it ([`Filter::keep`]).

mod cache;
mod compile;
mod prologue;

use crate::{Error, Result};
use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSeccompFilterFlag};
use std::{
    io,
    path::{Path, PathBuf},
};

/// A compiled filter.
#[derive(Debug, Clone)]
pub struct Filter {
    program: Vec<u8>,
    flags: u64,
    /// The file of the cache that holds it.
    cached: Option<PathBuf>,
}

/// Where a filter was found makes no difference to what it does.
impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.program == other.program && self.flags == other.flags
    }
}

impl Eq for Filter {}

/// `SECCOMP_FILTER_FLAG_*` (`<linux/seccomp.h>`).
const FLAG_TSYNC: u64 = 1;
const FLAG_LOG: u64 = 1 << 1;
const FLAG_SPEC_ALLOW: u64 = 1 << 2;
const FLAG_NEW_LISTENER: u64 = 1 << 3;
const FLAG_WAIT_KILLABLE_RECV: u64 = 1 << 5;

impl Filter {
    /// BPF instructions in the machine's byte order.
    pub fn program(&self) -> &[u8] {
        &self.program
    }

    /// For seccomp(2).
    pub fn flags(&self) -> u64 {
        self.flags
    }

    /// Makes `path` a file to [`open`](Self::open) it from: a link to the cache's, or one of its own.
    pub fn keep(&self, path: &Path) -> io::Result<()> {
        match &self.cached {
            Some(cached) if std::fs::hard_link(cached, path).is_ok() => Ok(()),
            _ => std::fs::write(path, cache::file(&[], self.flags, &self.program)),
        }
    }

    /// A filter that was kept. None when there is no such file.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        let bytes = match std::fs::read(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let whole = cache::parse(&bytes).ok_or_else(|| io::Error::other("the file is cut short"))?;
        Ok(Some(Self { program: whole.program.to_vec(), flags: whole.flags, cached: Some(path.to_owned()) }))
    }

    /// Has connect(2) answered by whoever gets the listener (crate `bypass`).
    pub(crate) fn of_connections() -> Self {
        Self { program: prologue::connections(), flags: FLAG_NEW_LISTENER | FLAG_SPEC_ALLOW, cached: None }
    }

    /// Whether an agent is to be told of system calls.
    pub fn notifies(&self) -> bool {
        self.flags & FLAG_NEW_LISTENER != 0
    }
}

/// The filter for `rules`, from `cache` when it has been compiled before. None when the rules allow everything.
pub fn load(rules: &LinuxSeccomp, cache: Option<&Path>) -> Result<Option<Filter>> {
    if rules.default_action() == LinuxSeccompAction::ScmpActAllow
        && rules.syscalls().as_ref().is_none_or(Vec::is_empty)
    {
        return Ok(None);
    }
    refuse_notifying_of_ours(rules)?;
    let flags = flags(rules);
    let Some(directory) = cache else {
        return Ok(Some(Filter { program: compile::compile(rules)?, flags, cached: None }));
    };
    let entry = cache::Entry::of(rules, flags, directory)?;
    if let Some(program) = entry.read() {
        return Ok(Some(Filter { program, flags, cached: Some(entry.into_path()) }));
    }
    let program = compile::compile(rules)?;
    let cached = entry.write(&program).then(|| entry.into_path());
    Ok(Some(Filter { program, flags, cached }))
}

/// No flags at all mean SPEC_ALLOW, as in runc: mitigations against speculation cost more than they protect here, and
/// Linux 5.16 turned them off by default for the same reason.
fn flags(rules: &LinuxSeccomp) -> u64 {
    let bit = |flag: &LinuxSeccompFilterFlag| match flag {
        LinuxSeccompFilterFlag::SeccompFilterFlagLog => FLAG_LOG,
        LinuxSeccompFilterFlag::SeccompFilterFlagTsync => FLAG_TSYNC,
        LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => FLAG_SPEC_ALLOW,
        LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => FLAG_WAIT_KILLABLE_RECV,
    };
    let asked =
        rules.flags().as_ref().map_or(FLAG_SPEC_ALLOW, |f| f.iter().map(bit).fold(0, |all, b| all | b));
    // TSYNC is for processes with several threads; a new process has one, and the flag excludes NEW_LISTENER.
    let asked = asked & !FLAG_TSYNC;
    if notifies(rules) { asked | FLAG_NEW_LISTENER } else { asked }
}

fn notifies(rules: &LinuxSeccomp) -> bool {
    rules.syscalls().iter().flatten().any(|s| s.action() == LinuxSeccompAction::ScmpActNotify)
}

/// With the filter in place the new process sends the listener and waits for word that the agent has it. A call of these
/// that waits for the agent would wait for ever, and one that is denied would leave the agent without it. (runc refuses
/// `write` for the same reason.)
const OURS: [&str; 2] = ["sendmsg", "recvfrom"];

fn refuse_notifying_of_ours(rules: &LinuxSeccomp) -> Result<()> {
    let refused = |reason: String| Err(Error::Unsupported { what: "SCMP_ACT_NOTIFY", reason });
    if rules.default_action() == LinuxSeccompAction::ScmpActNotify {
        return refused("it cannot be the default action".into());
    }
    if !notifies(rules) {
        return Ok(());
    }
    for name in OURS {
        let harmful = actions(rules, name).into_iter().find(|action| {
            !matches!(action, LinuxSeccompAction::ScmpActAllow | LinuxSeccompAction::ScmpActLog)
        });
        match harmful {
            None => {}
            Some(LinuxSeccompAction::ScmpActNotify) => {
                return refused(format!("it cannot be for {name}, by which the agent gets the listener"));
            }
            Some(action) => {
                return refused(format!(
                    "it needs {name} allowed, by which the agent gets the listener, and the rules have {action} for it"
                ));
            }
        }
    }
    Ok(())
}

/// What may become of a call, as its arguments are.
fn actions(rules: &LinuxSeccomp, name: &str) -> Vec<LinuxSeccompAction> {
    let of_it = || rules.syscalls().iter().flatten().filter(|rule| rule.names().iter().any(|n| n == name));
    let always = of_it().any(|rule| rule.args().as_ref().is_none_or(Vec::is_empty));
    of_it().map(|rule| rule.action()).chain((!always).then_some(rules.default_action())).collect()
}

fn failed(step: &'static str) -> impl FnOnce(libseccomp::error::SeccompError) -> Error {
    move |e| Error::Seccomp { step, reason: e.to_string() }
}
