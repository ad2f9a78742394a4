//! Who may reach the API over a network: TLS, and what is refused without it.
//!
//! Whoever reaches the API has the user's files and processes. On a unix socket the kernel keeps others out; over TCP
//! only a client certificate does. Docker's dockerd has the same rule and the same words for lifting it.

use super::error::{Error, Result};
use super::hosts::Host;
use super::settings::Settings;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tls {
    /// Whether clients must show a certificate of `ca`.
    pub(crate) verify: bool,
    pub(crate) ca: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// `--tlsverify` implies `--tls`. Files that are not named are `ca.pem`, `cert.pem` and `key.pem` of `usual`.
pub(super) fn tls(s: &Settings, usual: &Path) -> Result<Option<Tls>> {
    let verify = s.bool("tlsverify").unwrap_or(false);
    if !verify && !s.bool("tls").unwrap_or(false) {
        return Ok(None);
    }
    let file = |key: &'static str, name: &str| {
        let given = s.text(key).filter(|path| !path.is_empty());
        let path = given.map_or_else(|| usual.join(name), PathBuf::from);
        match std::fs::metadata(&path) {
            Ok(_) => Ok(path),
            Err(error) => {
                let reason = format!("needed with --tls and --tlsverify: {error}");
                Err(Error::invalid(key, path.to_string_lossy(), reason))
            }
        }
    };
    let ca = if verify { file("tlscacert", "ca.pem")? } else { PathBuf::new() };
    Ok(Some(Tls { verify, ca, certificate: file("tlscert", "cert.pem")?, key: file("tlskey", "key.pem")? }))
}

pub(super) fn hosts(s: &Settings, default: &Path, tls: Option<&Tls>) -> Result<Vec<Host>> {
    let given = s.list("hosts");
    if given.is_empty() {
        return Ok(vec![Host::Unix(default.to_owned())]);
    }
    let hosts = given.iter().map(|h| Host::parse(h, default, tls.is_some())).collect::<Result<Vec<_>>>()?;
    let insisted = s.bool("tlsverify") == Some(false) || (tls.is_none() && s.bool("tls") == Some(false));
    if tls.is_some_and(|tls| tls.verify) || insisted {
        return Ok(hosts);
    }
    match hosts.iter().zip(given).find(|(host, _)| !host.is_local()) {
        None => Ok(hosts),
        Some((_, open)) => {
            let reason = "serving it without --tlsverify gives everyone who reaches it the user's files; use --tlsverify, or insist with --tls=false (without encryption) or --tlsverify=false";
            Err(Error::invalid("host", open, reason))
        }
    }
}

/// What a user should be reminded of, at the start and in `docker info`.
pub(crate) fn warnings(hosts: &[Host], tls: Option<&Tls>) -> Vec<String> {
    if tls.is_some_and(|tls| tls.verify) {
        return Vec::new();
    }
    let (scheme, lack) = match tls {
        Some(_) => ("https", "TLS client verification"),
        None => ("http", "encryption"),
    };
    let open = hosts.iter().filter_map(|host| match host {
        Host::Tcp { host, port } => Some((host, port)),
        _ => None,
    });
    let warning = |(host, port): (&String, &u16)| {
        let address = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        format!(
            "WARNING: API is accessible on {scheme}://{address} without {lack}. Access to the remote API is equivalent to access to the user's account, and even on localhost scripts run in a browser may have it; use --tlsverify"
        )
    };
    open.map(warning).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::settings;

    fn resolve(arguments: &[&str], usual: &Path) -> Result<(Vec<Host>, Option<Tls>)> {
        let line = settings::parse(&arguments.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>())?;
        let tls = tls(&line.settings, usual)?;
        hosts(&line.settings, Path::new("/run/d.sock"), tls.as_ref()).map(|hosts| (hosts, tls))
    }

    #[test]
    fn a_network_needs_client_certificates_unless_insisted_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["ca.pem", "cert.pem", "key.pem"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let open = "--host=tcp://0.0.0.0:1";
        let accepted: &[&[&str]] = &[
            &["--host=tcp://127.0.0.1:1", "--host=tcp://localhost:1", "--host=unix://"],
            &[open, "--tls=false"],
            &[open, "--tlsverify=false"],
            &[open, "--tls", "--tlsverify=false"],
            &[open, "--tlsverify"],
        ];
        for arguments in accepted {
            assert!(resolve(arguments, dir.path()).is_ok(), "{arguments:?}");
        }
        for arguments in [&[open][..], &[open, "--tls"], &["--host=tcp://127.0.0.1:1", open]] {
            let error = resolve(arguments, dir.path()).unwrap_err().to_string();
            assert!(error.contains("insist with --tls=false"), "{arguments:?}: {error}");
        }
    }

    #[test]
    fn the_usual_files_are_used_and_a_missing_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("cert.pem"), "").unwrap();
        let error = resolve(&["--tls"], dir.path()).unwrap_err().to_string();
        assert!(error.contains("key.pem") && error.contains("tlskey"), "{error}");
        std::fs::write(dir.path().join("key.pem"), "").unwrap();
        let tls = resolve(&["--tls"], dir.path()).unwrap().1.unwrap();
        assert_eq!((tls.verify, tls.key), (false, dir.path().join("key.pem")));
        let error = resolve(&["--tlsverify"], dir.path()).unwrap_err().to_string();
        assert!(error.contains("ca.pem"), "{error}");
    }

    #[test]
    fn what_is_open_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let (hosts, tls) =
            resolve(&["-H", "tcp://[::]:9", "-H", "unix://", "--tls=false"], dir.path()).unwrap();
        let told = warnings(&hosts, tls.as_ref());
        assert_eq!(told.len(), 1);
        assert!(
            told[0].starts_with("WARNING: API is accessible on http://[::]:9 without encryption"),
            "{told:?}"
        );
    }
}
