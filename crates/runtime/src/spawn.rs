//! The parent's side of clone: where the child starts, and what it needs from outside before it can go on.

use crate::{
    Cgroup, Error, Failure, Result,
    namespaces::{IdMaps, Join},
    report::{self, Message, Reporter, Watcher, failed},
};
use oci_spec::runtime::LinuxIdMapping;
use rustix::process::{Pid, PidfdFlags};
use std::{
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    process::Command,
};
use sys::{
    clone::{Child, CloneArgs, Fork},
    namespaces::{Kind, Set},
};

/// Clones into the namespaces `new`, after joining those in `before`; the child runs `body` and never returns.
///
/// A PID namespace is entered only by children, and nobody gets back out of one into a namespace they do not own. So
/// with anything to join before, a go-between is forked, which joins and clones a *sibling* (`CLONE_PARENT`): the new
/// process is the caller's own child all the same, and the go-between ends at once.
pub(crate) fn spawn(
    before: &[Join],
    new: Set,
    cgroup: &Cgroup,
    body: impl FnOnce(&Reporter) -> Result<Infallible, Failure>,
) -> Result<(Child, Watcher)> {
    let (watcher, reporter) = report::pair()?;
    if before.is_empty() {
        return match clone(new, cgroup, false)? {
            Fork::Parent(child) => Ok((child, watcher)),
            Fork::Child { in_cgroup } => {
                drop(watcher);
                run(&reporter, |reporter| enter_and(cgroup, in_cgroup, body, reporter))
            }
        };
    }
    match sys::clone::fork().map_err(|e| Error::Step { step: "fork", source: e.into() })? {
        Fork::Parent(between) => {
            drop(reporter);
            let sibling = adopt(&watcher);
            let ended = sys::pidfd::wait(&between.pidfd);
            let child = sibling?;
            ended.map_err(|e| Error::Step { step: "wait for the go-between", source: e.into() })?;
            Ok((child, watcher))
        }
        Fork::Child { .. } => {
            drop(watcher);
            run(&reporter, |reporter| go_between(before, new, cgroup, body, reporter))
        }
    }
}

fn clone(new: Set, cgroup: &Cgroup, sibling: bool) -> Result<Fork> {
    let args = CloneArgs { namespaces: new, cgroup: cgroup.dir().map(|d| d.fd()), sibling };
    sys::clone::clone(&args).map_err(|e| explain_clone(new, e))
}

fn enter_and(
    cgroup: &Cgroup,
    in_cgroup: bool,
    body: impl FnOnce(&Reporter) -> Result<Infallible, Failure>,
    reporter: &Reporter,
) -> Result<Infallible, Failure> {
    match cgroup.dir() {
        Some(dir) if !in_cgroup => dir.enter().map_err(failed("enter cgroup"))?,
        _ => {}
    }
    body(reporter)
}

fn go_between(
    before: &[Join],
    new: Set,
    cgroup: &Cgroup,
    body: impl FnOnce(&Reporter) -> Result<Infallible, Failure>,
    reporter: &Reporter,
) -> Result<Infallible, Failure> {
    for join in before {
        sys::namespaces::join(&join.fd, join.kind).map_err(failed("join namespace"))?;
    }
    match clone(new, cgroup, true).map_err(failed("clone"))? {
        Fork::Parent(child) => {
            reporter.send(&Message::Sibling {
                pid: child.pid.as_raw_pid().unsigned_abs(),
                in_cgroup: child.in_cgroup,
            });
            sys::process::exit(0)
        }
        Fork::Child { in_cgroup } => {
            // The creator opens this process by its number first, which is its own as long as it lives.
            if !reporter.wait() {
                return Err(failed("wait for the creator")("it is gone"));
            }
            enter_and(cgroup, in_cgroup, body, reporter)
        }
    }
}

