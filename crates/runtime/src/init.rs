//! The child's side of `create`: a recipe that reads top to bottom, from clone to execve.

use crate::{
    CreateOptions, Error, Failure, Result, RootSource, StartGate,
    devices::{self, Device},
    hooks::{self, Moment},
    masks,
    mounts::{self, MountKind, MountPlan},
    namespaces::{IdMaps, Namespaces},
    process::{IoPlan, ProcessPlan},
    report::{At, Message, Reporter, failed},
    root::Root,
    seccomp,
    sysctl::{self, Sysctl},
};
use oci_spec::runtime::{ContainerState, Linux, LinuxPersonalityDomain, Spec, State};
use rustix::fs::Mode;
use rustix::mount::{MountPropagationFlags, UnmountFlags};
use std::{
    convert::Infallible,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};
use sys::{
    mount::{Attributes, Propagation},
    namespaces::{Kind, Set},
};

/// Everything the child does, validated before there is a child.
#[derive(Debug)]
pub(crate) struct InitPlan<'a> {
    options: &'a CreateOptions<'a>,
    pub(crate) namespaces: Namespaces,
    mounts: Vec<MountPlan>,
    devices: Option<Vec<Device>>,
    sysctls: Vec<Sysctl>,
    propagation: Option<(Propagation, bool)>,
    process: ProcessPlan,
    io: IoPlan<'a>,
}

impl<'a> InitPlan<'a> {
    pub(crate) fn plan(options: &'a CreateOptions<'a>) -> Result<Self> {
        let spec = options.spec;
        refuse_unsupported(spec)?;
        let namespaces = Namespaces::plan(spec, options.netns)?;
        if !namespaces.new.contains(Kind::Mount) {
            let reason = "its mounts would be its creator's".into();
            return Err(Error::Unsupported { what: "a container without a new mount namespace", reason });
        }
        let mounts = mounts::plan(spec)?;
        let process = spec.process().as_ref().ok_or_else(|| missing("process"))?;
        let filter = match linux(spec).and_then(|l| l.seccomp().as_ref()) {
            Some(rules) => seccomp::load(rules, options.seccomp_cache)?,
            None => None,
        };
        if matches!(options.gate, StartGate::Fifo(_)) && filter.as_ref().is_some_and(|f| f.notifies()) {
            let reason = "nobody is left to take the listener when the container starts".into();
            return Err(Error::Unsupported { what: "SCMP_ACT_NOTIFY with a separate start", reason });
        }
        // A /dev of the host's is complete, and not ours to change (runc, `needsSetupDev`).
        let dev_is_bound = mounts
            .iter()
            .any(|m| m.destination == Path::new("/dev") && matches!(m.kind, MountKind::Bind { .. }));
        Ok(Self {
            sysctls: sysctl::plan(spec, &namespaces)?,
            devices: if dev_is_bound { None } else { Some(devices::plan(spec)?) },
            propagation: root_propagation(spec)?,
            process: ProcessPlan::plan(
                process,
                filter,
                options.bypass,
                personality(spec)?,
                options.preserve_fds,
            )?,
            io: IoPlan(options.stdio),
            options,
            namespaces,
            mounts,
        })
    }

    /// What clone itself makes. A cgroup namespace is rooted in the cgroup its maker is in (cgroup_namespaces(7)), so
    /// with a cgroup of its own the container makes it after it has entered that.
    pub(crate) fn cloned(&self) -> Set {
        if self.options.cgroup.dir().is_some() {
            self.namespaces.new.without(Kind::Cgroup)
        } else {
            self.namespaces.new
        }
    }

    pub(crate) fn filter(&self) -> Option<&seccomp::Filter> {
        self.process.filter()
    }

    /// Whether the parent has something to do before the child may go on.
    pub(crate) fn needs_parent(&self) -> bool {
        let spec = self.options.spec;
        self.namespaces.maps.is_some()
            || !hooks::at(spec, Moment::Prestart).is_empty()
            || !hooks::at(spec, Moment::CreateRuntime).is_empty()
    }

    /// In the child. Returns only to say why not.
    pub(crate) fn run(&self, reporter: &Reporter) -> Result<Infallible, Failure> {
        // Directories made on the way to mounts and devices are for every user of the container to pass, however strict
        // the parent is with its own files; the process gets its umask later.
        rustix::process::umask(Mode::from_raw_mode(0o022));
        self.settle(reporter)?;
        self.join()?;
        self.name()?;
        let root = self.attach_root()?;
        let proc = self.mount_all(&root)?;
        sysctl::write(&self.sysctls, proc.as_ref())?;
        let terminal = self.furnish(&root, reporter)?;
        self.restrict(&root)?;
        self.run_hooks(Moment::CreateContainer, ContainerState::Creating)?;
        self.pivot(&root)?;
        self.io.connect(terminal.as_ref(), self.process.uid())?;
        let ready = self.process.prepare(&format!("_ses.{}", self.options.id), reporter)?;
        drop((root, proc, terminal));
        reporter.send(&Message::Ready);
        self.wait_for_start(reporter)?;
        self.run_hooks(Moment::StartContainer, ContainerState::Created)?;
        ready.execute(reporter).inspect_err(say_on_stderr)
    }

