//! External OCI runtimes by their command line (runc(8), crun(1)).
//!
//! ```text
//! PROGRAM [ARGS] --root ROOT --log FILE --log-format json
//!         create --bundle B --pid-file P [--console-socket S] ID
//!         start ID
//!         exec --detach --process FILE --pid-file P [--console-socket S] ID
//!         delete --force ID
//! ```
//!
//! Each runs in a mount namespace of its own, so that the root file system attached to the bundle for `create` is seen
//! by nobody else and goes away with it.
//!
//! `create` leaves the container's init to the nearest subreaper, which the caller has to be. Signals and waiting go
//! through the init's pidfd, as with our own core; pausing through the cgroup.

mod command;

use crate::{
    Cgroup, CreateOptions, Created, Error, ExecOptions, Executing, Result, Stdio, container::Pending, init,
};
use command::{Invocation, scratch};
use model::ProcessRef;
use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType, RootBuilder, Spec};
use std::{
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

/// A runtime program, such as `/usr/bin/runc`, and where it keeps its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct External {
    pub program: PathBuf,
    /// Arguments before the verb (daemon.json, `runtimeArgs`).
    pub args: Vec<String>,
    /// `--root`, a private directory. Short-lived files are kept there as well.
    pub root: PathBuf,
}

impl External {
    /// Writes `config.json` into the bundle, attaches the root file system at `bundle/rootfs` for the program alone, and
    /// runs `create`. The container's init becomes a child of the caller, which therefore has to be a subreaper
    /// (`sys::process::become_subreaper`) and, as always, single-threaded.
    pub fn create(&self, options: &CreateOptions<'_>) -> Result<Created> {
        if options.bypass {
            let reason = format!("{} is not Lichen's own runtime", self.program.display());
            return Err(Error::Unsupported { what: "bypass4netns", reason });
        }
        let warnings = match init::linux(options.spec).and_then(|l| l.resources().as_ref()) {
            Some(resources) => options.cgroup.apply(resources)?,
            None => Vec::new(),
        };
        let created = self.create_process(options);
        if created.is_err() {
            // What create left behind, if anything; its own error is the one that counts.
            drop(self.delete(options.id));
        }
        let (process, pidfd, console) = created?;
        let pending = Pending::external(self.clone(), options.id);
        // It confines what it executes by itself.
        Ok(Created { process, pidfd, console, warnings, seccomp: None, pending })
    }

    fn create_process(&self, options: &CreateOptions<'_>) -> Result<(ProcessRef, OwnedFd, Option<OwnedFd>)> {
        let config = options.bundle.join("config.json");
        let spec = self.bundle_spec(options)?;
        write_json(&config, &spec)?;
        let rootfs = options.bundle.join("rootfs");
        std::fs::create_dir_all(&rootfs).map_err(Error::path("make directory", &rootfs))?;
        let mut invocation = self.invocation("create", options.cgroup);
        invocation.attach(options.rootfs, &rootfs);
        for (n, given) in options.mounts.iter().enumerate() {
            let target = given_path(options, n);
            make_given_target(&given.mount, &target)?;
            invocation.attach_given(&given.mount, target);
        }
        invocation.arg("--bundle").arg(options.bundle);
        invocation.preserve(options.preserve_fds);
        self.run_for_process(invocation, options.id, options.stdio)
    }

    /// Runs one more process in container `id`. Its program has been executed when this returns.
    pub fn exec(&self, id: &str, options: &ExecOptions<'_>) -> Result<Executing> {
        let process = scratch(&self.root, "process.json")?;
        write_json(&process, options.process)?;
        let mut invocation = self.invocation("exec", options.cgroup);
        invocation.arg("--detach").arg("--process").arg(&process);
        invocation.preserve(options.preserve_fds);
        let ran = self.run_for_process(invocation, id, options.stdio);
        remove(&process)?;
        let (process, pidfd, console) = ran?;
        Ok(Executing { process, pidfd, console, warnings: Vec::new(), connections: None })
    }

    pub(crate) fn start(&self, id: &str) -> Result<()> {
        self.invocation("start", &Cgroup::none("")).run(id)
    }

    /// Forgets container `id`, killing what is left of it. No such container is fine.
    pub fn delete(&self, id: &str) -> Result<()> {
        let mut invocation = self.invocation("delete", &Cgroup::none(""));
        invocation.arg("--force");
        match invocation.run(id) {
            Err(Error::External { message, .. }) if message.contains("does not exist") => Ok(()),
            other => other,
        }
    }

