//! Signal dispositions and masks as a freshly executed program expects them.

use nix::{libc, sys::signal::SigSet};

/// `_NSIG`
const LAST: libc::c_int = 64;

/// Sets every signal to its default and unblocks all.
///
/// Rust programs ignore SIGPIPE and shims block what they read from a signalfd; both would survive execve(2) and
/// surprise the program (signal(7)).
pub fn reset() {
    // The kernel's `struct sigaction` with everything zero: SIG_DFL, no flags, an empty mask. At least as large as that
    // structure on any architecture.
    let default = [0u64; 4];
    for signal in 1..=LAST {
        if matches!(signal, libc::SIGKILL | libc::SIGSTOP) {
            continue;
        }
        // SAFETY: no handler is installed, and `default` outlives the call. Not through the C library, which keeps two
        // real-time signals to itself, that a program before us may have ignored.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, &raw const default, std::ptr::null::<u8>(), 8)
        };
    }
    unblock();
}

/// Unblocks all signals.
pub fn unblock() {
    SigSet::empty().thread_set_mask().expect("an empty mask is always valid");
}
