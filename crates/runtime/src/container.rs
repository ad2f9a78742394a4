//! `create` and `start`.

use crate::{
    Cgroup, Error, External, Result, Stdio, Warning,
    hooks::{self, Moment},
    init::{self, InitPlan},
    notify::{self, Listener},
    report::{Message, Watcher},
    seccomp::Filter,
    spawn,
};
use model::ProcessRef;
use oci_spec::runtime::{ContainerState, Hook, Spec, State};
use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};
use sys::clone::Child;

/// Everything `create` needs beside the specification. Nothing here is owned: the caller keeps its descriptors.
#[derive(Debug)]
pub struct CreateOptions<'a> {
    pub id: &'a str,
    /// Told to hooks and seccomp agents; nothing is read from it.
    pub bundle: &'a Path,
    /// `root.path` in it is ignored (see `rootfs`); everything else is carried out, refused or warned about.
    pub spec: &'a Spec,
    pub rootfs: RootSource<'a>,
    /// Detached mounts that stand in for some of the specification's binds.
    pub mounts: &'a [GivenMount],
    /// The network namespace to join; takes precedence over the specification's path.
    pub netns: Option<BorrowedFd<'a>>,
    pub stdio: Stdio<'a>,
    /// How many inherited descriptors from 3 on the program keeps (`--preserve-fds`, socket activation).
    pub preserve_fds: u32,
    pub cgroup: &'a Cgroup,
    /// Has connect(2) of the container's processes wait for an answer (crate `bypass`); the descriptor that the calls
    /// are answered by comes from [`Pending::start`].
    pub bypass: bool,
    /// Where compiled seccomp filters are kept between containers; a private directory. None: compile every time.
    pub seccomp_cache: Option<&'a Path>,
    pub gate: StartGate<'a>,
}

/// A detached mount for every bind of `source`, which as a path need not exist: what belongs to another mount namespace
/// can only be had as a descriptor ([`sys::mount::clone_from`]). It can be attached once.
#[derive(Debug)]
pub struct GivenMount {
    pub source: PathBuf,
    pub mount: OwnedFd,
}

/// Where the root file system comes from.
#[derive(Debug, Clone, Copy)]
pub enum RootSource<'a> {
    /// A detached mount from [`sys::overlay::mount_detached`]. The child attaches it in its own mount namespace, so the
    /// caller may look into it first (to resolve users), and nothing leaks.
    Mount(BorrowedFd<'a>),
    /// A directory, bound by the child: for callers that may not mount anything themselves, whose container gets its
    /// own user namespace.
    Directory(&'a Path),
}

impl<'a> From<BorrowedFd<'a>> for RootSource<'a> {
    fn from(mount: BorrowedFd<'a>) -> Self {
        Self::Mount(mount)
    }
}

/// What the created process waits on before it executes the program.
#[derive(Debug, Clone, Copy)]
pub enum StartGate<'a> {
    /// A socket inside [`Pending`]. When the creator dies first, so does the container.
    Socket,
    /// A FIFO opened for reading and writing: whoever writes one byte to it starts the container, even after its
    /// creator is gone (the OCI command line).
    Fifo(BorrowedFd<'a>),
}

/// A container whose program has not been started.
#[derive(Debug)]
pub struct Created {
    pub process: ProcessRef,
    /// Readable when the process has exited; wait on it with `sys::pidfd::wait`.
    pub pidfd: OwnedFd,
    /// The terminal's master, with [`Stdio::Terminal`].
    pub console: Option<OwnedFd>,
    pub warnings: Vec<Warning>,
    /// What exec processes of the container are to be confined by as well.
    pub seccomp: Option<Filter>,
    pub pending: Pending,
}

/// The second phase of a container's creation.
#[derive(Debug)]
pub struct Pending(Kind);

#[derive(Debug)]
enum Kind {
    // Boxed: the other is much smaller.
    Builtin(Box<Builtin>),
    External { external: External, id: String },
}

#[derive(Debug)]
struct Builtin {
    watcher: Watcher,
    pidfd: OwnedFd,
    listener: Option<Listener>,
    /// Hooks for after the program has started, and what they are told.
    poststart: (Vec<Hook>, State),
}

impl Pending {
    /// Lets the program run, and returns once it does, or with the reason why it does not (`exec format error`).
    ///
    /// When a poststart hook fails, the container is killed and the hook's error returned (runc does the same). With
    /// [`CreateOptions::bypass`] this returns where the container's connections are to be answered.
    pub fn start(self) -> Result<Option<OwnedFd>> {
        match self.0 {
            Kind::Builtin(builtin) => builtin.start(),
            Kind::External { external, id } => external.start(&id).map(|()| None),
        }
    }

