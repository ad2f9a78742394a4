//! Making processes: clone3(2) straight into namespaces and a cgroup, and plain fork.
//!
//! A child made here is a copy of its parent (no `CLONE_VM`). In a single-threaded process that is sound: no other
//! thread can hold the allocator's or any other lock at that moment. Both functions therefore refuse to run in a
//! process with more than one thread.

use crate::{Error, Result};
use nix::libc;
use rustix::{io::Errno, process::Pid};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

pub use crate::namespaces::Set as Namespaces;

/// `<linux/sched.h>`; libc's constant does not fit its type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// What a new process gets beside a copy of its parent.
#[derive(Debug, Clone, Copy, Default)]
pub struct CloneArgs<'a> {
    /// The new namespaces, made in the order user namespace first (clone(2)).
    pub namespaces: Namespaces,
    /// A cgroup v2 directory to start in (`CLONE_INTO_CGROUP`, Linux 5.7). The
    /// fallback cannot: see [`Child::in_cgroup`].
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Makes the child a sibling (`CLONE_PARENT`).
    pub sibling: bool,
}

/// Which side of the clone this is.
#[derive(Debug)]
pub enum Fork {
    Parent(Child),
    /// In the new process. It must end with `execve` or [`exit`](crate::process::exit), never by returning to code
    /// that believes it is the parent. `in_cgroup` is as in [`Child`].
    Child {
        in_cgroup: bool,
    },
}

/// A new child, as its parent sees it.
#[derive(Debug)]
pub struct Child {
    pub pid: Pid,
    /// Close-on-exec.
    pub pidfd: OwnedFd,
    /// Whether the kernel put it into the cgroup that was asked for. When false the child has to write itself into
    /// `cgroup.procs`.
    pub in_cgroup: bool,
}

/// Whether the calling process has exactly one thread.
///
/// The link count of `/proc/self/task` is two plus the number of threads (kernel `fs/proc/base.c`,
/// `proc_task_getattr`). Without /proc it cannot be told, and the answer is no.
pub fn is_single_threaded() -> bool {
    rustix::fs::stat("/proc/self/task").is_ok_and(|s| s.st_nlink == 3)
}

/// Clones the calling process.
///
/// Tries clone3(2) and falls back to clone(2) where a sandbox answers ENOSYS (Docker's own seccomp profile does, for
/// the lack of a way to look at clone3's flags) or the kernel does not know `CLONE_INTO_CGROUP` (E2BIG).
pub fn clone(args: &CloneArgs<'_>) -> Result<Fork> {
    if !is_single_threaded() {
        return Err(Error::of("clone", "from a process with several threads")(Errno::INVAL));
    }
    match clone3(args) {
        Err(e) if matches!(e.errno, Errno::NOSYS | Errno::TOOBIG) => clone_old(args),
        other => other,
    }
}

/// fork(2), for a single-threaded process.
pub fn fork() -> Result<Fork> {
    clone(&CloneArgs::default())
}

fn flags(args: &CloneArgs<'_>) -> u64 {
    let parent = if args.sibling { libc::CLONE_PARENT as u64 } else { 0 };
    u64::from(args.namespaces.bits()) | parent | libc::CLONE_PIDFD as u64
}

/// With `CLONE_PARENT` the exit signal is the caller's own and must be given as zero (clone(2)).
fn exit_signal(args: &CloneArgs<'_>) -> u64 {
    if args.sibling { 0 } else { libc::SIGCHLD as u64 }
}

fn clone3(args: &CloneArgs<'_>) -> Result<Fork> {
    let mut pidfd: libc::c_int = -1;
    // SAFETY: clone_args is plain old data; all zeros is its documented default.
    let mut raw: libc::clone_args = unsafe { std::mem::zeroed() };
    raw.flags = flags(args);
    raw.pidfd = &raw mut pidfd as u64;
    raw.exit_signal = exit_signal(args);
    if let Some(cgroup) = args.cgroup {
        raw.flags |= CLONE_INTO_CGROUP;
        raw.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: no CLONE_VM and no stack: the child is a copy-on-write copy that continues here, as after fork(2). The
    // process has one thread (checked by the caller), so no lock is held by a thread that does not exist in the copy.
    // `raw` and `pidfd` outlive the call.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const raw, size_of::<libc::clone_args>()) };
    finish(pid, pidfd, args.cgroup.is_some(), "clone3", args)
}

fn clone_old(args: &CloneArgs<'_>) -> Result<Fork> {
    let mut pidfd: libc::c_int = -1;
    let flags = (flags(args) | exit_signal(args)) as libc::c_ulong;
    let null = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: as for clone3. With CLONE_PIDFD the third argument receives the descriptor (clone(2)); x86-64 and arm64
    // agree on the first three arguments.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, null, &raw mut pidfd, null, null) };
    finish(pid, pidfd, false, "clone", args)
}

fn finish(
    pid: libc::c_long,
    pidfd: libc::c_int,
    in_cgroup: bool,
    call: &'static str,
    args: &CloneArgs<'_>,
) -> Result<Fork> {
    match pid {
        0 => Ok(Fork::Child { in_cgroup }),
        pid if pid > 0 => {
            let pid = Pid::from_raw(pid as i32).expect("positive");
            // SAFETY: the kernel has just made this descriptor for us; nothing else owns it.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Fork::Parent(Child { pid, pidfd, in_cgroup }))
        }
        _ => Err(Error::last(call, format!("{:?}", args.namespaces))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{pidfd, process, testing};

    fn exit_code_of_child() -> i32 {
        match fork().unwrap() {
            Fork::Child { .. } => process::exit(7),
            Fork::Parent(child) => {
                assert!(process::is_alive(process::reference(child.pid).unwrap()));
                pidfd::wait(&child.pidfd).unwrap().code()
            }
        }
    }

    #[test]
    fn a_process_is_made_with_and_without_clone3() {
        testing::single_threaded(|| {
            assert_eq!(exit_code_of_child(), 7);
            testing::without_syscall(libc::SYS_clone3);
            assert_eq!(exit_code_of_child(), 7);
        });
    }

    #[test]
    fn a_process_with_several_threads_is_refused() {
        let (stop, wait) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || wait.recv());
        assert_eq!(fork().unwrap_err().errno, Errno::INVAL);
        drop(stop);
        assert!(other.join().unwrap().is_err());
    }

    #[test]
    fn a_sibling_is_the_callers_own_child() {
        testing::single_threaded(|| {
            let (receive, send) = rustix::pipe::pipe().unwrap();
            match fork().unwrap() {
                Fork::Child { .. } => {
                    match clone(&CloneArgs { sibling: true, ..CloneArgs::default() }).unwrap() {
                        Fork::Child { .. } => process::exit(9),
                        Fork::Parent(sibling) => {
                            rustix::io::write(&send, &sibling.pid.as_raw_pid().to_ne_bytes()).unwrap();
                            process::exit(0)
                        }
                    }
                }
                Fork::Parent(between) => {
                    assert_eq!(pidfd::wait(&between.pidfd).unwrap().code(), 0);
                    let mut number = [0u8; 4];
                    rustix::io::read(&receive, &mut number[..]).unwrap();
                    let pid = Pid::from_raw(i32::from_ne_bytes(number)).unwrap();
                    let sibling = pidfd::open(process::reference(pid).unwrap()).unwrap();
                    assert_eq!(pidfd::wait(&sibling).unwrap().code(), 9);
                }
            }
        });
    }
}
