//! `exec`.

use super::{
    args::{Args, Global, unknown},
    container::Container,
    create::{send_terminal, write_pid},
    run::attend,
    store::read_json,
};
use anyhow::{Context, Result, bail};
use oci_spec::runtime::{Capabilities, Capability, ContainerState, LinuxCapabilities, Process, User};
use runtime::{ExecOptions, Listener, Stdio, WindowSize};
use std::{os::fd::AsFd, path::PathBuf, process::ExitCode, str::FromStr};

#[derive(Debug, Default)]
struct Flags {
    detach: bool,
    tty: bool,
    process: Option<PathBuf>,
    user: Option<String>,
    cwd: Option<PathBuf>,
    env: Vec<String>,
    caps: Vec<String>,
    groups: Vec<u32>,
    no_new_privs: bool,
    console_socket: Option<PathBuf>,
    pid_file: Option<PathBuf>,
    preserve_fds: u32,
}

impl Flags {
    fn take(args: &mut Args) -> Result<Self> {
        let mut flags = Self::default();
        while let Some((flag, given)) = args.flag() {
            match flag.as_str() {
                "detach" | "d" => flags.detach = Args::switch(&flag, given)?,
                "tty" | "t" => flags.tty = Args::switch(&flag, given)?,
                "no-new-privs" => flags.no_new_privs = Args::switch(&flag, given)?,
                "process" | "p" => flags.process = Some(args.value(&flag, given)?.into()),
                "user" | "u" => flags.user = Some(args.value(&flag, given)?),
                "cwd" => flags.cwd = Some(args.value(&flag, given)?.into()),
                "env" | "e" => flags.env.push(args.value(&flag, given)?),
                "cap" | "c" => flags.caps.push(args.value(&flag, given)?),
                "additional-gids" | "g" => {
                    flags.groups.push(args.value(&flag, given)?.parse().context("flag --additional-gids")?)
                }
                "console-socket" => flags.console_socket = Some(args.value(&flag, given)?.into()),
                "pid-file" => flags.pid_file = Some(args.value(&flag, given)?.into()),
                "preserve-fds" => {
                    flags.preserve_fds = args.value(&flag, given)?.parse().context("flag --preserve-fds")?
                }
                "ignore-paused" => drop(Args::switch(&flag, given)?),
                _ => return unknown(&flag),
            }
        }
        Ok(flags)
    }

    /// The container's own process with what the flags change, or the file that `--process` names.
    fn process(&self, container: &Container, command: Vec<String>) -> Result<Process> {
        if let Some(path) = &self.process {
            return read_json(path);
        }
        if command.is_empty() {
            bail!("which command?");
        }
        let mut process = container.spec.process().clone().context("the container has no process")?;
        process.set_args(Some(command)).set_terminal(Some(self.tty));
        if let Some(cwd) = &self.cwd {
            process.set_cwd(cwd.clone());
        }
        if !self.env.is_empty() {
            let mut env = process.env().clone().unwrap_or_default();
            env.extend(self.env.iter().cloned());
            process.set_env(Some(env));
        }
        if let Some(user) = &self.user {
            process.set_user(parse_user(user)?);
        }
        if !self.groups.is_empty() {
            let mut groups = process.user().additional_gids().clone().unwrap_or_default();
            groups.extend(&self.groups);
            process.user_mut().set_additional_gids(Some(groups));
        }
        if self.no_new_privs {
            process.set_no_new_privileges(Some(true));
        }
        self.add_capabilities(&mut process)?;
        Ok(process)
    }

    fn add_capabilities(&self, process: &mut Process) -> Result<()> {
        if self.caps.is_empty() {
            return Ok(());
        }
        let wanted = self.caps.iter().map(|name| {
            Capability::from_str(name.trim_start_matches("CAP_"))
                .with_context(|| format!("unknown capability {name:?}"))
        });
        let wanted: Capabilities = wanted.collect::<Result<_>>()?;
        let mut sets: LinuxCapabilities = process.capabilities().clone().unwrap_or_default();
        let with = |set: &Option<Capabilities>| {
            Some(set.iter().flatten().copied().chain(wanted.iter().copied()).collect())
        };
        sets.set_bounding(with(sets.bounding()));
        sets.set_effective(with(sets.effective()));
        sets.set_permitted(with(sets.permitted()));
        process.set_capabilities(Some(sets));
        Ok(())
    }
}

/// `UID` or `UID:GID`.
fn parse_user(text: &str) -> Result<User> {
    let (uid, gid) = text.split_once(':').unwrap_or((text, "0"));
    let number = |n: &str| n.parse::<u32>().with_context(|| format!("flag --user: {n:?} is no ID"));
    let mut user = User::default();
    user.set_uid(number(uid)?).set_gid(number(gid)?);
    Ok(user)
}

pub(super) fn main(global: &Global, mut args: Args) -> Result<ExitCode> {
    let flags = Flags::take(&mut args)?;
    let id = args.positional().context("which container?")?;
    let container = Container::open(global, &id)?;
    if container.status() == ContainerState::Stopped {
        bail!("cannot exec in a stopped container");
    }
    if container.is_paused()? {
        bail!("cannot exec in a paused container");
    }
    let process = flags.process(&container, args.rest())?;
    let terminal = process.terminal().unwrap_or(false);
    if terminal && flags.detach != flags.console_socket.is_some() {
        bail!("a terminal needs --console-socket together with --detach, or neither");
    }
    let executing = run(&container, &process, &flags, terminal)?;
    for warning in &executing.warnings {
        eprintln!("lichen-shim oci: warning: {warning}");
    }
    write_pid(flags.pid_file.as_deref(), executing.process.pid)?;
    match (&flags.console_socket, &executing.console) {
        (Some(path), Some(master)) => send_terminal(path, master)?,
        (Some(_), None) => bail!("--console-socket needs a terminal"),
        (None, _) => {}
    }
    if flags.detach {
        return Ok(ExitCode::SUCCESS);
    }
    attend(executing.console.as_ref(), &executing.pidfd)
}

fn run(
    container: &Container,
    process: &Process,
    flags: &Flags,
    terminal: bool,
) -> Result<runtime::Executing> {
    let (state, spec) = (&container.state, &container.spec);
    let init = sys::pidfd::open(state.init)?;
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let cap = |n: u64| u16::try_from(n).unwrap_or(u16::MAX);
    let size = process
        .console_size()
        .as_ref()
        .map(|s| WindowSize { rows: cap(s.height()), columns: cap(s.width()) });
    let stdio = if terminal {
        Stdio::Terminal { size }
    } else {
        Stdio::Fds { stdin: stdin.as_fd(), stdout: stdout.as_fd(), stderr: stderr.as_fd() }
    };
    let filter = match spec.linux().as_ref().and_then(|l| l.seccomp().as_ref()) {
        Some(rules) => runtime::seccomp::load(rules, None)?,
        None => None,
    };
    let listener = Listener::of_spec(spec, &state.id, &state.bundle, state.init.pid, container.status())?;
    Ok(runtime::exec(&ExecOptions {
        init: init.as_fd(),
        init_process: state.init,
        process,
        seccomp: filter.as_ref(),
        stdio,
        preserve_fds: flags.preserve_fds,
        bypass: false,
        cgroup: &container.cgroup()?,
        listener: listener.as_ref(),
        personality: runtime::personality(spec)?,
    })?)
}
