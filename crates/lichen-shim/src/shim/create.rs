//! `Create`, `Start`, `Shutdown`.

use super::connections::Connections;
use super::ends::Pipes;
use super::failed;
use super::log::{Demand, Log};
use super::process::Process;
use super::record::{self, Record};
use super::requests::one;
use super::serve::Shim;
use super::streams::{Ends, Streams};
use model::Timestamp;
use oci_spec::runtime::{ContainerState, LinuxNamespace, LinuxNamespaceType, Spec, UserBuilder};
use runtime::{CreateOptions, Created, External, GivenMount, Listener, Runtime, StartGate, Stdio};
use shim_proto::{
    Cgroup, Create, Failure, FailureClass, FromShim, ImageMount, Io, LogConfig, RuntimeChoice, Stage, Target,
    UserRequest,
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use sys::namespaces::Kind;

/// Where cgroup v2 is mounted.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Make the container up to its program. What was made before a failure is undone by being dropped; a cgroup is removed.
pub(super) fn create(shim: &mut Shim, create: &Create, fds: Vec<OwnedFd>) -> Result<FromShim, Failure> {
    if create.bypass.is_some() {
        Connections::check()?;
    }
    let netns = if create.joins_netns { Some(one(fds, "Create")?) } else { None };
    let log = open_log(shim, &create.log, Demand::Now)?;
    let cgroup = open_cgroup(&create.cgroup, true)?;
    match make(shim, create, netns.as_ref(), log, &cgroup) {
        Ok(reply) => {
            shim.watch_memory(cgroup);
            Ok(reply)
        }
        Err(failure) => {
            if let Err(e) = cgroup.remove() {
                eprintln!("lichen-shim: remove the cgroup of a failed container: {e}");
            }
            Err(failure)
        }
    }
}

fn make(
    shim: &mut Shim,
    create: &Create,
    netns: Option<&OwnedFd>,
    log: Log,
    cgroup: &runtime::Cgroup,
) -> Result<FromShim, Failure> {
    let rootfs =
        sys::overlay::mount_detached(&create.rootfs).map_err(failed("mount the root file system"))?;
    let mut spec = create.spec.clone();
    if let Some(process) = spec.process_mut() {
        set_user(process, rootfs.as_fd(), &create.user)?;
    }
    stay_where_we_are(&mut spec);
    let pipes =
        if create.io.tty { None } else { Some(Pipes::new(&create.io).map_err(failed("make pipes"))?) };
    let seccomp_cache = seccomp_cache(shim)?;
    let options = CreateOptions {
        id: shim.id.as_str(),
        bundle: &shim.run.shim(&shim.id),
        spec: &spec,
        rootfs: rootfs.as_fd().into(),
        mounts: &given_mounts(&spec, &create.images)?,
        netns: netns.map(AsFd::as_fd),
        stdio: stdio(pipes.as_ref(), &create.io),
        preserve_fds: 0,
        bypass: create.bypass.is_some(),
        cgroup,
        seccomp_cache: Some(&seccomp_cache),
        gate: StartGate::Socket,
    };
    let created = runtime_of(shim, &create.runtime).create(&options).map_err(from_runtime("create"))?;
    keep(shim, create, &spec, pipes, log, created)
}

/// Whoever joins a container that has the host's namespace stays in ours: what is the host's cannot be joined from a user
/// namespace (setns(2), EPERM), only kept. A path that leads nowhere is the runtime's to refuse.
fn stay_where_we_are(spec: &mut Spec) {
    let is_ours = |namespace: &LinuxNamespace| {
        let (Some(path), Some(kind)) = (namespace.path(), kind(namespace.typ())) else { return false };
        let theirs = path.to_str().and_then(|p| sys::namespaces::open(p).ok());
        let theirs = theirs.and_then(|t| sys::namespaces::identity(t.as_fd()).ok());
        theirs.is_some() && theirs == sys::namespaces::identity_of(None, kind).ok()
    };
    if let Some(namespaces) = spec.linux_mut().as_mut().and_then(|l| l.namespaces_mut().as_mut()) {
        namespaces.retain(|n| !is_ours(n));
    }
}

/// The kinds that one container may take from another.
fn kind(typ: LinuxNamespaceType) -> Option<Kind> {
    match typ {
        LinuxNamespaceType::Ipc => Some(Kind::Ipc),
        LinuxNamespaceType::Pid => Some(Kind::Pid),
        LinuxNamespaceType::Network => Some(Kind::Net),
        _ => None,
    }
}

/// What no path of this namespace leads to.
fn given_mounts(spec: &Spec, images: &[ImageMount]) -> Result<Vec<GivenMount>, Failure> {
    let mut given = joined_shm(spec)?;
    for image in images {
        let mount = sys::overlay::mount_detached(&image.rootfs)
            .and_then(|tree| sys::subtree::of(tree, &image.subpath))
            .map_err(failed("mount image"))?;
        given.push(GivenMount { source: image.source.clone(), mount });
    }
    Ok(given)
}

/// Another container's /dev/shm, which the engine writes as `/proc/PID/root/dev/shm`: no path leads this namespace to it.
fn joined_shm(spec: &Spec) -> Result<Vec<GivenMount>, Failure> {
    let at_shm = spec.mounts().iter().flatten().filter(|m| m.destination() == Path::new("/dev/shm"));
    let joined = at_shm.filter_map(|m| {
        let source = m.source().as_ref()?;
        let pid = source.to_str()?.strip_prefix("/proc/")?.strip_suffix("/root/dev/shm")?.parse().ok()?;
        Some((source, pid))
    });
    let clone = |(source, pid): (&PathBuf, u32)| {
        let mount = sys::namespaces::open_of(pid, Kind::Mount)
            .and_then(|namespace| sys::mount::clone_from(namespace, Path::new("/dev/shm"), true));
        Ok(GivenMount { source: source.clone(), mount: mount.map_err(failed("join /dev/shm"))? })
    };
    joined.map(clone).collect()
}

/// Note down what was made.
fn keep(
    shim: &mut Shim,
    create: &Create,
    spec: &Spec,
    pipes: Option<Pipes>,
    log: Log,
    created: Created,
) -> Result<FromShim, Failure> {
    for warning in &created.warnings {
        eprintln!("lichen-shim: {}: {warning}", shim.id.short());
    }
    let ends = ends(pipes, created.console)?;
    if let Some(filter) = &created.seccomp {
        filter.keep(&record::seccomp(&shim.run, &shim.id)).map_err(failed("keep the seccomp filter"))?;
    }
    let pid = created.process.pid;
    let bundle = shim.run.shim(&shim.id);
    let listener = Listener::of_spec(spec, shim.id.as_str(), &bundle, pid, ContainerState::Running);
    shim.record = Some(Record {
        shim: shim.own,
        init: created.process,
        stage: Stage::Created,
        started_at: None,
        user: create.user.user.clone(),
        io: create.io.clone(),
        log: create.log.clone(),
        cgroup: create.cgroup.clone(),
        runtime: create.runtime.clone(),
        personality: runtime::personality(spec).map_err(from_runtime("create"))?,
        listener: listener.map_err(from_runtime("create"))?,
        connections: None,
    });
    shim.connections = create.bypass.clone().map(Connections::new);
    shim.processes.push(Process {
        target: Target::Init,
        process: created.process,
        pidfd: created.pidfd,
        adopted: false,
        unreaped_since: None,
        streams: Streams::new(create.io.clone(), ends, Some(log)).map_err(failed("set up the streams"))?,
        exit: None,
        announced: false,
    });
    shim.pending = Some(created.pending);
    shim.stage = Stage::Created;
    // The holder does it while we go on: `start` makes sure that it has.
    shim.keep().map_err(failed("have the holder keep the streams"))?;
    Ok(FromShim::Created { pid })
}

/// Run the container's program. From here on the container can outlive this shim, so what a replacement needs is
/// recorded before; until then it dies with the shim (`StartGate::Socket`).
pub(super) fn start(shim: &mut Shim) -> Result<FromShim, Failure> {
    let Some(pending) = shim.pending.take() else {
        return Err(Failure::new(FailureClass::Conflict, "start", "the container is being started already"));
    };
    let at = Timestamp::now();
    if let Some(record) = &mut shim.record {
        record.started_at = Some(at);
    }
    write_record(shim, Stage::Running)?;
    shim.kept.confirm().map_err(failed("have the holder keep the streams"))?;
    if let Some(listener) = pending.start().map_err(from_runtime("start"))? {
        shim.supervise(listener)?;
    }
    shim.stage = Stage::Running;
    let process = shim.init().map(|p| p.process);
    let process = process
        .ok_or_else(|| Failure::new(FailureClass::Other, "start", "the container's init is unknown"))?;
    Ok(FromShim::Started { process, at })
}

/// Undo `Create` if the program never ran; then end the loop.
pub(super) fn shut_down(shim: &mut Shim) -> Result<FromShim, Failure> {
    shim.pending = None;
    for process in shim.processes.iter_mut().filter(|p| p.is_running()) {
        sys::pidfd::signal(&process.pidfd, 9).map_err(failed("kill the unstarted container"))?;
        if !process.adopted {
            sys::pidfd::wait(&process.pidfd).map_err(failed("wait for the unstarted container"))?;
        }
    }
    if shim.stage == Stage::Created {
        shim.kept.stop(shim.id.as_str()).map_err(failed("have the holder drop the streams"))?;
        if let Some(record) = &shim.record {
            let delete = runtime_of(shim, &record.runtime).delete(shim.id.as_str());
            delete.map_err(from_runtime("delete"))?;
        }
        shim.cgroup.remove().map_err(failed("remove the cgroup"))?;
    }
    // Before the answer: the container's next shim may use the same directory at once.
    let dir = shim.run.shim(&shim.id);
    std::fs::remove_dir_all(&dir).map_err(failed("remove the shim's directory"))?;
    shim.ending = true;
    Ok(FromShim::Done)
}

/// Bring `shim.json` up to date.
pub(super) fn write_record(shim: &mut Shim, stage: Stage) -> Result<(), Failure> {
    let Some(record) = &mut shim.record else { return Ok(()) };
    record.stage = stage;
    record.write(&shim.run, &shim.id).map_err(failed("write shim.json"))
}

/// Fill in the user, and HOME unless it was given (runc does the same).
pub(super) fn set_user(
    process: &mut oci_spec::runtime::Process,
    root: BorrowedFd<'_>,
    request: &UserRequest,
) -> Result<(), Failure> {
    let resolved = spec::user::resolve(root, &request.user, &request.groups).map_err(|e| {
        let class = match e.kind() {
            model::ErrorKind::InvalidParameter => FailureClass::InvalidParameter,
            _ => FailureClass::Other,
        };
        Failure::new(class, "resolve user", e)
    })?;
    let mut user = UserBuilder::default()
        .uid(resolved.uid)
        .gid(resolved.gid)
        .additional_gids(resolved.additional_gids)
        .build()
        .map_err(failed("resolve user"))?;
    user.set_umask(process.user().umask());
    process.set_user(user);
    let mut env = process.env().clone().unwrap_or_default();
    if !env.iter().any(|e| e.starts_with("HOME=")) {
        env.push(format!("HOME={}", resolved.home));
        process.set_env(Some(env));
    }
    Ok(())
}

pub(super) fn stdio<'a>(pipes: Option<&'a Pipes>, io: &Io) -> Stdio<'a> {
    match pipes {
        Some(pipes) => {
            let (stdin, stdout, stderr) = pipes.theirs();
            Stdio::Fds { stdin, stdout, stderr }
        }
        None => Stdio::Terminal {
            size: io.size.map(|s| runtime::WindowSize { rows: s.rows, columns: s.columns }),
        },
    }
}

