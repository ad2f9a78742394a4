//! The process of a container or an exec: from the specification to execve(2).

mod capabilities;
mod find;
mod io;
mod limits;
mod schedule;

pub use capabilities::capability_names;
pub(crate) use io::{IoPlan, Terminal};

use crate::{
    Class, Error, Failure, Result, Warning,
    report::{Message, Reporter, failed},
    root::Root,
    seccomp::Filter,
};
use capabilities::Capabilities;
use limits::Limit;
use oci_spec::runtime::Process;
use rustix::{
    fs::{Gid, Mode, OFlags, ResolveFlags, Uid},
    io::Errno,
};
use schedule::Schedule;
use std::{
    ffi::{CString, OsString},
    os::fd::OwnedFd,
    os::unix::ffi::OsStringExt,
    path::PathBuf,
};

/// A validated process.
#[derive(Debug)]
pub(crate) struct ProcessPlan {
    argv: Vec<CString>,
    envp: Vec<CString>,
    /// `PATH` among the variables.
    search: String,
    cwd: PathBuf,
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    umask: Option<u32>,
    capabilities: Capabilities,
    limits: Vec<Limit>,
    no_new_privileges: bool,
    oom_score_adj: Option<i32>,
    schedule: Schedule,
    personality: Option<u64>,
    seccomp: Option<Filter>,
    /// Connections are answered by a supervisor.
    bypass: bool,
    preserve_fds: u32,
}

impl ProcessPlan {
    pub(crate) fn plan(
        process: &Process,
        seccomp: Option<Filter>,
        bypass: bool,
        personality: Option<u64>,
        preserve_fds: u32,
    ) -> Result<Self> {
        refuse_labels(process)?;
        if bypass && seccomp.as_ref().is_some_and(Filter::notifies) {
            // EBUSY: a process has one listener (kernel/seccomp.c, `has_duplicate_listener`).
            let reason =
                "the container's own seccomp rules have SCMP_ACT_NOTIFY, and a process has one listener";
            return Err(Error::Unsupported { what: "bypass4netns", reason: reason.into() });
        }
        let args = process.args().as_deref().unwrap_or_default();
        if args.is_empty() || args[0].is_empty() && args.len() == 1 {
            return Err(Error::Spec { field: "process.args", reason: "must not be empty".into() });
        }
        let env = process.env().as_deref().unwrap_or_default();
        if !process.cwd().is_absolute() {
            return Err(Error::Spec { field: "process.cwd", reason: "must be an absolute path".into() });
        }
        let user = process.user();
        Ok(Self {
            argv: strings("process.args", args)?,
            envp: strings("process.env", env)?,
            search: env.iter().rev().find_map(|v| v.strip_prefix("PATH=")).unwrap_or_default().to_owned(),
            cwd: process.cwd().clone(),
            uid: user.uid(),
            gid: user.gid(),
            groups: user.additional_gids().clone().unwrap_or_default(),
            umask: user.umask(),
            capabilities: Capabilities::plan(process.capabilities().as_ref()),
            limits: limits::plan(process.rlimits().as_deref().unwrap_or_default()),
            no_new_privileges: process.no_new_privileges().unwrap_or(false),
            oom_score_adj: process.oom_score_adj(),
            schedule: Schedule::plan(process)?,
            personality,
            seccomp,
            bypass,
            preserve_fds,
        })
    }

    pub(crate) fn cwd(&self) -> &std::path::Path {
        &self.cwd
    }

    pub(crate) fn uid(&self) -> u32 {
        self.uid
    }

    pub(crate) fn filter(&self) -> Option<&Filter> {
        self.seccomp.as_ref()
    }

    /// What has to be written while /proc is still the creator's.
    pub(crate) fn set_oom_score(&self, reporter: &Reporter) -> Result<(), Failure> {
        self.oom_score_adj.map_or(Ok(()), |wanted| limits::set_oom_score(wanted, reporter))
    }

