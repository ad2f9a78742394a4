//! The calling process and what /proc says of others.

use crate::{Error, Result};
use model::ProcessRef;
use nix::libc;
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    process::{DumpableBehavior, Pid, Signal},
};
use std::{
    ffi::{CStr, CString},
    os::fd::{AsRawFd, BorrowedFd},
};

/// Ends the process at once: no destructors, no `atexit` handlers, no flushing of streams copied from the parent.
pub fn exit(status: i32) -> ! {
    // SAFETY: _exit(2) has no precondition.
    unsafe { libc::_exit(status) }
}

/// Keeps other processes of the same user out of `/proc/self` (PR_SET_DUMPABLE; CVE-2016-9962). execve(2) of a readable
/// program undoes it.
pub fn forbid_inspection() -> Result<()> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(Error::of("prctl", "PR_SET_DUMPABLE, 0"))
}

/// Undoes [`forbid_inspection`], as execve(2) would: for a copy of a process that has changed its user IDs, which made it
/// uninspectable (prctl(2), PR_SET_DUMPABLE).
pub fn allow_inspection() -> Result<()> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)
        .map_err(Error::of("prctl", "PR_SET_DUMPABLE, 1"))
}

/// What ps(1) shows as this process's name and command line from now on: `words`, cut to the room that the arguments
/// take which the process was executed with. For a process that was forked to be something else than its parent.
pub fn set_title(name: &CStr, words: &[&str]) -> Result<()> {
    rustix::thread::set_name(name).map_err(Error::of("prctl", "PR_SET_NAME"))?;
    let path = "/proc/self/stat";
    let invalid = || Error::of("parse", path)(Errno::INVAL);
    let stat = std::fs::read(path)
        .map_err(|e| Error::of("read", path)(Errno::from_io_error(&e).unwrap_or(Errno::IO)))?;
    let (start, end) = arguments(&stat).ok_or_else(invalid)?;
    let room = end.checked_sub(start).filter(|room| *room > 0).ok_or_else(invalid)?;
    let mut title = words.join("\0").into_bytes();
    title.resize(room, 0);
    title[room - 1] = 0;
    // SAFETY: the kernel put the argument strings there when the program was executed: `room` writable bytes that live
    // as long as the process. No reference to them exists: the standard library copies arguments out when asked, and
    // pointers into the area still find a zero byte at its end.
    unsafe { std::ptr::copy_nonoverlapping(title.as_ptr(), start as *mut u8, room) };
    Ok(())
}

/// Fields 48 and 49 of `/proc/PID/stat`, `arg_start` and `arg_end` (proc_pid_stat(5)).
fn arguments(stat: &[u8]) -> Option<(usize, usize)> {
    let after_name = stat.iter().rposition(|b| *b == b')')? + 1;
    let text = std::str::from_utf8(&stat[after_name..]).ok()?;
    let mut fields = text.split_ascii_whitespace().skip(48 - 3);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Has the calling process killed when the thread that made it ends. Check `getppid` afterwards: the parent may be
/// gone already.
pub fn die_with_parent(signal: Signal) -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(signal))
        .map_err(Error::of("prctl", "PR_SET_PDEATHSIG"))
}

/// Orphans below the calling process become its children.
pub fn become_subreaper() -> Result<()> {
    // Any PID stands for "on" (prctl(2): a non-zero argument).
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(Error::of("prctl", "PR_SET_CHILD_SUBREAPER"))
}

/// The process with this PID, with the start time that tells it from a later one of the same number.
pub fn reference(pid: Pid) -> Result<ProcessRef> {
    let pid = pid.as_raw_pid().unsigned_abs();
    Ok(ProcessRef { pid, start_time: start_time(pid)? })
}

/// Field 22 of `/proc/PID/stat`: clock ticks between boot and the start of the process (proc_pid_stat(5)).
pub fn start_time(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/stat");
    let file = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(Error::of("open", &path))?;
    // Longer than the line can be: 52 numbers of at most 20 digits, and a name of 16 bytes.
    let mut buffer = [0u8; 2048];
    let length = rustix::io::read(&file, &mut buffer[..]).map_err(Error::of("read", &path))?;
    parse_start_time(&buffer[..length]).ok_or(Errno::INVAL).map_err(Error::of("parse", path))
}

