//! Giving memory back to the kernel.

use nix::libc;

/// Returns the allocator's free pages to the kernel (malloc_trim(3)).
///
/// For processes that stay: what a specification took while it was read is otherwise kept for as long as the container
/// runs, once a container.
pub fn trim() {
    // SAFETY: takes the allocator's own locks and touches free memory only. Whether there was anything to return is of
    // no interest.
    unsafe { libc::malloc_trim(0) };
}
