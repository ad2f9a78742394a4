//! pasta(1) of passt: a tap in the namespace, translated to sockets without a second TCP stack.
//!
//! Both halves are its own: with `--config-net` it gives the tap an address and a default route. By itself it would
//! copy the host's, but then the host's address would be the router namespace's own and containers could not reach
//! the host by it; so it is told to use slirp4netns' numbers, as RootlessKit tells it. It goes to the background when it is ready, so the end of the process that was started says that it is, and a file says which
//! one stays. It is handed the namespace as its standard input: the path of another process's namespace is closed to
//! it once it has dropped its capabilities (ptrace(2), access mode checks).
//!
//! Its own port forwarding is off, unless the port driver is `implicit` ([`crate::port_driver`]).

use super::{
    Driver, Ground, Started,
    program::{Wanted, ask_version, check_tun},
};
use crate::{
    config::LARGE_MTU,
    daemon::{self, Daemon},
    error::OutwardError,
    port_driver::PortDriver,
    router::OUTWARD_INTERFACE,
};
use rustix::process::Pid;
use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

pub(super) const NAME: &str = "pasta";

const ADDRESS: &str = "10.0.2.100";
const NETMASK: &str = "24";
const GATEWAY: &str = "10.0.2.2";
/// What is sent to its DNS port goes to the host's resolver.
const RESOLVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);

/// The release since which `auto` finds what is listened on later: TCP ports in a namespace of somebody else's, and UDP
/// ports at all. RootlessKit asks for the same.
const PUBLISHES: &str = "2023_12_04";
/// The release since which clients on the host's loopback get to the namespace's loopback only by an option.
const LOOPBACK_OPTION: &str = "2024_10_30";

const PROGRAM: Wanted =
    Wanted { name: NAME, packages: "passt (apt, dnf, zypper, pacman, apk)", elsewhere: &[] };

struct Pasta {
    program: PathBuf,
    version: String,
}

pub(super) fn probe() -> Result<Box<dyn Driver>, OutwardError> {
    let program = PROGRAM.find()?;
    let line = ask_version(&program)?;
    check_tun()?;
    Ok(Box::new(Pasta { program, version: line.strip_prefix("pasta ").unwrap_or(&line).to_owned() }))
}

impl Driver for Pasta {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn resolver(&self) -> Option<IpAddr> {
        Some(RESOLVER.into())
    }

    fn can_publish(&self) -> Result<(), OutwardError> {
        if self.is_of(PUBLISHES) {
            return Ok(());
        }
        let found = self.version.clone();
        Err(OutwardError::TooOld { found, needed: PUBLISHES, purpose: " for --port-driver implicit" })
    }

    fn start(&self, ground: &Ground<'_>) -> Result<Started, OutwardError> {
        let failed = |source| OutwardError::Run { program: self.program.clone(), source };
        let pid_file = ground.run.join("pasta.pid");
        daemon::remove_file(&pid_file).map_err(|e| failed(io::Error::other(e)))?;
        let log = fs::File::create(ground.log).map_err(failed)?;
        let namespace = ground.router.namespace().try_clone().map_err(failed)?;
        let mut command = Command::new(&self.program);
        command.args(["--config-net", "--quiet", "--no-netns-quit", "--ns-ifname", OUTWARD_INTERFACE]);
        let implicit = ground.config.port_driver == PortDriver::Implicit;
        let ports = if implicit { "auto" } else { "none" };
        // The other direction would lead to the host's loopback.
        command.args(["-t", ports, "-u", ports, "-T", "none", "-U", "none"]);
        if implicit && self.is_of(LOOPBACK_OPTION) {
            command.arg("--host-lo-to-ns-lo");
        }
        command.args(["--address", ADDRESS, "--netmask", NETMASK, "--gateway", GATEWAY]);
        command.arg("--mtu").arg(ground.config.mtu.unwrap_or(LARGE_MTU).to_string());
        command.arg("--dns-forward").arg(RESOLVER.to_string());
        if ground.config.disable_host_loopback {
            command.arg("--no-map-gw");
        }
        if !ground.config.ipv6 {
            command.arg("--ipv4-only");
        }
        command.arg("--pid").arg(&pid_file).args(["--netns", "/proc/self/fd/0"]);
        command.stdin(Stdio::from(namespace)).stdout(log.try_clone().map_err(failed)?).stderr(log);
        let status = daemon::spawn(&mut command).and_then(|mut child| child.wait()).map_err(failed)?;
        if !status.success() {
            return Err(OutwardError::Died { output: daemon::last_words(ground.log) });
        }
        daemon_of(&pid_file).map(Started::from).map_err(failed)
    }
}

impl Pasta {
    fn is_of(&self, release: &str) -> bool {
        date(&self.version).is_some_and(|date| date >= release.replace('_', ""))
    }
}

/// The day of a release, as in `2024_08_21.1d6142f` or `0.0~git20240220.1e6f92b-1`. Builds without their history know none.
fn date(version: &str) -> Option<String> {
    let digits = version.replace('_', "");
    let mut runs = digits.split(|c: char| !c.is_ascii_digit());
    runs.find(|run| run.len() == 8 && run.starts_with("20")).map(str::to_owned)
}

fn daemon_of(pid_file: &Path) -> io::Result<Daemon> {
    let text = fs::read_to_string(pid_file)?;
    let pid = text.trim().parse().ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other(format!("{} holds no PID", pid_file.display())))?;
    Daemon::find(sys::process::reference(pid)?).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_days() {
        assert_eq!(date("2024_08_21.1d6142f"), Some("20240821".to_owned()));
        assert_eq!(date("0.0~git20230309.7c7625d-1"), Some("20230309".to_owned()));
        assert_eq!(date("unknown version"), None);
    }
}
