//! Finding and killing processes.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

#[derive(Debug, Clone)]
pub struct Process {
    pub pid: u32,
    /// Its arguments, joined by spaces.
    pub command: String,
}

/// Processes that were started with `directory` in their environment or arguments, other than this one.
pub(crate) fn started_with(directory: &std::path::Path) -> Vec<Process> {
    let needle = directory.as_os_str().as_encoded_bytes();
    let names = |text: &[u8]| text.windows(needle.len()).any(|part| part == needle);
    let mut found = Vec::new();
    for pid in std::fs::read_dir("/proc")
        .expect("read /proc")
        .filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok())
    {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        // A process that ended meanwhile has neither file.
        let (Ok(environ), Ok(cmdline)) =
            (std::fs::read(proc.join("environ")), std::fs::read(proc.join("cmdline")))
        else {
            continue;
        };
        if pid != std::process::id() && (names(&environ) || names(&cmdline)) {
            let command = String::from_utf8_lossy(&cmdline).replace('\0', " ").trim().to_owned();
            found.push(Process { pid, command });
        }
    }
    found
}

/// The fourth field of proc_pid_stat(5).
pub(crate) fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// SIGKILL; a process that is gone already is fine.
///
/// # Panics
/// When the kernel refuses.
pub fn kill_9(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a PID");
    match rustix::process::kill_process(pid, rustix::process::Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(errno) => panic!("kill {pid:?}: {errno}"),
    }
}

/// Waits until `condition` gives something, for at most half a minute.
///
/// # Panics
/// When it does not: a machine this slow is taken for a hang.
#[track_caller]
pub fn wait_until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "waited 30 s until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
