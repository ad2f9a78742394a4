//! `Exec`.

use super::create::{ends, from_runtime, runtime_of, set_user, stdio};
use super::ends::Pipes;
use super::process::Process;
use super::requests::one;
use super::serve::Shim;
use super::streams::Streams;
use super::{failed, record};
use runtime::{ExecOptions, seccomp::Filter};
use rustix::fs::{Mode, OFlags};
use shim_proto::{Exec, Failure, FailureClass, FromShim, Target, UserRequest};
use std::os::fd::{AsFd, OwnedFd};

/// Run a further process in the container.
pub(super) fn exec(shim: &mut Shim, mut exec: Exec, fds: Vec<OwnedFd>) -> Result<FromShim, Failure> {
    let target = Target::Exec(exec.id.clone());
    if shim.find(&target).is_some() {
        let message = format!("exec {} is running already", exec.id.short());
        return Err(Failure::new(FailureClass::Conflict, "exec", message));
    }
    let stream = if exec.attach.is_some() { Some(one(fds, "Exec")?) } else { None };
    let gone = || Failure::new(FailureClass::Conflict, "exec", "the container is not running");
    let (init, record) = (shim.init().ok_or_else(gone)?, shim.record.as_ref().ok_or_else(gone)?);
    resolve_user(&mut exec, init.process.pid, &record.user)?;
    let pipes = match (exec.io.tty, &stream) {
        (true, _) => None,
        (false, Some(_)) => Some(Pipes::new(&exec.io)),
        (false, None) => Some(Pipes::discarding()),
    };
    let pipes = pipes.transpose().map_err(failed("make pipes"))?;
    let filter =
        Filter::open(&record::seccomp(&shim.run, &shim.id)).map_err(failed("read the seccomp filter"))?;
    let options = ExecOptions {
        init: init.pidfd.as_fd(),
        init_process: init.process,
        process: &exec.process,
        seccomp: filter.as_ref(),
        stdio: stdio(pipes.as_ref(), &exec.io),
        preserve_fds: 0,
        bypass: shim.connections.is_some(),
        cgroup: &shim.cgroup,
        listener: record.listener.as_ref(),
        personality: record.personality,
    };
    let runtime = runtime_of(shim, &record.runtime);
    let executing = runtime.exec(shim.id.as_str(), &options).map_err(from_runtime("exec"))?;
    if let Some(listener) = executing.connections
        && let Err(failure) = shim.supervise(listener)
    {
        // Its connections would wait for ever. It is reaped with the others.
        drop(sys::pidfd::signal(&executing.pidfd, 9));
        return Err(failure);
    }
    for warning in &executing.warnings {
        eprintln!("lichen-shim: {}: exec: {warning}", shim.id.short());
    }
    let ends = ends(pipes, executing.console)?;
    let mut streams = Streams::new(exec.io, ends, None).map_err(failed("set up the streams"))?;
    if let (Some(stream), Some(attach)) = (stream, exec.attach) {
        streams.attach(stream, attach).map_err(failed("attach"))?;
    }
    let pid = executing.process.pid;
    shim.processes.push(Process {
        target,
        process: executing.process,
        pidfd: executing.pidfd,
        adopted: false,
        unreaped_since: None,
        streams,
        exit: None,
        announced: false,
    });
    Ok(FromShim::ExecStarted { pid })
}

/// Against the running container's own files, through its root: they may differ from the image's by now.
fn resolve_user(exec: &mut Exec, init: u32, container_user: &str) -> Result<(), Failure> {
    let root = rustix::fs::open(
        format!("/proc/{init}/root"),
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(failed("open the container's root"))?;
    let own = UserRequest { user: container_user.to_owned(), groups: exec.user.groups.clone() };
    let request = if exec.user.user.is_empty() { &own } else { &exec.user };
    set_user(&mut exec.process, root.as_fd(), request)
}