    fn invocation<'a>(&self, verb: &'static str, cgroup: &Cgroup) -> Invocation<'a> {
        Invocation::new(self, verb, cgroup)
    }

    fn run_for_process(
        &self,
        mut invocation: Invocation<'_>,
        id: &str,
        stdio: Stdio<'_>,
    ) -> Result<(ProcessRef, OwnedFd, Option<OwnedFd>)> {
        let pid_file = scratch(&self.root, "pid")?;
        invocation.arg("--pid-file").arg(&pid_file);
        let console = invocation.connect(stdio, &self.root)?;
        let ran = invocation.run(id);
        let pid = ran.and_then(|()| read_pid(&pid_file));
        remove(&pid_file)?;
        let master = console.map(|c| c.finish(stdio)).transpose();
        let process = pid.and_then(|pid| {
            sys::process::reference(pid)
                .map_err(|e| Error::Step { step: "look at the new process", source: e.into() })
        })?;
        let pidfd = sys::pidfd::open(process)
            .map_err(|e| Error::Step { step: "open the new process", source: e.into() })?;
        Ok((process, pidfd, master?.flatten()))
    }

    /// The specification with what only a path can say, and without limits where no cgroup can enforce them: the
    /// runtime would refuse the container for them.
    fn bundle_spec(&self, options: &CreateOptions<'_>) -> Result<Spec> {
        let mut spec = options.spec.clone();
        // What we use is as old as that, and crun up to 1.8 refuses anything newer.
        spec.set_version("1.0.2".to_owned());
        let readonly = spec.root().as_ref().and_then(|r| r.readonly()).unwrap_or(false);
        let root = RootBuilder::default().path("rootfs").readonly(readonly).build();
        spec.set_root(Some(root.map_err(|e| Error::Spec { field: "root", reason: e.to_string() })?));
        if let Some(process) = spec.process_mut() {
            process.set_terminal(Some(matches!(options.stdio, Stdio::Terminal { .. })));
        }
        for mount in spec.mounts_mut().iter_mut().flatten() {
            if let Some(n) = options.mounts.iter().position(|g| Some(&g.source) == mount.source().as_ref()) {
                mount.set_source(Some(given_path(options, n)));
            }
        }
        let Some(linux) = spec.linux_mut() else { return Ok(spec) };
        if let Some(netns) = options.netns {
            let path = format!("/proc/{}/fd/{}", std::process::id(), netns.as_raw_fd());
            let mut namespaces: Vec<LinuxNamespace> = linux.namespaces().clone().unwrap_or_default();
            namespaces.retain(|n| n.typ() != LinuxNamespaceType::Network);
            let mut network = LinuxNamespace::default();
            network.set_typ(LinuxNamespaceType::Network).set_path(Some(path.into()));
            namespaces.push(network);
            linux.set_namespaces(Some(namespaces));
        }
        if options.cgroup.dir().is_none() {
            linux.set_resources(None).set_cgroups_path(None);
        }
        Ok(spec)
    }
}

/// A file for a file, a directory for a directory: mount(2) wants that.
fn make_given_target(mount: &OwnedFd, target: &Path) -> Result<()> {
    let is_directory = crate::root::is_directory(mount)
        .map_err(|errno| Error::Step { step: "look at a given mount", source: errno.into() })?;
    match is_directory {
        true => std::fs::create_dir_all(target).map_err(Error::path("make directory", target)),
        false => std::fs::write(target, "").map_err(Error::path("write", target)),
    }
}

/// Where the program finds a mount that was given as a descriptor.
fn given_path(options: &CreateOptions<'_>, n: usize) -> PathBuf {
    options.bundle.join(format!("mount-{n}"))
}

fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let json = serde_json::to_vec(value)
        .map_err(|e| Error::State { path: path.to_owned(), reason: e.to_string() })?;
    std::fs::write(path, json).map_err(Error::path("write", path))
}

fn read_pid(path: &Path) -> Result<rustix::process::Pid> {
    let text = std::fs::read_to_string(path).map_err(Error::path("read", path))?;
    let pid = text.trim().parse().ok().and_then(rustix::process::Pid::from_raw);
    pid.ok_or_else(|| Error::State { path: path.to_owned(), reason: format!("{text:?} is no PID") })
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::path("remove", path)(e)),
        _ => Ok(()),
    }
}