    /// What must come first: the maps, so that there is a root; what is written through the creator's /proc.
    fn settle(&self, reporter: &Reporter) -> Result<(), Failure> {
        if self.needs_parent() {
            reporter.send(&Message::Namespaces);
            if !reporter.wait() {
                return Err(failed("wait for the creator")("it is gone"));
            }
        }
        if self.namespaces.joins(Kind::User) || self.namespaces.maps.as_ref().is_some_and(IdMaps::has_root) {
            crate::process::become_root()?;
        }
        self.process.set_oom_score(reporter)?;
        sys::process::forbid_inspection().map_err(failed("forbid inspection"))
    }

    fn join(&self) -> Result<(), Failure> {
        let plan = &self.namespaces;
        for join in &plan.after {
            sys::namespaces::join(&join.fd, join.kind).map_err(failed("join namespace"))?;
        }
        let late = plan.new.contains(Kind::Cgroup) && !self.cloned().contains(Kind::Cgroup);
        if late {
            sys::namespaces::unshare(Set::of(&[Kind::Cgroup])).map_err(failed("new cgroup namespace"))?;
        }
        if plan.new.contains(Kind::Net) {
            sys::net::loopback_up().map_err(failed("set loopback up"))?;
        }
        Ok(())
    }

    fn name(&self) -> Result<(), Failure> {
        let spec = self.options.spec;
        let given = |name: &Option<String>| name.clone().filter(|n| !n.is_empty());
        if let Some(name) = given(spec.hostname()) {
            rustix::system::sethostname(name.as_bytes()).map_err(failed("set hostname"))?;
        }
        if let Some(name) = given(spec.domainname()) {
            rustix::system::setdomainname(name.as_bytes()).map_err(failed("set domainname"))?;
        }
        Ok(())
    }

    /// Attaches the root file system over `/`, where pivot_root(2) can find it. The process still sees the creator's
    /// files, because its own root stays the mount below.
    fn attach_root(&self) -> Result<Root, Failure> {
        let (propagation, recursive) = self.propagation.unwrap_or((Propagation::Slave, true));
        let old = sys::mount::open_path(Path::new("/")).map_err(failed("open /"))?;
        sys::mount::set_propagation(&old, propagation, recursive).map_err(failed("set propagation of /"))?;
        if propagation == Propagation::Shared {
            // pivot_root(2) wants the parent of the new root not to be shared.
            sys::mount::set_propagation(&old, Propagation::Private, false)
                .map_err(failed("set propagation of /"))?;
        }
        let mount = match self.options.rootfs {
            RootSource::Mount(fd) => {
                rustix::io::fcntl_dupfd_cloexec(fd, 3).map_err(failed("duplicate root"))?
            }
            RootSource::Directory(path) => {
                sys::mount::clone_path(path, true).at("bind root", path.display())?
            }
        };
        // A bind of a directory is still a peer of where it comes from.
        sys::mount::set_propagation(&mount, Propagation::Slave, true)
            .map_err(failed("set propagation of root"))?;
        sys::mount::attach(&mount, &old).map_err(failed("attach root file system"))?;
        Ok(Root::new(mount))
    }

    /// Returns the container's procfs, if it has one, for what is written through it.
    fn mount_all(&self, root: &Root) -> Result<Option<OwnedFd>, Failure> {
        let mut proc = None;
        for plan in &self.mounts {
            let mount = mounts::carry_out(plan, root, self.options.mounts)?;
            if plan.kind == MountKind::Proc && plan.destination == Path::new("/proc") {
                proc = Some(mount);
            }
        }
        Ok(proc)
    }

    /// /dev, the terminal, and the working directory.
    fn furnish(&self, root: &Root, reporter: &Reporter) -> Result<Option<crate::process::Terminal>, Failure> {
        if let Some(devices) = &self.devices {
            devices::carry_out(devices, root)?;
        }
        let terminal = self.io.open_terminal(root, reporter)?;
        if let Some(terminal) = &terminal {
            devices::attach_console(root, &terminal.slave)?;
        }
        // Missing directories are made (runc does); what cannot be made shows when it is entered.
        drop(root.make_directory(self.process.cwd()));
        Ok(terminal)
    }

    fn restrict(&self, root: &Root) -> Result<(), Failure> {
        let linux = linux(self.options.spec);
        let paths = |paths: Option<&Option<Vec<String>>>| paths.cloned().flatten().unwrap_or_default();
        masks::protect(&paths(linux.map(Linux::readonly_paths)), root)?;
        masks::cover(&paths(linux.map(Linux::masked_paths)), root)?;
        if self.options.spec.root().as_ref().is_some_and(|r| r.readonly().unwrap_or(false)) {
            sys::mount::set_attributes(root.fd(), Attributes::RDONLY, Attributes::NONE, false)
                .map_err(failed("make root read-only"))?;
        }
        Ok(())
    }

