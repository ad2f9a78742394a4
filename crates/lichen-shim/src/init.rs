//! `--init`: process 1 of a container. Runs the container's program as its child, passes signals on to it, reaps
//! whatever is orphaned, and ends as the program ends.
//!
//! The engine binds this program at `/sbin/docker-init`, by which name it knows what it is. A program that is process 1
//! itself ignores signals it has no handler for (pid_namespaces(7)) and seldom reaps.

use nix::{
    errno::Errno,
    sys::{
        signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{Pid, execvp, setpgid},
};
use std::{ffi::CString, io, process::ExitCode};
use sys::clone::Fork;

/// The name under which the engine binds it.
pub(crate) const NAME: &str = "docker-init";

/// Signals that are about this process itself, and are not passed on.
const OWN: [Signal; 7] = [
    Signal::SIGCHLD,
    Signal::SIGFPE,
    Signal::SIGILL,
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGABRT,
    Signal::SIGTRAP,
];

/// Runs `command`, which may begin with `--`. The exit code is the program's, 128 and the signal's number, or the
/// shell's 126 and 127.
pub(crate) fn main(command: &[String]) -> ExitCode {
    let command = command.strip_prefix(&["--".to_owned()]).unwrap_or(command);
    let Some((program, arguments)) = command.split_first() else {
        eprintln!("{NAME}: no program was given");
        return ExitCode::from(2);
    };
    match run(program, arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("{NAME}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(program: &str, arguments: &[String]) -> io::Result<u8> {
    // Blocked before there is a child, so that none is lost: they are taken by sigwait(3).
    let mut signals = SigSet::all();
    OWN[1..].iter().for_each(|signal| signals.remove(*signal));
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&signals), None)?;
    let child = match sys::clone::fork().map_err(|error| io::Error::from(error.errno))? {
        Fork::Parent(child) => Pid::from_raw(child.pid.as_raw_pid()),
        Fork::Child { .. } => sys::process::exit(exec(program, arguments)),
    };
    if rustix::termios::isatty(io::stdin())
        && let Some(group) = rustix::process::Pid::from_raw(child.as_raw())
    {
        // The child makes its group as well; whoever comes first.
        match setpgid(child, child) {
            Ok(()) | Err(Errno::EACCES | Errno::ESRCH) => {}
            Err(errno) => return Err(errno.into()),
        }
        match rustix::termios::tcsetpgrp(io::stdin(), group) {
            // It has ended already.
            Ok(()) | Err(rustix::io::Errno::SRCH | rustix::io::Errno::PERM) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    loop {
        match signals.wait()? {
            Signal::SIGCHLD => {
                if let Some(code) = reap(child)? {
                    return Ok(code);
                }
            }
            signal if OWN.contains(&signal) => {}
            // It may have ended, and is not reaped yet.
            signal => match kill(child, signal) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => return Err(errno.into()),
            },
        }
    }
}

/// The child: becomes the program, with no signal blocked (`std::process::Command` would pass the mask on) and in a group
/// of its own, so that a terminal's signals reach it once. Returns the shell's exit code when it cannot.
fn exec(program: &str, arguments: &[String]) -> i32 {
    let failed = |errno: Errno| {
        eprintln!("{NAME}: exec {program} failed: {}", io::Error::from(errno));
        if errno == Errno::EACCES { 126 } else { 127 }
    };
    if let Err(errno) = setpgid(Pid::from_raw(0), Pid::from_raw(0)) {
        return failed(errno);
    }
    sys::signals::reset();
    let strings = std::iter::once(program).chain(arguments.iter().map(String::as_str)).map(CString::new);
    match strings.collect::<Result<Vec<_>, _>>() {
        Ok(argv) => match execvp(&argv[0], &argv) {
            Ok(never) => match never {},
            Err(errno) => failed(errno),
        },
        Err(_) => failed(Errno::EINVAL),
    }
}

/// Reaps every child that has ended; tells the program's exit code once it is among them.
fn reap(child: Pid) -> io::Result<Option<u8>> {
    let mut code = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == child => code = Some(status.to_le_bytes()[0]),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                code = Some(128 + (signal as i32).to_le_bytes()[0])
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(code),
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
