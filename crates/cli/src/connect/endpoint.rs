//! Which engine: flags, then environment, then the selected context, then the usual sockets.

use std::path::PathBuf;

use super::host::{Host, HostError};
use crate::cli::Globals;
use crate::config::contexts::{Contexts, DEFAULT};
use crate::config::{Config, home};
use crate::error::Error;

#[derive(Debug, Clone)]
pub struct Endpoint {
    pub host: Host,
    pub tls: Option<TlsFiles>,
}

/// Where keys are, and whether the engine's is verified.
#[derive(Debug, Clone, Default)]
pub struct TlsFiles {
    pub ca: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub verify: bool,
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The name of the context in use: `--context`, else none if a host is given, else `DOCKER_CONTEXT`, else config.json's.
pub fn current_context(globals: &Globals, config: &Config) -> String {
    if let Some(name) = &globals.context {
        return name.clone();
    }
    if !globals.hosts.is_empty() || env("DOCKER_HOST").is_some() {
        return DEFAULT.into();
    }
    if let Some(name) = env("DOCKER_CONTEXT") {
        return name;
    }
    match config.file.current_context.as_str() {
        "" => DEFAULT.into(),
        name => name.into(),
    }
}

/// Where the user's own engine has its socket. A session over ssh without PAM, or cron's, is not told.
fn runtime_dir() -> Option<PathBuf> {
    let usual = || PathBuf::from(format!("/run/user/{}", rustix::process::geteuid().as_raw()));
    env("XDG_RUNTIME_DIR").map(PathBuf::from).or_else(|| Some(usual()).filter(|dir| dir.is_dir()))
}

/// The socket of the user's own engine, else the system's.
pub fn default_host() -> Host {
    let own = runtime_dir().map(|dir| dir.join("docker.sock"));
    let system = PathBuf::from("/var/run/docker.sock");
    match own {
        // With neither there, name the one that should be started.
        Some(own) if own.exists() || !system.exists() => Host::Unix(own),
        _ => Host::Unix(system),
    }
}

pub fn resolve(globals: &Globals, config: &Config) -> Result<Endpoint, Error> {
    if globals.context.is_some() && !globals.hosts.is_empty() {
        return Err(HostError::HostAndContext.into());
    }
    if globals.hosts.len() > 1 {
        return Err(HostError::SeveralHosts.into());
    }
    let name = current_context(globals, config);
    if name != DEFAULT {
        return of_context(&name, config);
    }
    let host = match globals.hosts.first().cloned().or_else(|| env("DOCKER_HOST")) {
        Some(text) => Host::parse(&text)?,
        None => default_host(),
    };
    let tls = match host {
        Host::Tcp(_) => from_flags(globals),
        _ => None,
    };
    Ok(Endpoint { host, tls })
}

fn from_flags(globals: &Globals) -> Option<TlsFiles> {
    let verify = globals.tlsverify.unwrap_or_else(|| env("DOCKER_TLS_VERIFY").is_some());
    if !(verify || globals.tls || env("DOCKER_TLS").is_some()) {
        return None;
    }
    let dir = env("DOCKER_CERT_PATH").map_or_else(|| home().join(".docker"), PathBuf::from);
    // A file that was asked for must exist; one of the usual places may be absent.
    let usual = |name: &str| Some(dir.join(name)).filter(|path| path.exists());
    let pick = |flag: &Option<String>, name: &str| flag.as_ref().map(PathBuf::from).or_else(|| usual(name));
    Some(TlsFiles {
        ca: pick(&globals.tlscacert, "ca.pem"),
        cert: pick(&globals.tlscert, "cert.pem"),
        key: pick(&globals.tlskey, "key.pem"),
        verify,
    })
}

/// Where a stored context leads, with its keys.
pub fn of_context(name: &str, config: &Config) -> Result<Endpoint, Error> {
    let contexts = Contexts::new(&config.dir);
    let docker = contexts.get(name).map_err(|error| HostError::Context(error.to_string()))?.docker();
    let host = match docker.host.as_str() {
        "" => default_host(),
        text => Host::parse(text)?,
    };
    let tls = contexts.has_tls(name).then(|| {
        let dir = contexts.tls_dir(name);
        let file = |name: &str| Some(dir.join(name)).filter(|path| path.exists());
        TlsFiles {
            ca: file("ca.pem"),
            cert: file("cert.pem"),
            key: file("key.pem"),
            verify: !docker.skip_tls_verify,
        }
    });
    Ok(Endpoint { host, tls })
}