    /// pivot_root(2), "pivot_root(".", ".")": the old root ends up on top of the new one, and is detached from there.
    fn pivot(&self, root: &Root) -> Result<(), Failure> {
        let old = sys::mount::open_path(Path::new("/")).map_err(failed("open old root"))?;
        rustix::process::fchdir(root.fd()).map_err(failed("enter root"))?;
        rustix::process::pivot_root(".", ".").map_err(failed("pivot_root"))?;
        rustix::process::fchdir(old.as_fd()).map_err(failed("enter old root"))?;
        // So that the unmounting is not passed on to the creator's mounts.
        let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        rustix::mount::mount_change(".", slave).map_err(failed("set propagation of old root"))?;
        rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(failed("detach old root"))?;
        rustix::process::chdir("/").map_err(failed("enter root"))?;
        if let Some((propagation, recursive)) = self.propagation.filter(|(p, _)| *p != Propagation::Slave) {
            sys::mount::set_propagation(root.fd(), propagation, recursive)
                .map_err(failed("set propagation of root"))?;
        }
        Ok(())
    }

    fn wait_for_start(&self, reporter: &Reporter) -> Result<(), Failure> {
        let opened = match self.options.gate {
            StartGate::Socket => reporter.wait(),
            StartGate::Fifo(fifo) => {
                let mut byte = [0u8; 1];
                loop {
                    match rustix::io::read(fifo, &mut byte[..]) {
                        Err(rustix::io::Errno::INTR) => continue,
                        other => break other == Ok(1),
                    }
                }
            }
        };
        if opened { Ok(()) } else { Err(failed("wait for start")("the creator is gone")) }
    }

    fn run_hooks(&self, moment: Moment, status: ContainerState) -> Result<(), Failure> {
        let found = hooks::at(self.options.spec, moment);
        if found.is_empty() {
            return Ok(());
        }
        let pid = rustix::process::getpid().as_raw_pid().unsigned_abs();
        let state = self.state(status, pid).map_err(failed("describe state"))?;
        hooks::run(found, &state).map_err(failed("run hooks"))
    }

    pub(crate) fn state(&self, status: ContainerState, pid: u32) -> Result<State> {
        hooks::state(self.options.spec, self.options.id, self.options.bundle, status, pid)
    }
}

/// After `start` nobody may be left to tell: the program's own standard error is where users look (runc and Docker
/// show `exec /x: exec format error` there).
fn say_on_stderr(failure: &Failure) {
    let line = format!("{failure}\n");
    // Nobody is left to hear of a closed standard error.
    rustix::io::write(rustix::stdio::stderr(), line.as_bytes()).ok();
}

pub(crate) fn linux(spec: &Spec) -> Option<&Linux> {
    spec.linux().as_ref()
}

fn missing(field: &'static str) -> Error {
    Error::Spec { field, reason: "is missing".into() }
}

fn root_propagation(spec: &Spec) -> Result<Option<(Propagation, bool)>> {
    let Some(name) = linux(spec).and_then(|l| l.rootfs_propagation().as_deref()).filter(|n| !n.is_empty())
    else {
        return Ok(None);
    };
    let reason = || format!("{name:?} is no propagation");
    mounts::propagation(name)
        .map(Some)
        .ok_or_else(|| Error::Spec { field: "linux.rootfsPropagation", reason: reason() })
}

/// The execution domain that the specification asks for, as personality(2) numbers it (`<sys/personality.h>`).
pub fn personality(spec: &Spec) -> Result<Option<u64>> {
    let Some(personality) = linux(spec).and_then(|l| l.personality().as_ref()) else { return Ok(None) };
    if personality.flags().as_ref().is_some_and(|f| !f.is_empty()) {
        let reason = "the specification defines none".into();
        return Err(Error::Unsupported { what: "linux.personality.flags", reason });
    }
    Ok(Some(match personality.domain() {
        LinuxPersonalityDomain::PerLinux => 0x0000,
        LinuxPersonalityDomain::PerLinux32 => 0x0008,
    }))
}

/// What the specification can ask for and only real root, or hardware, can give.
fn refuse_unsupported(spec: &Spec) -> Result<()> {
    let Some(linux) = linux(spec) else { return Ok(()) };
    let unsupported = |what, reason: &str| Err(Error::Unsupported { what, reason: reason.to_owned() });
    if linux.mount_label().as_deref().is_some_and(|l| !l.is_empty()) {
        return unsupported("linux.mountLabel", "an unprivileged engine cannot give SELinux labels");
    }
    if linux.intel_rdt().is_some() {
        return unsupported("linux.intelRdt", "resctrl belongs to real root");
    }
    if linux.memory_policy().is_some() {
        return unsupported("linux.memoryPolicy", "use linux.resources.cpu.mems");
    }
    if linux.time_offsets().as_ref().is_some_and(|t| !t.is_empty()) {
        return unsupported("linux.timeOffsets", "Lichen does not make time namespaces");
    }
    if linux.net_devices().as_ref().is_some_and(|d| !d.is_empty()) {
        return unsupported("linux.netDevices", "the host's interfaces belong to real root");
    }
    Ok(())
}
