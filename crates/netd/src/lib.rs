//! The forwarder process: published ports, containers' DNS, and the way out.
//!
//! It runs in the engine's user namespace and stays in the host's network namespace. One helper thread joins the
//! *router* namespace, where the containers' bridges are, and makes sockets there for the event loop. So each
//! forwarded flow is two kernel sockets, one on either side, and what is copied or spliced between them; no packet is
//! ever looked at.
//!
//! ```text
//!  host's network namespace │ forwarder          │ router namespace          │ container
//!  client ── listener ──────┼─► flow ────────────┼─► socket (client's ───────┼─► server
//!                           │                    │   address)                │
//! ```
//!
//! It is a process of its own so that ports and live flows outlast the engine. It knows nothing but what it was told
//! over its control socket ([`proto`]), and is told again after it died.
#![forbid(unsafe_code)]

mod args;
pub mod client;
mod control;
mod dns;
pub mod flows;
pub mod fuzzing;
mod inward;
pub mod outward;
mod pipes;
mod poll;
pub mod proto;
mod router;
mod scarcity;
mod segments;
mod server;
mod slab;
pub mod socket;
pub mod state;
mod streams;
mod tcp;
mod udp;
mod workers;

use args::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use server::Server;
use std::{
    ffi::OsString,
    fs, io,
    io::Write,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    process::ExitCode,
};
use workers::Workers;

/// The line that tells the engine, on standard output, that ports can be added.
pub const READY: &str = "ready";

/// `lichen-shim netd --socket PATH --state FILE --router NAMESPACE [--gateway-sources] [--outward [--host-loopback]]`.
///
/// `args` are what follows `verb`, the words by which the running program is this one. Serves until it is killed; what goes
/// wrong is said on standard error.
pub fn main(verb: &[OsString], args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    raise_descriptor_limit();
    let outcome = match args.first() {
        Some(first) if first == workers::VERB => workers::process::run(),
        _ => Args::parse(args).map_err(io::Error::other).and_then(|args| run(&args, verb.to_vec())),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("netd: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args, verb: Vec<OsString>) -> io::Result<()> {
    let namespace = fs::File::open(&args.router).map_err(named("open", &args.router))?;
    let router_inode = rustix::fs::fstat(&namespace)?.st_ino;
    let transparent = !args.gateway_sources;
    let (sockets, opened) =
        router::RouterSockets::start(OwnedFd::from(namespace), transparent, args.outward.is_some())
            .map_err(named("join", &args.router))?;
    let control = control::listen(&args.socket).map_err(named("listen at", &args.socket))?;
    let mut server = Server::new(control, sockets, Workers::new(verb), transparent)?;
    if let (Some(opened), Some(settings)) = (opened, args.outward) {
        server.lead_outward(opened, settings)?;
    }
    write_state(&args.state, router_inode, args.outward).map_err(named("write", &args.state))?;
    announce()?;
    Err(server.run())
}

fn named<'a>(what: &'a str, path: &'a Path) -> impl Fn(io::Error) -> io::Error + 'a {
    move |error| io::Error::new(error.kind(), format!("{what} {}: {error}", path.display()))
}

/// Every flow is two descriptors: as many as the hard limit allows.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Keeping the soft limit is no failure, only a lower bound on flows.
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).ok();
}

fn write_state(path: &Path, router_inode: u64, outward: Option<outward::Settings>) -> io::Result<()> {
    let process = sys::process::reference(rustix::process::getpid())?;
    let text = serde_json::to_vec(&state::State { process, router_inode, outward })?;
    let temporary = path.with_extension("new");
    fs::write(&temporary, text)?;
    fs::rename(&temporary, path)
}

/// Says that it is ready, and lets go of the engine's pipe, whose other end goes away with the engine.
fn announce() -> io::Result<()> {
    let mut stdout = io::stdout();
    writeln!(stdout, "{READY}")?;
    stdout.flush()?;
    Ok(rustix::stdio::dup2_stdout(io::stderr().as_fd())?)
}