/// Whether the process is still the one that was meant, and more than a zombie.
pub fn is_running(process: ProcessRef) -> bool {
    let Ok(stat) = std::fs::read(format!("/proc/{}/stat", process.pid)) else { return false };
    let state = stat.iter().rposition(|b| *b == b')').and_then(|at| stat.get(at + 2)).copied();
    parse_start_time(&stat) == Some(process.start_time) && !matches!(state, None | Some(b'Z' | b'X'))
}

/// The name, field 2, may hold spaces and parentheses; what follows its last `)` is numbers.
fn parse_start_time(stat: &[u8]) -> Option<u64> {
    let after_name = stat.iter().rposition(|b| *b == b')')? + 1;
    let text = std::str::from_utf8(&stat[after_name..]).ok()?;
    text.split_ascii_whitespace().nth(22 - 3)?.parse().ok()
}

/// Whether the process is still the one that was meant (a zombie counts).
pub fn is_alive(process: ProcessRef) -> bool {
    start_time(process.pid).is_ok_and(|t| t == process.start_time)
}

/// Replaces the program by the one behind `fd` (execveat(2) with AT_EMPTY_PATH). Returns only on failure.
pub fn exec_fd(fd: BorrowedFd<'_>, argv: &[CString], envp: &[CString]) -> Error {
    let argv = pointers(argv);
    let envp = pointers(envp);
    // SAFETY: both arrays end with a null pointer and point to NUL-terminated strings that outlive the call.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            fd.as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    Error::last("execveat", format!("{}", fd.as_raw_fd()))
}

/// execve(2). Returns only on failure.
pub fn exec(path: &CStr, argv: &[CString], envp: &[CString]) -> Error {
    let argv = pointers(argv);
    let envp = pointers(envp);
    // SAFETY: as in `exec_fd`.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    Error::last("execve", path.to_string_lossy())
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
}

/// The execution domain (personality(2)); `0` is Linux, `0x0008` 32-bit Linux.
pub fn set_personality(persona: u64) -> Result<()> {
    // SAFETY: changes only how the kernel describes itself to this process.
    if unsafe { libc::personality(persona as libc::c_ulong) } < 0 {
        return Err(Error::last("personality", format!("{persona:#x}")));
    }
    Ok(())
}

/// Scheduling class and level of block I/O for the calling process (ioprio_set(2)).
pub fn set_io_priority(class: u16, level: u16) -> Result<()> {
    const IOPRIO_WHO_PROCESS: libc::c_int = 1;
    const IOPRIO_CLASS_SHIFT: u32 = 13;
    let value = libc::c_int::from(class) << IOPRIO_CLASS_SHIFT | libc::c_int::from(level);
    // SAFETY: passes three integers.
    if unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, value) } < 0 {
        return Err(Error::last("ioprio_set", format!("class {class}, level {level}")));
    }
    Ok(())
}

/// Scheduling attributes (sched_setattr(2), `struct sched_attr` version 0).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SchedulerAttributes {
    size: u32,
    pub policy: u32,
    pub flags: u64,
    pub nice: i32,
    pub priority: u32,
    pub runtime: u64,
    pub deadline: u64,
    pub period: u64,
}

/// Applies scheduling attributes to the calling thread.
pub fn set_scheduler(mut attributes: SchedulerAttributes) -> Result<()> {
    attributes.size = size_of::<SchedulerAttributes>() as u32;
    // SAFETY: the structure is plain old data of the stated size and outlives the call.
    if unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) } < 0 {
        return Err(Error::last("sched_setattr", format!("policy {}", attributes.policy)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_time_is_found_behind_a_hostile_name() {
        let line =
            b"7 (a) R 1 (b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1 18446744073709551615";
        assert_eq!(parse_start_time(line), Some(4242));
        assert_eq!(parse_start_time(b"7 (a) S 1"), None);
        assert_eq!(parse_start_time(b""), None);
    }

    #[test]
    fn a_copy_may_go_by_another_name() {
        crate::testing::single_threaded(|| {
            set_title(c"another", &["another", "name"]).unwrap();
            let line = std::fs::read("/proc/self/cmdline").unwrap();
            assert!(line.starts_with(b"another\0name\0"), "{line:?}");
            assert_eq!(std::fs::read("/proc/self/comm").unwrap(), b"another\n");
        });
    }

    #[test]
    fn own_reference_is_alive_and_another_start_time_is_not() {
        let own = reference(rustix::process::getpid()).unwrap();
        assert!(is_alive(own));
        assert!(!is_alive(ProcessRef { start_time: own.start_time + 1, ..own }));
    }
}