/// Our ends; the process's ends of the pipes are closed here, or their end of file would never come.
pub(super) fn ends(pipes: Option<Pipes>, console: Option<OwnedFd>) -> Result<Ends, Failure> {
    match (pipes, console) {
        (Some(pipes), _) => Ok(pipes.ours),
        (None, Some(master)) => Ends::of_terminal(master).map_err(failed("set up the terminal")),
        (None, None) => {
            Err(Failure::new(FailureClass::Other, "set up the terminal", "the runtime made none"))
        }
    }
}

/// The step's name is Docker's, which people look for.
pub(super) fn open_log(shim: &Shim, config: &LogConfig, demand: Demand) -> Result<Log, Failure> {
    Log::open(config, &shim.id, demand).map_err(|e| {
        let class = match e.kind() {
            model::ErrorKind::InvalidParameter => FailureClass::InvalidParameter,
            _ => FailureClass::Other,
        };
        Failure::new(class, "initialize logging driver", e)
    })
}

pub(super) fn open_cgroup(cgroup: &Cgroup, make: bool) -> Result<runtime::Cgroup, Failure> {
    let Cgroup::Cgroupfs { path } = cgroup else {
        return Ok(runtime::Cgroup::none("no cgroup v2 is delegated to this user"));
    };
    let path = Path::new(CGROUPS).join(path.strip_prefix("/").unwrap_or(path));
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|n| n.to_str())) else {
        let message = format!("{} names no cgroup", path.display());
        return Err(Failure::new(FailureClass::InvalidParameter, "make the cgroup", message));
    };
    let opened = if make { runtime::Cgroup::create(parent, name) } else { runtime::Cgroup::open(&path) };
    opened.map_err(failed("make the cgroup"))
}

pub(super) fn runtime_of(shim: &Shim, choice: &RuntimeChoice) -> Runtime {
    match choice {
        RuntimeChoice::Builtin => Runtime::Builtin,
        RuntimeChoice::External { path, args } => Runtime::External(External {
            program: path.clone(),
            args: args.clone(),
            root: shim.run.shim(&shim.id).join("runtime"),
        }),
    }
}

/// Compiled filters, shared by all containers.
fn seccomp_cache(shim: &Shim) -> Result<PathBuf, Failure> {
    let path = shim.run.root().join("seccomp");
    match std::fs::create_dir(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(failed("make the seccomp cache")(e)),
        _ => Ok(path),
    }
}

pub(super) fn from_runtime(step: &'static str) -> impl FnOnce(runtime::Error) -> Failure {
    move |error| {
        let class = match error.class() {
            runtime::Class::NotFound => FailureClass::NotFound,
            runtime::Class::NotExecutable => FailureClass::NotExecutable,
            runtime::Class::Other => match error.kind() {
                model::ErrorKind::InvalidParameter => FailureClass::InvalidParameter,
                model::ErrorKind::NotImplemented => FailureClass::Unsupported,
                _ => FailureClass::Other,
            },
        };
        Failure::new(class, step, error)
    }
}