/// Opens the sibling that the go-between made. It is the caller's child: its number stays its own until it is waited for.
fn adopt(watcher: &Watcher) -> Result<Child> {
    let (pid, in_cgroup) = match watcher.next()? {
        Some((Message::Sibling { pid, in_cgroup }, _)) => (pid, in_cgroup),
        Some((Message::Failed(failure), _)) => return Err(Error::Process(failure)),
        Some((other, _)) => return Err(crate::container::unexpected(&other, "the PID of the new process")),
        None => return Err(Error::Vanished { status: None }),
    };
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Error::Vanished { status: None })?;
    let pidfd =
        rustix::process::pidfd_open(pid, PidfdFlags::empty()).map_err(Error::step("open the new process"))?;
    watcher.go()?;
    Ok(Child { pid, pidfd, in_cgroup })
}

/// The child must not unwind into what believes to be the parent.
fn run(reporter: &Reporter, body: impl FnOnce(&Reporter) -> Result<Infallible, Failure>) -> ! {
    match catch_unwind(AssertUnwindSafe(|| body(reporter))) {
        Ok(Err(failure)) => reporter.send(&Message::Failed(failure)),
        Ok(Ok(never)) => match never {},
        Err(_) => {}
    }
    sys::process::exit(1)
}

fn explain_clone(new: Set, error: sys::Error) -> Error {
    if new.contains(Kind::User) && error.errno == rustix::io::Errno::NOSPC {
        let reason = "the limit /proc/sys/user/max_user_namespaces is reached".to_owned();
        return Error::Unsupported { what: "a new user namespace", reason };
    }
    Error::Step { step: "clone", source: error.into() }
}

/// Writes the maps of a child's new user namespace.
///
/// A process with CAP_SETUID over the parent namespace may write any map; another may map only itself, one ID, with
/// setgroups(2) denied, and needs newuidmap(1) for more (user_namespaces(7)).
pub(crate) fn write_id_maps(pid: u32, maps: &IdMaps) -> Result<()> {
    let write = |file: &str, text: &str| {
        let path = format!("/proc/{pid}/{file}");
        std::fs::write(&path, text).map_err(Error::path("write", path))
    };
    let direct = write("uid_map", &lines(&maps.users)).and_then(|()| write("gid_map", &lines(&maps.groups)));
    match direct {
        Err(Error::Path { source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => {}
        other => return other,
    }
    if maps.users.iter().chain(&maps.groups).map(LinuxIdMapping::size).sum::<u32>() == 2 {
        write("setgroups", "deny")?;
        // The first attempt may have got as far as the user map, which can be written only once.
        if std::fs::read_to_string(format!("/proc/{pid}/uid_map")).is_ok_and(|m| m.is_empty()) {
            write("uid_map", &lines(&maps.users))?;
        }
        return write("gid_map", &lines(&maps.groups));
    }
    by_program("newuidmap", pid, &maps.users)?;
    by_program("newgidmap", pid, &maps.groups)
}

fn lines(maps: &[LinuxIdMapping]) -> String {
    maps.iter().map(|m| format!("{} {} {}\n", m.container_id(), m.host_id(), m.size())).collect()
}

fn by_program(program: &'static str, pid: u32, maps: &[LinuxIdMapping]) -> Result<()> {
    let numbers = maps.iter().flat_map(|m| [m.container_id(), m.host_id(), m.size()]).map(|n| n.to_string());
    let output =
        Command::new(program).arg(pid.to_string()).args(numbers).output().map_err(Error::io(program))?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Step { step: program, source: std::io::Error::other(message) })
}

/// Ends and reaps a child that came to nothing; its error, unless the child went away by itself.
pub(crate) fn bury(child: &Child, error: Error) -> Error {
    // It may have exited already, which is as good.
    drop(sys::pidfd::signal(&child.pidfd, 9));
    let ended = sys::pidfd::wait(&child.pidfd);
    match (error, ended) {
        (Error::Vanished { .. }, Ok(exit)) => Error::Vanished { status: Some(exit.code()) },
        (error, _) => error,
    }
}
