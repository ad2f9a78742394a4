//! Signal dispositions and masks as a freshly executed program expects them.

use nix::{libc, sys::signal::SigSet};

/// Sets every signal to its default and unblocks all.
///
/// Rust programs ignore SIGPIPE and shims block what they read from a signalfd; both would survive execve(2) and
/// surprise the program (signal(7)).
pub fn reset() {
    for signal in 1..=libc::SIGRTMAX() {
        if matches!(signal, libc::SIGKILL | libc::SIGSTOP) {
            continue;
        }
        // SAFETY: SIG_DFL installs no handler. The C library refuses its two internal real-time signals with EINVAL,
        // which nothing set in the first place.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    SigSet::empty().thread_set_mask().expect("an empty mask is always valid");
}