    pub(crate) fn external(external: External, id: &str) -> Self {
        Self(Kind::External { external, id: id.to_owned() })
    }
}

impl Builtin {
    fn start(self) -> Result<Option<OwnedFd>> {
        let mut connections = None;
        self.watcher.go()?;
        while let Some((message, mut fds)) = self.watcher.next()? {
            match message {
                Message::Failed(failure) => return Err(Error::Process(failure)),
                Message::Notify => {
                    notify::hand_over(&self.pidfd, fds.pop(), self.listener.as_ref())?;
                    self.watcher.go()?;
                }
                Message::Connections => connections = fds.pop(),
                other => return Err(unexpected(&other, "the program to run")),
            }
        }
        let (hooks, state) = self.poststart;
        hooks::run(&hooks, &state).inspect_err(|_| drop(sys::pidfd::signal(&self.pidfd, 9)))?;
        Ok(connections)
    }
}

/// Makes a container up to the point before its program runs.
///
/// The caller must be single-threaded, and gets the process as its own child. On failure nothing is left of it.
pub fn create(options: &CreateOptions<'_>) -> Result<Created> {
    let plan = InitPlan::plan(options)?;
    let listener = Listener::of(options)?;
    let mut warnings = apply_limits(options)?;
    let before = &plan.namespaces.before;
    let (child, watcher) =
        spawn::spawn(before, plan.cloned(), options.cgroup, |reporter| plan.run(reporter))?;
    let console = match accompany(&plan, options, &child, &watcher, &mut warnings) {
        Ok(console) => console,
        Err(e) => return Err(spawn::bury(&child, e)),
    };
    let process = match sys::process::reference(child.pid) {
        Ok(process) => process,
        Err(e) => {
            return Err(spawn::bury(
                &child,
                Error::Step { step: "look at the new process", source: e.into() },
            ));
        }
    };
    let pidfd = rustix::io::fcntl_dupfd_cloexec(&child.pidfd, 3).map_err(Error::step("duplicate pidfd"))?;
    let state = plan.state(ContainerState::Running, process.pid)?;
    let poststart = (hooks::at(options.spec, Moment::Poststart).to_vec(), state);
    let pending = Pending(Kind::Builtin(Box::new(Builtin { watcher, pidfd, listener, poststart })));
    let seccomp = plan.filter().cloned();
    Ok(Created { process, pidfd: child.pidfd, console, warnings, seccomp, pending })
}

fn apply_limits(options: &CreateOptions<'_>) -> Result<Vec<Warning>> {
    match init::linux(options.spec).and_then(|l| l.resources().as_ref()) {
        Some(resources) => options.cgroup.apply(resources),
        None => Ok(Vec::new()),
    }
}

/// Does for the child what it cannot do itself, until it is ready. Returns the terminal's master.
fn accompany(
    plan: &InitPlan<'_>,
    options: &CreateOptions<'_>,
    child: &Child,
    watcher: &Watcher,
    warnings: &mut Vec<Warning>,
) -> Result<Option<OwnedFd>> {
    let mut console = None;
    while let Some((message, mut fds)) = watcher.next()? {
        match message {
            Message::Namespaces => {
                let pid = child.pid.as_raw_pid().unsigned_abs();
                if let Some(maps) = &plan.namespaces.maps {
                    spawn::write_id_maps(pid, maps)?;
                }
                let state = plan.state(ContainerState::Creating, pid)?;
                hooks::run(hooks::at(options.spec, Moment::Prestart), &state)?;
                hooks::run(hooks::at(options.spec, Moment::CreateRuntime), &state)?;
                watcher.go()?;
            }
            Message::Console => console = fds.pop(),
            Message::Warning(warning) => warnings.push(warning),
            Message::Ready => return Ok(console),
            Message::Failed(failure) => return Err(Error::Process(failure)),
            Message::Sibling { .. } | Message::Notify | Message::Connections => {
                return Err(unexpected(&message, "the new process to be ready"));
            }
        }
    }
    Err(Error::Vanished { status: None })
}

pub(crate) fn unexpected(message: &Message, expected: &'static str) -> Error {
    Error::Step {
        step: "follow the new process",
        source: io::Error::other(format!("{message:?} instead of {expected}")),
    }
}
