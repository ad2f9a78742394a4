//! `create` and `start`.

use super::{
    args::{Args, Global, unknown},
    container::{Container, make_cgroup},
    store::{Directory, State, read_json},
};
use anyhow::{Context, Result, bail};
use oci_spec::runtime::{ContainerState, LinuxNamespaceType, Spec};
use runtime::{Cgroup, CreateOptions, Created, RootSource, StartGate, Stdio, WindowSize};
use std::{
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// The flags of `create`, which `run` shares.
#[derive(Debug, Default)]
pub(super) struct Flags {
    pub(super) bundle: Option<PathBuf>,
    pub(super) console_socket: Option<PathBuf>,
    pub(super) pid_file: Option<PathBuf>,
    pub(super) preserve_fds: u32,
}

impl Flags {
    /// Takes one flag; false when it is not one of these.
    pub(super) fn take(&mut self, args: &mut Args, flag: &str, given: Option<String>) -> Result<bool> {
        match flag {
            "bundle" | "b" => self.bundle = Some(args.value(flag, given)?.into()),
            "console-socket" => self.console_socket = Some(args.value(flag, given)?.into()),
            "pid-file" => self.pid_file = Some(args.value(flag, given)?.into()),
            "preserve-fds" => {
                self.preserve_fds = args.value(flag, given)?.parse().context("flag --preserve-fds")?
            }
            "no-pivot" if Args::switch(flag, given.clone())? => {
                bail!("flag --no-pivot: a container always has its own root")
            }
            "no-new-keyring" if Args::switch(flag, given)? => {
                bail!("flag --no-new-keyring: a container never shares its creator's keyring")
            }
            "no-pivot" | "no-new-keyring" => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub(super) fn bundle(&self) -> Result<PathBuf> {
        let bundle = self.bundle.clone().unwrap_or_else(|| PathBuf::from("."));
        bundle.canonicalize().with_context(|| format!("bundle {}", bundle.display()))
    }
}

pub(super) fn main(global: &Global, mut args: Args) -> Result<ExitCode> {
    let mut flags = Flags::default();
    while let Some((flag, given)) = args.flag() {
        if !flags.take(&mut args, &flag, given)? {
            return unknown(&flag);
        }
    }
    let id = args.only_id()?;
    let bundle = flags.bundle()?;
    let spec = load(&bundle)?;
    if is_terminal(&spec) && flags.console_socket.is_none() {
        bail!("cannot allocate tty if runc will detach without setting console socket");
    }
    make(global, &id, &bundle, &spec, &flags, None)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn load(bundle: &Path) -> Result<Spec> {
    let path = bundle.join("config.json");
    let spec: Spec = read_json(&path)?;
    if !spec.version().starts_with("1.") {
        bail!("{}: ociVersion {:?} is not supported", path.display(), spec.version());
    }
    Ok(spec)
}

pub(super) fn is_terminal(spec: &Spec) -> bool {
    spec.process().as_ref().and_then(|p| p.terminal()).unwrap_or(false)
}

/// Makes the container and remembers it. With `gate` the caller starts it; else `start` will.
pub(super) fn make(
    global: &Global,
    id: &str,
    bundle: &Path,
    spec: &Spec,
    flags: &Flags,
    gate: Option<StartGate<'_>>,
) -> Result<Created> {
    let directory = Directory::make(global, id)?;
    let cgroup = make_cgroup(spec, id);
    let made = cgroup.and_then(|cgroup| {
        make_in(&directory, id, bundle, spec, flags, gate, &cgroup).inspect_err(|_| {
            if let Err(e) = cgroup.remove() {
                eprintln!("lichen-shim oci: {e}");
            }
        })
    });
    if made.is_err() {
        directory.remove()?;
    }
    made
}

fn make_in(
    directory: &Directory,
    id: &str,
    bundle: &Path,
    spec: &Spec,
    flags: &Flags,
    gate: Option<StartGate<'_>>,
    cgroup: &Cgroup,
) -> Result<Created> {
    let rootfs = root_path(bundle, spec)?;
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let stdio = if is_terminal(spec) {
        Stdio::Terminal { size: size(spec) }
    } else {
        Stdio::Fds { stdin: stdin.as_fd(), stdout: stdout.as_fd(), stderr: stderr.as_fd() }
    };
    let fifo = if gate.is_none() { Some(directory.make_gate()?) } else { None };
    let gate = gate.or(fifo.as_ref().map(|f| StartGate::Fifo(f.as_fd()))).unwrap_or(StartGate::Socket);
    let mount = mounted(&rootfs, spec)?;
    let options = CreateOptions {
        id,
        bundle,
        spec,
        rootfs: mount.as_ref().map_or(RootSource::Directory(&rootfs), |m| RootSource::Mount(m.as_fd())),
        mounts: &[],
        netns: None,
        stdio,
        preserve_fds: flags.preserve_fds,
        bypass: false,
        cgroup,
        seccomp_cache: None,
        gate,
    };
    let mut created = runtime::create(&options)?;
    for warning in &created.warnings {
        eprintln!("lichen-shim oci: warning: {warning}");
    }
    let noted = note(directory, id, bundle, &rootfs, spec, flags, &mut created, cgroup);
    if noted.is_err() {
        sys::pidfd::signal(&created.pidfd, 9)?;
        sys::pidfd::wait(&created.pidfd)?;
    }
    noted.map(|()| created)
}

#[allow(clippy::too_many_arguments, reason = "what one record is made of")]
fn note(
    directory: &Directory,
    id: &str,
    bundle: &Path,
    rootfs: &Path,
    spec: &Spec,
    flags: &Flags,
    created: &mut Created,
    cgroup: &Cgroup,
) -> Result<()> {
    let state = State {
        id: id.to_owned(),
        bundle: bundle.to_owned(),
        rootfs: rootfs.to_owned(),
        init: created.process,
        created: model::Timestamp::now().to_string(),
        owner: rustix::process::getuid().as_raw(),
        cgroup: cgroup.path().map(Path::to_owned),
    };
    directory.write(&state, spec)?;
    if let Some(path) = &flags.console_socket {
        let master = created.console.take().context("--console-socket needs process.terminal")?;
        send_terminal(path, &master)?;
    }
    write_pid(flags.pid_file.as_deref(), created.process.pid)
}

pub(super) fn write_pid(path: Option<&Path>, pid: u32) -> Result<()> {
    path.map_or(Ok(()), |path| {
        std::fs::write(path, pid.to_string()).with_context(|| format!("write {}", path.display()))
    })
}

/// A caller without rights over its mounts leaves the binding to the child, in the container's own user namespace.
fn mounted(rootfs: &Path, spec: &Spec) -> Result<Option<OwnedFd>> {
    let namespaces = spec.linux().as_ref().and_then(|l| l.namespaces().as_ref());
    if namespaces.is_some_and(|n| n.iter().any(|n| n.typ() == LinuxNamespaceType::User)) {
        return Ok(None);
    }
    let plan = model::Rootfs::Dir { path: rootfs.to_owned() };
    Ok(Some(sys::overlay::mount_detached(&plan).context("mount the root file system")?))
}

fn root_path(bundle: &Path, spec: &Spec) -> Result<PathBuf> {
    let root = spec.root().as_ref().context("root is missing in config.json")?;
    let path = bundle.join(root.path());
    path.canonicalize().with_context(|| format!("root file system {}", path.display()))
}

fn size(spec: &Spec) -> Option<WindowSize> {
    let size = spec.process().as_ref()?.console_size()?;
    let cap = |n: u64| u16::try_from(n).unwrap_or(u16::MAX);
    Some(WindowSize { rows: cap(size.height()), columns: cap(size.width()) })
}

/// The terminal's master over the socket, with its name, as runc sends it (docs/terminals.md there).
pub(super) fn send_terminal(path: &Path, master: &OwnedFd) -> Result<()> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
    let failed = || format!("send terminal to {}", path.display());
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?).with_context(failed)?;
    sys::fds::send_with_fds(&socket, b"/dev/ptmx", &[master.as_fd()]).with_context(failed)?;
    Ok(())
}

pub(super) fn start(global: &Global, args: Args) -> Result<ExitCode> {
    let container = Container::open(global, &args.only_id()?)?;
    match container.status() {
        ContainerState::Created => {}
        ContainerState::Stopped => bail!("cannot start a container that has stopped"),
        _ => bail!("cannot start an already running container"),
    }
    container.directory.open_gate()?;
    runtime::run_poststart(
        &container.spec,
        &container.state.id,
        &container.state.bundle,
        container.state.init.pid,
    )?;
    Ok(ExitCode::SUCCESS)
}