    /// Everything up to the point where the program could run: limits, directory, user, and whether it exists.
    pub(crate) fn prepare(&self, name: &str, reporter: &Reporter) -> Result<Ready<'_>, Failure> {
        new_keyring(name)?;
        limits::apply(&self.limits, reporter)?;
        self.schedule.apply()?;
        rustix::process::umask(Mode::from_raw_mode(self.umask.unwrap_or(0o022)));
        let entered = self.change_directory()?;
        let available = self.capabilities.limit_bounding(reporter)?;
        self.become_user(reporter)?;
        if !entered {
            rustix::process::chdir(&self.cwd).map_err(|e| self.cwd_failed(e))?;
        }
        self.check_directory()?;
        let program = find::program(&self.argv[0].to_string_lossy(), &self.search)?;
        let program = CString::new(program.into_os_string().into_vec()).map_err(failed("exec"))?;
        Ok(Ready { plan: self, program, available })
    }

    /// As the container's root if possible, which may enter directories that the user may not search; false when only
    /// the user can tell (network file systems).
    ///
    /// The directory is resolved without magic links: `/proc/self/fd/7` may be a directory outside (CVE-2024-21626).
    fn change_directory(&self) -> Result<bool, Failure> {
        let root = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let root = Root::new(root.map_err(failed("open root directory"))?);
        match root.open(&self.cwd, OFlags::PATH | OFlags::DIRECTORY, ResolveFlags::empty()) {
            Ok(directory) => match rustix::process::fchdir(&directory) {
                Ok(()) => Ok(true),
                Err(Errno::ACCESS) => Ok(false),
                Err(errno) => Err(self.cwd_failed(errno)),
            },
            Err(Errno::ACCESS) => Ok(false),
            Err(errno) => Err(self.cwd_failed(errno)),
        }
    }

    fn cwd_failed(&self, errno: Errno) -> Failure {
        let message = format!(
            "chdir to cwd (\"{}\") set in config.json failed: {}",
            self.cwd.display(),
            find::errno_text(errno)
        );
        Failure { step: "chdir".into(), message, class: Class::Other }
    }

    /// getcwd(2) of a directory outside the root begins with `(unreachable)`.
    fn check_directory(&self) -> Result<(), Failure> {
        let inside = match rustix::process::getcwd(Vec::new()) {
            Ok(path) => path.to_bytes().first() == Some(&b'/'),
            Err(Errno::NOENT) => false,
            Err(errno) => return Err(failed("getcwd")(errno)),
        };
        if inside {
            return Ok(());
        }
        let message = "current working directory is outside of container mount namespace root \
                       -- possible container breakout detected"
            .to_owned();
        Err(Failure { step: "chdir".into(), message, class: Class::Other })
    }

    fn become_user(&self, reporter: &Reporter) -> Result<(), Failure> {
        sys::caps::keep_over_setuid(true).map_err(failed("keep capabilities"))?;
        self.set_groups(reporter)?;
        let gid = Gid::from_raw(self.gid);
        rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(|e| unmapped("setgid", self.gid, e))?;
        let uid = Uid::from_raw(self.uid);
        rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(|e| unmapped("setuid", self.uid, e))?;
        sys::caps::keep_over_setuid(false).map_err(failed("keep capabilities"))?;
        // Both calls made the process inspectable by its new user again (prctl(2), PR_SET_DUMPABLE).
        sys::process::forbid_inspection().map_err(failed("forbid inspection"))
    }

    fn set_groups(&self, reporter: &Reporter) -> Result<(), Failure> {
        let groups: Vec<Gid> = self.groups.iter().map(|g| Gid::from_raw(*g)).collect();
        match rustix::thread::set_thread_groups(&groups) {
            Err(Errno::PERM) if setgroups_is_denied() => {
                if !self.groups.is_empty() {
                    reporter.warn(Warning::GroupsDropped { groups: self.groups.clone() });
                }
                Ok(())
            }
            Err(errno) => Err(failed("setgroups")(errno)),
            Ok(()) => Ok(()),
        }
    }
}

/// The state right before execve: nothing is left that could fail for want of a file or a right.
#[derive(Debug)]
pub(crate) struct Ready<'a> {
    plan: &'a ProcessPlan,
    program: CString,
    available: capabilities::Available,
}

