//! Giving memory back to the kernel.

use crate::{Error, Result};
use nix::libc;
use rustix::io::Errno;

/// Returns the allocator's free pages to the kernel (malloc_trim(3)).
///
/// For processes that stay: what a specification took while it was read is otherwise kept for as long as the container
/// runs, once a container.
pub fn trim() {
    // SAFETY: takes the allocator's own locks and touches free memory only. Whether there was anything to return is of
    // no interest.
    unsafe { libc::malloc_trim(0) };
}

/// Unmaps the pages of this program's code; each comes back from the page cache when it is next executed.
///
/// Starting touches most of a program, serving a small part, and what was touched once stays mapped and counted to the
/// process (`Pss` in proc_pid_smaps(5)). For processes that go to rest.
pub fn forget_code() -> Result<()> {
    let maps = std::fs::read_to_string("/proc/self/maps")
        .map_err(|e| Error::of("read", "/proc/self/maps")(Errno::from_io_error(&e).unwrap_or(Errno::IO)))?;
    for (start, length) in maps.lines().filter_map(code_of_a_file) {
        // SAFETY: a private mapping of a file, executable and not writable: nothing was ever written to it, so that what
        // MADV_DONTNEED (madvise(2)) drops is what the file gives back. The mapping itself stays.
        if unsafe { libc::madvise(start as *mut libc::c_void, length, libc::MADV_DONTNEED) } < 0 {
            return Err(Error::last("madvise", format!("{start:#x}, {length}, MADV_DONTNEED")));
        }
    }
    Ok(())
}

/// Start and length of a line of `/proc/PID/maps` that maps code (proc_pid_maps(5)): `7f00-8000 r-xp 0 fe:00 7 /usr/bin/x`.
fn code_of_a_file(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let is_code = fields.next()? == "r-xp" && fields.nth(3)?.starts_with('/');
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    is_code.then(|| Some((start, end.checked_sub(start)?)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_files_is_dropped() {
        let code = "7f0000-7f2000 r-xp 00001000 fe:00 42   /usr/bin/lichen";
        assert_eq!(code_of_a_file(code), Some((0x7f_0000, 0x2000)));
        for other in [
            "7f0000-7f2000 r--p 00001000 fe:00 42   /usr/bin/lichen",
            "7f0000-7f2000 rwxp 00001000 fe:00 42   /usr/bin/lichen",
            "7f0000-7f2000 r-xp 00000000 00:00 0   [vdso]",
            "7f0000-7f2000 r-xp 00000000 00:00 0",
        ] {
            assert_eq!(code_of_a_file(other), None, "{other}");
        }
    }

    #[test]
    fn a_program_goes_on_without_its_code_mapped() {
        forget_code().unwrap();
        assert!(!std::fs::read_to_string("/proc/self/maps").unwrap().is_empty());
    }
}
