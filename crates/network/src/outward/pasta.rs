//! pasta(1) of passt: a tap in the namespace, translated to sockets without a second TCP stack.
//!
//! Both halves are its own: with `--config-net` it gives the tap an address and a default route. By itself it would
//! copy the host's, but then the host's address would be the router namespace's own and containers could not reach
//! the host by it; so it is told to use slirp4netns' numbers, as RootlessKit tells it. It goes to the background when it is ready, so the end of the process that was started says that it is, and a file says which
//! one stays. It is handed the namespace as its standard input: the path of another process's namespace is closed to
//! it once it has dropped its capabilities (ptrace(2), access mode checks).
//!
//! Its own port forwarding is off: published ports are the forwarder's, with every driver.

use super::{Driver, Ground, ask_version, check_tun, find_program};
use crate::{
    daemon::{self, Daemon},
    error::OutwardError,
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

struct Pasta {
    program: PathBuf,
    version: String,
}

pub(super) fn probe() -> Result<Box<dyn Driver>, OutwardError> {
    let program = find_program(NAME, "passt")?;
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

    fn resolver(&self) -> IpAddr {
        RESOLVER.into()
    }

    fn start(&self, ground: &Ground<'_>) -> Result<Daemon, OutwardError> {
        let failed = |source| OutwardError::Run { program: self.program.clone(), source };
        let pid_file = ground.run.join("pasta.pid");
        daemon::remove_file(&pid_file).map_err(|e| failed(io::Error::other(e)))?;
        let log = fs::File::create(ground.log).map_err(failed)?;
        let namespace = ground.router.namespace().try_clone().map_err(failed)?;
        let mut command = Command::new(&self.program);
        command.args(["--config-net", "--quiet", "--no-netns-quit", "--ns-ifname", OUTWARD_INTERFACE]);
        command.args(["-t", "none", "-u", "none", "-T", "none", "-U", "none"]);
        command.args(["--address", ADDRESS, "--netmask", NETMASK, "--gateway", GATEWAY]);
        command.arg("--mtu").arg(ground.config.mtu.to_string());
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
        daemon_of(&pid_file).map_err(failed)
    }
}

fn daemon_of(pid_file: &Path) -> io::Result<Daemon> {
    let text = fs::read_to_string(pid_file)?;
    let pid = text.trim().parse().ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other(format!("{} holds no PID", pid_file.display())))?;
    Daemon::find(sys::process::reference(pid)?).map_err(io::Error::other)
}
