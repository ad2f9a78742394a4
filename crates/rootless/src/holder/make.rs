//! Making the three namespaces.

use super::{Begin, at};
use crate::bootstrap::{FromNewHolder, ToNewHolder};
use crate::copy_up::copy_up;
use crate::{Error, Result, enter};
use model::RunLayout;
use rustix::io::Errno;
use shim_proto::Connection;
use std::fs::File;
use std::path::Path;
use sys::clone::{CloneArgs, Fork};
use sys::mount::{Propagation, attach, clone_path, open_path, set_propagation};
use sys::namespaces::{Kind, Set, unshare};

/// Returns whether only one ID is mapped.
pub(super) fn namespaces(run: &RunLayout, launcher: &mut Connection) -> std::result::Result<bool, Begin> {
    let single_id = user(launcher)?;
    mount().map_err(at("make the mount namespace"))?;
    for dir in ["/etc", "/run"] {
        let dir = Path::new(dir);
        if dir.is_dir() {
            copy_up(dir).map_err(at("copy up /etc and /run"))?;
        }
    }
    router(run).map_err(at("make the router network namespace"))?;
    Ok(single_id)
}

/// A new user namespace, mapped by the launcher, with this process as its root.
fn user(launcher: &mut Connection) -> std::result::Result<bool, Begin> {
    let failed = |e: shim_proto::ProtoError| Begin::Failed("talk to the launcher", e.into());
    if let Err(error) = unshare(Set::of(&[Kind::User])) {
        let errno = error.errno.raw_os_error();
        launcher.send(1, &FromNewHolder::CannotUnshare { errno }, &[]).map_err(failed)?;
        return Err(Begin::Said);
    }
    launcher.send(1, &FromNewHolder::Unshared { pid: std::process::id() }, &[]).map_err(failed)?;
    // The launcher died, or could not map and has said so: nobody waits for an answer.
    let Some(reply) = launcher.receive::<ToNewHolder>().map_err(failed)? else { return Err(Begin::Said) };
    let ToNewHolder::Mapped { single_id } = reply.msg;
    enter::become_root().map_err(at("become root"))?;
    Ok(single_id)
}

/// A new mount namespace that sees the host's mounts come and go, and shows it none of its own.
fn mount() -> Result<()> {
    unshare(Set::of(&[Kind::Mount]))?;
    let root = open_path(Path::new("/"))?;
    set_propagation(&root, Propagation::Slave, true)?;
    Ok(())
}

/// A network namespace with `lo` up, bound to a file so that it lives as long as the mount namespace.
///
/// It is made by a child, because its maker could not return to the host's, which the user has no rights over.
fn router(run: &RunLayout) -> Result<()> {
    let (reader, writer) = std::io::pipe().map_err(Error::io("make a pipe in", "/"))?;
    let (mut done, release) = std::io::pipe().map_err(Error::io("make a pipe in", "/"))?;
    let args = CloneArgs { namespaces: Set::of(&[Kind::Net]), ..CloneArgs::default() };
    match sys::clone::clone(&args)? {
        Fork::Child { .. } => {
            drop((reader, release));
            let up = sys::loopback::up();
            let status = match up {
                Ok(()) => 0,
                Err(e) => e.errno.raw_os_error(),
            };
            drop(writer);
            // Wait until the parent has bound the namespace, or died.
            let waited = std::io::copy(&mut done, &mut std::io::sink());
            sys::process::exit(if waited.is_ok() { status } else { Errno::IO.raw_os_error() })
        }
        Fork::Parent(child) => {
            drop((writer, done));
            // End of file: lo is up.
            std::io::copy(&mut &reader, &mut std::io::sink()).map_err(Error::io("read a pipe of", "/"))?;
            let pid = child.pid.as_raw_nonzero();
            let bound = bind(Path::new(&format!("/proc/{pid}/ns/net")), &run.router_netns());
            drop(release);
            match sys::pidfd::wait(&child.pidfd)?.code() {
                0 => bound,
                code => {
                    Err(sys::Error::of("ioctl", "SIOCSIFFLAGS, lo")(Errno::from_raw_os_error(code)).into())
                }
            }
        }
    }
}

fn bind(namespace: &Path, path: &Path) -> Result<()> {
    File::create(path).map_err(Error::io("create", path))?;
    // The link in /proc is followed to the namespace itself, which is what is cloned.
    attach(clone_path(namespace, false)?, open_path(path)?)?;
    Ok(())
}
