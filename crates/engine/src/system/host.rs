//! What the host is: kernel, distribution, memory.

use std::fs;

pub(super) struct Kernel {
    /// `uname -r`
    pub release: String,
    /// `uname -m`
    pub machine: String,
    /// `uname -n`
    pub name: String,
}

pub(super) fn kernel() -> Kernel {
    let uname = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    Kernel { release: text(uname.release()), machine: text(uname.machine()), name: text(uname.nodename()) }
}

/// The architecture by Go's name for it.
pub(super) fn go_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

/// `PRETTY_NAME` and `VERSION_ID` of os-release(5); empty when the host has none.
pub(super) fn distribution() -> (String, String) {
    let text =
        ["/etc/os-release", "/usr/lib/os-release"].iter().find_map(|path| fs::read_to_string(path).ok());
    let text = text.unwrap_or_default();
    (os_release(&text, "PRETTY_NAME"), os_release(&text, "VERSION_ID"))
}

fn os_release(text: &str, key: &str) -> String {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    value.unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned()
}

/// Bytes of memory.
pub(super) fn memory() -> i64 {
    let info = rustix::system::sysinfo();
    i64::try_from(info.totalram as u64 * u64::from(info.mem_unit)).unwrap_or(i64::MAX)
}

pub(super) fn processors() -> i64 {
    std::thread::available_parallelism().map_or(1, |count| i64::try_from(count.get()).unwrap_or(1))
}

/// Open descriptors of this process.
pub(super) fn descriptors() -> i64 {
    entries("/proc/self/fd")
}

/// Threads of this process.
pub(super) fn threads() -> i64 {
    entries("/proc/self/task")
}

fn entries(path: &str) -> i64 {
    fs::read_dir(path).map_or(0, |entries| i64::try_from(entries.count()).unwrap_or(0))
}

pub(super) fn forwards_ipv4() -> bool {
    fs::read_to_string("/proc/sys/net/ipv4/ip_forward").is_ok_and(|text| text.trim() == "1")
}

/// Whether the unified hierarchy is mounted at the usual place (cgroups(7)).
pub(super) fn cgroup_version() -> &'static str {
    if fs::metadata("/sys/fs/cgroup/cgroup.controllers").is_ok() { "2" } else { "1" }
}

#[cfg(test)]
mod tests {
    use super::os_release;

    #[test]
    fn os_release_values_lose_their_quotes() {
        let text = "NAME=Debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID='12'\n";
        assert_eq!(os_release(text, "PRETTY_NAME"), "Debian GNU/Linux 12 (bookworm)");
        assert_eq!(os_release(text, "VERSION_ID"), "12");
        assert_eq!(os_release(text, "VERSION"), "");
    }
}
