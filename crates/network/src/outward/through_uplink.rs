//! Starting an uplink (crate `uplink`): the child half of drivers whose programs have none.

use super::{Ground, Started};
use crate::{
    config::LARGE_MTU,
    daemon::{self, Daemon},
    error::{Error, OutwardError},
    mac::MacAddr,
    netlink::{
        link,
        route::{self, Via},
    },
    router::OUTWARD_INTERFACE,
};
use ipnet::{IpNet, Ipv4Net};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::{
    ffi::OsString,
    io::{self, BufRead, BufReader, Write},
    net::Ipv4Addr,
    os::fd::AsFd,
    path::PathBuf,
    process::{ChildStdin, ChildStdout, Command, Stdio},
};
use uplink::{
    Protocol,
    talk::{self, Event, Lease, Mac},
};

/// Longer than a program's start, a handshake and DHCP may take together.
const PATIENCE: Timespec = Timespec { tv_sec: 40, tv_nsec: 0 };

/// Packets that may wait for the relay.
const QUEUE: u32 = 1000;

/// What the other end of the interface is.
pub(super) enum Far<'a> {
    /// A program that the uplink starts and relays frames to.
    Program { protocol: Protocol, socket: PathBuf, program: PathBuf, arguments: Vec<OsString> },
    /// Whatever this makes in the network namespace of the process with this PID.
    Elsewhere(&'a dyn Fn(u32) -> Result<(), OutwardError>),
}

/// The two directions of the conversation.
struct Talk {
    said: BufReader<ChildStdout>,
    tell: ChildStdin,
}

/// Starts it, and returns when the interface has its address and the default route.
pub(super) fn start(ground: &Ground<'_>, far: &Far<'_>) -> Result<Started, OutwardError> {
    let failed = |source| OutwardError::Run { program: ground.uplink.path.clone(), source };
    let log = std::fs::File::create(ground.log).map_err(failed)?;
    let mut command = Command::new(&ground.uplink.path);
    command.args(&ground.uplink.args).arg("--router").arg(&ground.router.path);
    command.args(["--interface", OUTWARD_INTERFACE]);
    if let Far::Program { protocol, socket, program, arguments } = far {
        command.args(["--relay", protocol.as_str(), "--socket"]).arg(socket);
        command.arg("--").arg(program).args(arguments);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
    let mut child = daemon::spawn(&mut command).map_err(failed)?;
    let said = BufReader::new(child.stdout.take().expect("stdout was asked to be a pipe"));
    let talk = Talk { said, tell: child.stdin.take().expect("stdin was asked to be a pipe") };
    let daemon = Daemon::of_child(&mut child).map_err(|e| failed(io::Error::other(e)))?;
    (ground.begun)(daemon.process);
    match converse(ground, far, talk, daemon.process.pid) {
        Ok(lease) => Ok(Started { daemon, resolver: lease.resolver.map(Into::into) }),
        Err(error) => {
            if let Err(error) = daemon.end() {
                tracing::warn!(%error, "cannot end an uplink that did not come up");
            }
            Err(error)
        }
    }
}

fn converse(ground: &Ground<'_>, far: &Far<'_>, mut talk: Talk, pid: u32) -> Result<Lease, OutwardError> {
    let Event::Linked { mac, mtu } = talk.next(ground)? else {
        return Err(OutwardError::Died {
            output: "the uplink leased an address before it was linked".into(),
        });
    };
    let mtu = match far {
        // What the bridge has is right, unless the user knows better.
        Far::Elsewhere(make) => make(pid).map(|()| ground.config.mtu)?,
        Far::Program { .. } => Some(mtu.map_or(ground.config.mtu.unwrap_or(LARGE_MTU), u32::from)),
    };
    let mac = match mac {
        Some(mac) => MacAddr(mac),
        None => own_mac(ground).map_err(step("remember an Ethernet address"))?,
    };
    let mut changes = vec![link::set_up_as(OUTWARD_INTERFACE, mac)];
    changes.extend(mtu.map(|mtu| link::set_up_with(OUTWARD_INTERFACE, mtu, QUEUE)));
    ground.router.netlink(|n| n.changes(&changes)).map_err(step("set the interface up"))?;
    talk.tell_up(mac.0).map_err(|source| step("tell the uplink")(io_error(source)))?;
    let Event::Leased(lease) = talk.next(ground)? else {
        return Err(OutwardError::Died { output: "the uplink was linked twice".into() });
    };
    configure(ground, &lease).map_err(step("configure the interface"))?;
    Ok(lease)
}

fn step(step: &'static str) -> impl Fn(Error) -> OutwardError {
    move |source| OutwardError::Step { step, source: Box::new(source) }
}

fn io_error(source: io::Error) -> Error {
    Error::Namespace { operation: "write to its standard input", source }
}

fn configure(ground: &Ground<'_>, lease: &Lease) -> Result<(), Error> {
    let own = Ipv4Net::new(lease.address, lease.prefix).expect("a lease has a prefix of 1 to 30");
    let everywhere = Ipv4Net::new(Ipv4Addr::UNSPECIFIED, 0).expect("0 is a prefix length");
    ground.router.netlink(|netlink| {
        let interface = netlink.link(OUTWARD_INTERFACE)?.index;
        let via = Via::Gateway { address: lease.gateway.into(), interface };
        netlink.changes(&[
            route::add_address(interface, IpNet::V4(own)),
            route::add_route(route::MAIN, IpNet::V4(everywhere), &via),
        ])
    })
}

/// The same as last time, or else a DHCP server's addresses would be used up by restarts.
fn own_mac(ground: &Ground<'_>) -> Result<MacAddr, Error> {
    let path = ground.run.join("uplink-mac.json");
    if let Some(known) = daemon::read_record::<MacAddr>(&path)? {
        return Ok(known);
    }
    let mac = MacAddr::random();
    daemon::write_record(&path, &mac)?;
    Ok(mac)
}

impl Talk {
    /// What the uplink says next. It says whole lines, so waiting for the first byte of one is enough.
    fn next(&mut self, ground: &Ground<'_>) -> Result<Event, OutwardError> {
        let output = || daemon::last_words(ground.log);
        let ready = loop {
            let fd = self.said.get_ref().as_fd();
            match poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&PATIENCE)) {
                Err(rustix::io::Errno::INTR) => {}
                ready => break ready,
            }
        };
        if matches!(ready, Ok(0)) {
            return Err(OutwardError::Late { seconds: PATIENCE.tv_sec.unsigned_abs(), output: output() });
        }
        let mut line = String::new();
        let read = self.said.read_line(&mut line);
        let event = read.ok().and_then(|_| serde_json::from_str(&line).ok());
        event.ok_or_else(|| OutwardError::Died { output: output() })
    }

    fn tell_up(&mut self, mac: Mac) -> io::Result<()> {
        let mut line = serde_json::to_vec(&talk::Command::Up { mac })?;
        line.push(b'\n');
        self.tell.write_all(&line)
    }
}
