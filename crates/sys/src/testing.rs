//! For tests only: what forks and joins namespaces wants a process with one thread, and test harnesses have several.

use nix::{
    sys::wait::{WaitStatus, waitpid},
    unistd::{ForkResult, fork},
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `body` in a forked copy of this process, which has one thread, and waits for it.
///
/// # Panics
/// When `body` panics, or when the copy ends in any other way than by returning from it.
pub fn single_threaded(body: impl FnOnce()) {
    // SAFETY: other threads may hold locks that stay locked in the copy. The C library makes its allocator usable there;
    // of the rest only the harness's locks around captured output are in play, and tests that run their body this way
    // do so in a process that runs nothing else (`testing::in_userns`).
    match unsafe { fork() }.expect("fork") {
        ForkResult::Parent { child } => {
            let status = waitpid(child, None).expect("wait for the copy");
            assert_eq!(status, WaitStatus::Exited(child, 0), "the test's body failed, see above");
        }
        ForkResult::Child => {
            let outcome = catch_unwind(AssertUnwindSafe(body));
            crate::process::exit(if outcome.is_ok() { 0 } else { 101 })
        }
    }
}

/// Makes a system call by number, with no arguments.
pub fn raw_syscall(number: i64) -> Result<(), rustix::io::Errno> {
    // SAFETY: zeros are no valid pointers, so that a call that takes any fails with EFAULT or earlier.
    let result = unsafe { nix::libc::syscall(number, 0, 0, 0, 0, 0, 0) };
    if result < 0 { Err(crate::Error::last("syscall", number.to_string()).errno) } else { Ok(()) }
}

/// Makes the kernel answer ENOSYS to one system call of this thread from now on, as an older kernel or a sandbox does.
pub fn without_syscall(number: i64) {
    // load the number; equal? → ENOSYS; else → allow (seccomp(2)).
    let program: [(u16, u8, u8, u32); 4] =
        [(0x20, 0, 0, 0), (0x15, 0, 1, number as u32), (0x06, 0, 0, 0x0005_0026), (0x06, 0, 0, 0x7fff_0000)];
    let bytes: Vec<u8> = program
        .iter()
        .flat_map(|(code, jt, jf, k)| {
            let ([c0, c1], [k0, k1, k2, k3]) = (code.to_ne_bytes(), k.to_ne_bytes());
            [c0, c1, *jt, *jf, k0, k1, k2, k3]
        })
        .collect();
    rustix::thread::set_no_new_privs(true).expect("set no_new_privs");
    crate::seccomp::install(&bytes, 0).expect("install filter");
}
