//! `exec`: one more process in a running container.

use crate::{
    Cgroup, Error, Failure, Result, Stdio, Warning,
    container::unexpected,
    namespaces::Join,
    notify::{self, Listener},
    process::{IoPlan, ProcessPlan},
    report::{Message, Reporter, Watcher, failed},
    root::Root,
    seccomp::Filter,
    spawn,
};
use model::{ErrorKind, ProcessRef};
use oci_spec::runtime::Process;
use std::{
    convert::Infallible,
    os::fd::{BorrowedFd, OwnedFd},
    path::Path,
};
use sys::{
    clone::Child,
    namespaces::{Kind, Set},
};

/// What `exec` needs to know of the container and of the new process.
#[derive(Debug)]
pub struct ExecOptions<'a> {
    /// The container's init, whose namespaces and root are joined: all that differ from the caller's.
    pub init: BorrowedFd<'a>,
    pub init_process: ProcessRef,
    pub process: &'a Process,
    /// The container's own filter; an exec is confined like its container.
    pub seccomp: Option<&'a Filter>,
    pub stdio: Stdio<'a>,
    pub preserve_fds: u32,
    /// As in [`CreateOptions`](crate::CreateOptions).
    pub bypass: bool,
    pub cgroup: &'a Cgroup,
    /// Who is told of system calls, when the rules say `SCMP_ACT_NOTIFY`: see [`Listener::of_spec`].
    pub listener: Option<&'a Listener>,
    /// The container's execution domain ([`personality`](crate::personality)).
    pub personality: Option<u64>,
}

/// A process that has executed its program.
#[derive(Debug)]
pub struct Executing {
    /// As the caller's PID namespace numbers it.
    pub process: ProcessRef,
    pub pidfd: OwnedFd,
    pub console: Option<OwnedFd>,
    pub warnings: Vec<Warning>,
    /// Where its connections are to be answered, with [`ExecOptions::bypass`].
    pub connections: Option<OwnedFd>,
}

/// Runs `options.process` in all namespaces of the container and returns once its program has been executed.
///
/// The caller must be single-threaded, and gets the process as its own child.
pub fn exec(options: &ExecOptions<'_>) -> Result<Executing> {
    let plan = ExecPlan {
        process: ProcessPlan::plan(
            options.process,
            options.seccomp.cloned(),
            options.bypass,
            options.personality,
            options.preserve_fds,
        )?,
        namespaces: differing(options)?,
        io: IoPlan(options.stdio),
        init: options.init,
    };
    let before = joined_before(options, plan.namespaces)?;
    // Namespaces were looked up by number; only now is it certain whose they were.
    if !sys::process::is_alive(options.init_process) {
        return Err(gone(options));
    }
    let (child, watcher) = spawn::spawn(&before, Set::EMPTY, options.cgroup, |reporter| plan.run(reporter))?;
    match follow(options, &child, &watcher) {
        Ok(followed) => Ok(Executing {
            process: followed.process,
            pidfd: child.pidfd,
            console: followed.console,
            warnings: followed.warnings,
            connections: followed.connections,
        }),
        Err(e) => Err(spawn::bury(&child, e)),
    }
}

fn gone(options: &ExecOptions<'_>) -> Error {
    let id = format!("with PID {}", options.init_process.pid);
    Error::Container { id, reason: "is not running", kind: ErrorKind::Conflict }
}

fn differing(options: &ExecOptions<'_>) -> Result<Set> {
    sys::namespaces::differing(options.init_process.pid).map_err(|_| gone(options))
}

/// Joined before the process is made: the PID namespace, so that it is born there, and the user namespace, which gives
/// the right to.
const BEFORE: [Kind; 2] = [Kind::User, Kind::Pid];

fn joined_before(options: &ExecOptions<'_>, differing: Set) -> Result<Vec<Join>> {
    let open = |kind| {
        let fd = sys::namespaces::open_of(options.init_process.pid, kind);
        let step = |e: sys::Error| Error::Step { step: "open namespace", source: e.into() };
        Ok(Join { kind, fd: fd.map_err(step)? })
    };
    BEFORE.into_iter().filter(|kind| differing.contains(*kind)).map(open).collect()
}

struct ExecPlan<'a> {
    process: ProcessPlan,
    namespaces: Set,
    io: IoPlan<'a>,
    init: BorrowedFd<'a>,
}

impl ExecPlan<'_> {
    /// In the child.
    fn run(&self, reporter: &Reporter) -> Result<Infallible, Failure> {
        self.process.set_oom_score(reporter)?;
        sys::process::forbid_inspection().map_err(failed("forbid inspection"))?;
        let rest = BEFORE.into_iter().fold(self.namespaces, Set::without);
        if !rest.is_empty() {
            sys::namespaces::join_process(self.init, rest)
                .map_err(failed("join namespaces of the container"))?;
        }
        if self.namespaces.contains(Kind::User) {
            crate::process::become_root()?;
        }
        let root = Root::new(sys::mount::open_path(Path::new("/")).map_err(failed("open root directory"))?);
        let terminal = self.io.open_terminal(&root, reporter)?;
        self.io.connect(terminal.as_ref(), self.process.uid())?;
        let ready = self.process.prepare("_ses.exec", reporter)?;
        drop((root, terminal));
        ready.execute(reporter)
    }
}

/// What the parent has from the child.
struct Followed {
    process: ProcessRef,
    console: Option<OwnedFd>,
    warnings: Vec<Warning>,
    connections: Option<OwnedFd>,
}

fn follow(options: &ExecOptions<'_>, child: &Child, watcher: &Watcher) -> Result<Followed> {
    // Read before the program can exit: a child that nobody has waited for still has its entry in /proc.
    let process = sys::process::reference(child.pid)
        .map_err(|e| Error::Step { step: "look at the new process", source: e.into() })?;
    let mut followed = Followed { process, console: None, warnings: Vec::new(), connections: None };
    while let Some((message, mut fds)) = watcher.next()? {
        match message {
            Message::Console => followed.console = fds.pop(),
            Message::Warning(warning) => followed.warnings.push(warning),
            Message::Failed(failure) => return Err(Error::Process(failure)),
            Message::Connections => followed.connections = fds.pop(),
            Message::Notify => {
                notify::hand_over(&child.pidfd, fds.pop(), options.listener)?;
                watcher.go()?;
            }
            other => return Err(unexpected(&other, "the program to run")),
        }
    }
    Ok(followed)
}
