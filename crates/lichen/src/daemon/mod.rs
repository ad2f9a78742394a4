//! `lichen daemon`: the launcher. It checks what it was told, makes or finds the namespaces, and supervises the engine.
//!
//! It stays outside the namespaces, single-threaded, and does nothing else: all of the engine's work is in
//! [`crate::engine_main`], in a process of its own that is started from here.

pub(crate) mod config;
pub(crate) mod engine_process;
mod environment;
pub(crate) mod error;
pub(crate) mod hosts;
mod listeners;
pub(crate) mod lock;
pub(crate) mod logging;
pub(crate) mod objects;
pub(crate) mod options;
pub(crate) mod paths;
mod pidfile;
pub(crate) mod privilege;
pub(crate) mod remote;
mod service;
pub(crate) mod settings;
mod supervise;

use config::Config;
use error::{Error, Result};
use listeners::{Activated, Listeners};
use lock::Lock;
use options::OPTIONS;
use pidfile::Pidfile;
use privilege::Privilege;
use rootless::{Ensure, HolderState};
use service::Service;
use shim_proto::{Connection, FromHolder, ProtoError, ToHolder};
use std::ffi::OsString;
use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use supervise::{Supervised, supervise};
use tracing::{debug, info, warn};

/// How long shims that were told to end, and then the holder, may take to.
const ENDS: Duration = Duration::from_secs(10);

/// Run `lichen daemon` with these arguments.
pub(crate) fn main(arguments: &[String]) -> ExitCode {
    match run(arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("lichen: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<u8> {
    let line = settings::parse(arguments)?;
    if line.help {
        return print(&help());
    }
    if line.version {
        return print(&format!("Lichen version {}\n", env!("CARGO_PKG_VERSION")));
    }
    refuse_root()?;
    let config = config::load(&line)?;
    crate::engine_main::check(&config).map_err(Error::Settings)?;
    if line.validate {
        return print("configuration OK\n");
    }
    logging::start(&config.log);
    launch(&config, &line, arguments, Privilege::set_aside()?)
}

fn launch(
    config: &Config,
    line: &settings::CommandLine,
    arguments: &[String],
    privilege: Privilege,
) -> Result<u8> {
    // As dockerd's: containers see files that the engine makes, whose modes must not depend on who starts it.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    for remark in &config.remarks {
        info!("{remark}");
    }
    paths::make_private(config.run.root(), "exec-root")?;
    paths::make_private(config.data.root(), "data-root")?;
    // The last to go: a next launcher finds nothing that this one is still taking down.
    let mut locks = [
        Lock::of(config.run.root(), &config.pidfile)?,
        Lock::of(config.data.root(), &config.pidfile)?,
        Pidfile::lock(&config.pidfile)?,
    ];
    locks.iter_mut().try_for_each(|l| l.sign(None))?;
    // The engine's own follows. What cannot be had is found out before there are namespaces.
    let pidfile = Pidfile::new(&config.pidfile, std::process::id())?;
    let program = shim_program()?;
    let listeners = Listeners::open(&config.hosts, Activated::inherited()?)?;
    let ensure = Ensure { run: &config.run, program: program.as_fd() };
    let holder = rootless::ensure(&ensure)?;
    for warning in &holder.warnings {
        warn!("{warning}");
    }
    debug!(pid = holder.state.process.pid, found = ?holder.found, "namespace holder");
    let supervised = supervise(Supervised {
        ensure,
        holder: holder.state,
        locks: &mut locks,
        listeners: &listeners.sockets,
        arguments,
        environment: environment(config, listeners.ports),
        pidfile: &pidfile,
        service: Service::new(privilege, config.rootless.lxc_bridge.clone()),
    });
    // From here on clients are told that nobody is there.
    drop((listeners, pidfile));
    // Where none could start, nobody asked for the end of what an earlier engine left running.
    let ended = supervised.inspect_err(|_| end(config, true))?;
    // A reload may have changed it since.
    let live_restore = config::load(line).map_or(config.live_restore, |now| now.live_restore);
    end(config, live_restore || !ended.served);
    Ok(ended.code)
}

/// After a graceful end: nothing is left but what containers that were to go on need.
fn end(config: &Config, live_restore: bool) {
    match end_holder(config, live_restore) {
        Ok(true) => {}
        Ok(false) => warn!("the namespace holder has not ended yet"),
        Err(why) => info!("the namespaces stay: {why}"),
    }
}

/// Tells whether the holder has ended. Containers that live-restore lets run keep it.
pub(crate) fn end_holder(config: &Config, live_restore: bool) -> Result<bool> {
    let Some(state) = HolderState::read(&config.run)? else { return Ok(true) };
    let Ok(process) = sys::pidfd::open(state.process) else { return Ok(true) };
    if live_restore && has_shims(config) {
        return Err(Error::ContainersRun);
    }
    let reply = match ask_holder(config, &ToHolder::Shutdown { wait: true }) {
        // What still runs is in the answer to this.
        Err(ProtoError::Socket { source, .. }) if source.kind() == ErrorKind::WouldBlock => {
            ask_holder(config, &ToHolder::Shutdown { wait: false })?
        }
        reply => reply?,
    };
    match reply {
        FromHolder::Done => Ok(sys::pidfd::poll_exit(process, Some(ENDS))?),
        other => Err(other.unexpected("Done").into()),
    }
}

fn ask_holder(config: &Config, request: &ToHolder) -> Result<FromHolder, ProtoError> {
    let mut holder = Connection::connect(&config.run.holder_socket(), "holder")?;
    let limited = holder.socket().set_read_timeout(Some(ENDS));
    limited.map_err(|source| ProtoError::Socket { operation: "set a timeout", peer: "holder", source })?;
    holder.ask_holder(request, &[]).map(|(reply, _)| reply)
}

fn has_shims(config: &Config) -> bool {
    std::fs::read_dir(config.run.shims()).is_ok_and(|mut entries| entries.next().is_some())
}

/// Root on the host has the rootful engine; root of a user namespace is an ordinary user outside.
pub(crate) fn refuse_root() -> Result<()> {
    if rustix::process::geteuid().is_root() && !in_user_namespace() {
        return Err(Error::Root);
    }
    Ok(())
}

/// The initial user namespace maps all IDs to themselves (user_namespaces(7)).
fn in_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().collect::<Vec<_>>() != ["0", "0", "4294967295"]
}

