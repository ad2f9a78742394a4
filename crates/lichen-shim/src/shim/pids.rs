//! The processes of a container that has no cgroup to ask.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

/// All processes in init's PID namespace; when that is our own (`--pid host`), init and its descendants.
pub(super) fn of(init: u32) -> Vec<u32> {
    let namespace = |pid: &str| fs::metadata(format!("/proc/{pid}/ns/pid")).map(|m| m.ino()).ok();
    let Some(wanted) = namespace(&init.to_string()) else { return Vec::new() };
    let mut all = numbers();
    if namespace("self") == Some(wanted) {
        return descendants(init, &all);
    }
    all.retain(|pid| namespace(&pid.to_string()) == Some(wanted));
    all
}

fn numbers() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<u32> = entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids
}

fn descendants(root: u32, all: &[u32]) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for pid in all {
        if let Some(parent) = parent(*pid) {
            children.entry(parent).or_default().push(*pid);
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        found.extend(children.remove(pid).unwrap_or_default());
        next += 1;
    }
    found
}

/// Field 4 of /proc/PID/stat; the name before it may hold anything (proc_pid_stat(5)).
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    #[test]
    fn descendants_in_the_own_namespace_are_found() {
        let mut child =
            Command::new("sh").args(["-c", "sleep 60 & echo; wait"]).stdout(Stdio::piped()).spawn().unwrap();
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let found = super::of(child.id());
        assert_eq!((found.len(), found[0]), (2, child.id()), "{found:?}");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(found[1].cast_signed()), nix::sys::signal::SIGKILL)
            .unwrap();
        child.wait().unwrap();
    }
}