impl Ready<'_> {
    /// The last steps, in an order that lets the filter see as little as possible of our own calls: after it only
    /// capset, prctl and execve (with no_new_privs only execve).
    pub(crate) fn execute(self, reporter: &Reporter) -> Result<std::convert::Infallible, Failure> {
        let plan = self.plan;
        sys::fds::cloexec_from(3).map_err(failed("close descriptors"))?;
        sys::fds::keep_over_exec(plan.preserve_fds).map_err(failed("preserve descriptors"))?;
        sys::signals::reset();
        if let Some(persona) = plan.personality {
            sys::process::set_personality(persona).map_err(failed("set personality"))?;
        }
        if plan.no_new_privileges {
            rustix::thread::set_no_new_privs(true).map_err(failed("set no_new_privs"))?;
            plan.capabilities.apply(&self.available)?;
            self.confine(reporter)?;
        } else {
            capabilities::raise_effective()?;
            self.confine(reporter)?;
            plan.capabilities.apply(&self.available)?;
        }
        let error = sys::process::exec(&self.program, &plan.argv, &plan.envp);
        Err(find::exec_failed(&self.program.to_string_lossy(), error.errno))
    }

    fn confine(&self, reporter: &Reporter) -> Result<(), Failure> {
        if self.plan.bypass {
            // First: the other one may forbid seccomp(2), or sending the listener.
            let filter = Filter::of_connections();
            if let Some(listener) = install(&filter)? {
                let sent = reporter.send_with(&Message::Connections, &[&listener]);
                sent.map_err(failed("hand over connections"))?;
            }
        }
        let Some(filter) = &self.plan.seccomp else { return Ok(()) };
        if let Some(listener) = install(filter)? {
            // Not to be taken out of us: who executed this program was not in the engine's user namespace, and only
            // someone with CAP_SYS_PTRACE there may (`__ptrace_may_access()`, `mm->user_ns`).
            let step = "hand over seccomp listener";
            reporter.send_with(&Message::Notify, &[&listener]).map_err(failed(step))?;
            if !reporter.wait() {
                return Err(failed(step)("the creator is gone"));
            }
        }
        Ok(())
    }
}

fn install(filter: &Filter) -> Result<Option<OwnedFd>, Failure> {
    sys::seccomp::install(filter.program(), filter.flags()).map_err(failed("install seccomp filter"))
}

/// In another user namespace one's IDs are what they were outside, most likely unmapped, until they are changed.
pub(crate) fn become_root() -> Result<(), Failure> {
    let (gid, uid) = (Gid::ROOT, Uid::ROOT);
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(failed("become root of the user namespace"))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(failed("become root of the user namespace"))
}

fn strings(field: &'static str, texts: &[String]) -> Result<Vec<CString>> {
    let convert = |text: &String| {
        CString::new(text.as_str())
            .map_err(|_| Error::Spec { field, reason: format!("{text:?} contains a null byte") })
    };
    texts.iter().map(convert).collect()
}

/// Security modules are not ours to command: profiles are loaded, and labels given, by the real root.
fn refuse_labels(process: &Process) -> Result<()> {
    let set = |label: &Option<String>| label.as_deref().is_some_and(|l| !l.is_empty() && l != "unconfined");
    if set(process.apparmor_profile()) {
        let reason = "an unprivileged engine cannot apply AppArmor profiles".into();
        return Err(Error::Unsupported { what: "process.apparmorProfile", reason });
    }
    if set(process.selinux_label()) {
        let reason = "an unprivileged engine cannot give SELinux labels".into();
        return Err(Error::Unsupported { what: "process.selinuxLabel", reason });
    }
    Ok(())
}

/// Not shared with the engine. A kernel without keys, or a filter that forbids them, leaves nothing to share; a full
/// quota (EDQUOT) is worth failing for.
fn new_keyring(name: &str) -> Result<(), Failure> {
    match sys::keyring::new_session(name) {
        Err(e) if !matches!(e.errno, Errno::NOSYS | Errno::PERM | Errno::ACCESS) => {
            Err(failed("join session keyring")(e))
        }
        _ => Ok(()),
    }
}

fn setgroups_is_denied() -> bool {
    // Inside the container after pivot_root, so its own /proc; absent in a container without one, where EPERM can have
    // no other cause: the process still has CAP_SETGID.
    std::fs::read_to_string("/proc/self/setgroups").map_or(true, |t| t.trim() == "deny")
}

fn unmapped(call: &'static str, id: u32, errno: Errno) -> Failure {
    let hint = if errno == Errno::INVAL { ": the ID has no mapping in the user namespace" } else { "" };
    failed(call)(format!("{id}: {}{hint}", OsString::from(find::errno_text(errno)).to_string_lossy()))
}