/// `lichen-shim` in sealed memory, from beside this program or from PATH.
pub(crate) fn shim_program() -> Result<OwnedFd> {
    let beside =
        std::env::current_exe().map_err(Error::io("find", "this program"))?.with_file_name("lichen-shim");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates =
        std::iter::once(beside.clone()).chain(std::env::split_paths(&path).map(|p| p.join("lichen-shim")));
    let found: Option<PathBuf> = candidates.into_iter().find(|p| p.is_file());
    let found = found.ok_or(Error::NoShim { beside })?;
    let file = File::open(&found).map_err(Error::io("open", &found))?;
    Ok(sys::memfd::sealed_copy("lichen-shim", &file)?)
}

/// What the engine, as root of its namespace, could not find out by itself.
fn environment(config: &Config, ports: usize) -> Vec<(&'static str, OsString)> {
    let mut variables: Vec<(&'static str, OsString)> = vec![
        ("XDG_RUNTIME_DIR", config.places.runtime.clone().into()),
        ("XDG_DATA_HOME", config.places.data.clone().into()),
        ("XDG_CONFIG_HOME", config.places.config.clone().into()),
        (engine_process::PORT_SOCKETS, ports.to_string().into()),
    ];
    // The registry client takes its proxies from here.
    let proxies = &config.proxies;
    let proxies = [
        ("HTTP_PROXY", &proxies.http_proxy),
        ("HTTPS_PROXY", &proxies.https_proxy),
        ("NO_PROXY", &proxies.no_proxy),
    ];
    variables.extend(proxies.into_iter().filter(|(_, v)| !v.is_empty()).map(|(n, v)| (n, v.into())));
    variables
}

/// What was asked for.
fn print(text: &str) -> Result<u8> {
    cli::out::print(text).map(|()| 0).map_err(Error::io("write", "/dev/stdout"))
}

fn help() -> String {
    let mut text = "Usage: lichen daemon [OPTIONS]\n\nThe engine, with dockerd's options:\n\n".to_owned();
    for option in OPTIONS.iter().filter(|o| !o.flag.is_empty()) {
        let short = option.short.map_or_else(|| "    ".to_owned(), |c| format!("-{c}, "));
        let head = format!("{short}--{} {}", option.flag, option.value().unwrap_or_default());
        text.push_str(&format!("  {}\n", format!("{head:<42} {}", option.text()).trim_end()));
    }
    text
}
