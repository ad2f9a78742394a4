//! slirp4netns(1): a tap whose packets libslirp turns into sockets.
//!
//! Both halves are its own: with `--configure` it gives the tap 10.0.2.100/24, and 10.0.2.2 as the default route;
//! 10.0.2.3 answers DNS. It announces that it is ready on a descriptor; that is its standard input (which it has no
//! other use for), so that no descriptor needs to be inherited by number.

use super::{
    Driver, Ground, Started,
    program::{Wanted, ask_version, check_tun, numbers},
};
use crate::{
    config::{LARGE_MTU, Toggle},
    daemon::{self, Daemon},
    error::OutwardError,
    port_driver::PortDriver,
    router::OUTWARD_INTERFACE,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    pipe::{PipeFlags, pipe_with},
};
use std::{
    net::{IpAddr, Ipv4Addr},
    os::fd::OwnedFd,
    path::PathBuf,
    process::{Command, Stdio},
};

pub(super) const NAME: &str = "slirp4netns";

/// Where it is told of published ports, below the run directory.
pub(crate) const API_SOCKET: &str = "slirp4netns.sock";

/// The router namespace's address on its network.
pub(crate) const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 100);

/// RootlessKit asks for the same: the first with `--enable-sandbox` and `--enable-seccomp`.
const NEEDED: (u32, u32) = (0, 4);

/// How long it may take to configure the tap.
const PATIENCE_SECONDS: u64 = 5;

const PROGRAM: Wanted =
    Wanted { name: NAME, packages: "slirp4netns (apt, dnf, zypper, pacman, apk)", elsewhere: &[] };

struct Slirp4netns {
    program: PathBuf,
    version: String,
}

pub(super) fn probe() -> Result<Box<dyn Driver>, OutwardError> {
    let program = PROGRAM.find()?;
    let line = ask_version(&program)?;
    let version = line.strip_prefix("slirp4netns version ").unwrap_or(&line).to_owned();
    if numbers(&version).is_some_and(|found| found < NEEDED) {
        return Err(OutwardError::TooOld { found: version, needed: "0.4.0", purpose: "" });
    }
    check_tun()?;
    Ok(Box::new(Slirp4netns { program, version }))
}

impl Driver for Slirp4netns {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn resolver(&self) -> Option<IpAddr> {
        Some(Ipv4Addr::new(10, 0, 2, 3).into())
    }

    fn start(&self, ground: &Ground<'_>) -> Result<Started, OutwardError> {
        let wanted = [ground.config.slirp4netns_sandbox, ground.config.slirp4netns_seccomp];
        let protected = wanted.map(|toggle| toggle != Toggle::Off);
        let result = self.start_with(ground, protected);
        // Inside some containers it may neither mount nor filter; "auto" then means without.
        let fallback = [0, 1].map(|i| wanted[i] == Toggle::On);
        match result {
            Err(OutwardError::Died { output }) if fallback != protected => {
                tracing::warn!(output, "slirp4netns does not start with its sandbox; trying without");
                self.start_with(ground, fallback).map(Started::from)
            }
            other => other.map(Started::from),
        }
    }
}

impl Slirp4netns {
    fn start_with(&self, ground: &Ground<'_>, [sandbox, seccomp]: [bool; 2]) -> Result<Daemon, OutwardError> {
        let failed = |source| OutwardError::Run { program: self.program.clone(), source };
        let (ready, announce) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| failed(e.into()))?;
        let log = std::fs::File::create(ground.log).map_err(failed)?;
        let mut command = Command::new(&self.program);
        command.args(["--configure", "--ready-fd=0", "--netns-type=path"]);
        command.arg(format!("--mtu={}", ground.config.mtu.unwrap_or(LARGE_MTU)));
        if ground.config.port_driver == PortDriver::Slirp4netns {
            let api = ground.run.join(API_SOCKET);
            // It does not take the place of one that a predecessor left.
            daemon::remove_file(&api).map_err(|e| failed(std::io::Error::other(e)))?;
            command.arg("--api-socket").arg(api);
        }
        let flags = [
            (ground.config.disable_host_loopback, "--disable-host-loopback"),
            (sandbox, "--enable-sandbox"),
            (seccomp, "--enable-seccomp"),
            (ground.config.ipv6, "--enable-ipv6"),
        ];
        command.args(flags.iter().filter(|(on, _)| *on).map(|(_, flag)| flag));
        command.arg(&ground.router.path).arg(OUTWARD_INTERFACE);
        command.stdin(Stdio::from(announce)).stdout(log.try_clone().map_err(failed)?).stderr(log);
        let mut child = daemon::spawn(&mut command).map_err(failed)?;
        // The command still holds the pipe's other end, whose closing is to mean that the program died.
        drop(command);
        let started = Daemon::of_child(&mut child).map_err(|e| failed(std::io::Error::other(e)))?;
        (ground.begun)(started.process);
        match wait_ready(&ready) {
            Ok(true) => Ok(started),
            Ok(false) => {
                end(&started);
                Err(OutwardError::Died { output: daemon::last_words(ground.log) })
            }
            Err(()) => {
                end(&started);
                Err(OutwardError::Late { seconds: PATIENCE_SECONDS, output: daemon::last_words(ground.log) })
            }
        }
    }
}

fn end(started: &Daemon) {
    if let Err(error) = started.end() {
        tracing::warn!(%error, "cannot end a slirp4netns that did not get ready");
    }
}

/// True when it announced itself, false when it died; an error when it took too long.
fn wait_ready(ready: &OwnedFd) -> Result<bool, ()> {
    let timeout = Timespec { tv_sec: PATIENCE_SECONDS as i64, tv_nsec: 0 };
    loop {
        match poll(&mut [PollFd::new(ready, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return Err(()),
            Ok(_) => return Ok(rustix::io::read(ready, &mut [0u8; 8]).is_ok_and(|n| n > 0)),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Ok(false),
        }
    }
}
