//! `run`: create, start, and stay until the program ends.

use super::{
    args::{Args, Global, unknown},
    create::{self, Flags},
    kill,
};
use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags};
use rustix::termios::{OptionalActions, Termios};
use std::{
    os::fd::{AsFd, OwnedFd},
    process::ExitCode,
};

pub(super) fn main(global: &Global, mut args: Args) -> Result<ExitCode> {
    let (mut flags, mut detach, mut keep) = (Flags::default(), false, false);
    while let Some((flag, given)) = args.flag() {
        match flag.as_str() {
            "detach" | "d" => detach = Args::switch(&flag, given)?,
            "keep" => keep = Args::switch(&flag, given)?,
            _ if flags.take(&mut args, &flag, given)? => {}
            _ => return unknown(&flag),
        }
    }
    let id = args.only_id()?;
    let bundle = flags.bundle()?;
    let spec = create::load(&bundle)?;
    if create::is_terminal(&spec) && detach != flags.console_socket.is_some() {
        bail!("a terminal needs --console-socket together with --detach, or neither");
    }
    let created = create::make(global, &id, &bundle, &spec, &flags, Some(runtime::StartGate::Socket))?;
    if let Err(e) = created.pending.start() {
        kill::remove(global, &id)?;
        return Err(e.into());
    }
    if detach {
        return Ok(ExitCode::SUCCESS);
    }
    let code = attend(created.console.as_ref(), &created.pidfd);
    if !keep {
        kill::remove(global, &id)?;
    }
    code
}

/// Relays the terminal, if there is one, until the process ends; its exit code.
pub(super) fn attend(console: Option<&OwnedFd>, pidfd: &OwnedFd) -> Result<ExitCode> {
    if let Some(master) = console {
        let _raw = RawTerminal::enter();
        relay(master, pidfd)?;
    }
    let exit = sys::pidfd::wait(pidfd).context("wait for the container")?;
    Ok(ExitCode::from(exit.code() as u8))
}

fn relay(master: &OwnedFd, pidfd: &OwnedFd) -> Result<()> {
    let (stdin, stdout) = (std::io::stdin(), std::io::stdout());
    let mut input_is_open = true;
    loop {
        let input = if input_is_open { PollFlags::IN } else { PollFlags::empty() };
        let mut fds = [
            PollFd::new(master, PollFlags::IN),
            PollFd::new(pidfd, PollFlags::IN),
            PollFd::new(&stdin, input),
        ];
        match rustix::event::poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other.context("poll")?,
        };
        let [output, exit, input] = fds.map(|fd| fd.revents());
        if !output.is_empty() && !copy(master, stdout.as_fd())? {
            return Ok(());
        }
        if output.is_empty() && !exit.is_empty() {
            return Ok(());
        }
        if input_is_open && !input.is_empty() {
            input_is_open = copy(stdin.as_fd(), master.as_fd())?;
        }
    }
}

/// One chunk; false at the end. A master whose last slave was closed answers EIO (pty(7)).
fn copy(from: impl AsFd, to: impl AsFd) -> Result<bool> {
    let mut buffer = [0u8; 8192];
    let length = match rustix::io::read(from, &mut buffer[..]) {
        Ok(0) | Err(rustix::io::Errno::IO) => return Ok(false),
        Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return Ok(true),
        other => other.context("read")?,
    };
    let mut rest = &buffer[..length];
    while !rest.is_empty() {
        let written = rustix::io::write(&to, rest).context("write")?;
        rest = &rest[written..];
    }
    Ok(true)
}

/// The caller's own terminal, raw until dropped.
struct RawTerminal(Option<Termios>);

impl RawTerminal {
    fn enter() -> Self {
        let stdin = std::io::stdin();
        let Ok(before) = rustix::termios::tcgetattr(&stdin) else { return Self(None) };
        let mut raw = before.clone();
        raw.make_raw();
        match rustix::termios::tcsetattr(&stdin, OptionalActions::Now, &raw) {
            Ok(()) => Self(Some(before)),
            Err(_) => Self(None),
        }
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Some(before) = &self.0
            && let Err(e) = rustix::termios::tcsetattr(std::io::stdin(), OptionalActions::Now, before)
        {
            eprintln!("lichen-shim oci: restore terminal: {e}");
        }
    }
}
