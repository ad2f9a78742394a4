//! Addresses of engines: `unix://`, `tcp://`, `http://`, `ssh://`.

use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    Unix(PathBuf),
    /// `host:port`
    Tcp(String),
    Ssh(Ssh),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssh {
    pub user: Option<String>,
    pub host: String,
    pub port: Option<u16>,
    /// The engine's socket on the other side, when not the default.
    pub path: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    #[error("invalid bind address format: {0}")]
    Format(String),
    #[error("{0}")]
    Ssh(String),
    /// The context that should name the engine cannot be read.
    #[error("{0}")]
    Context(String),
    #[error("conflicting options: cannot specify both --host and --context")]
    HostAndContext,
    #[error("specify only one -H")]
    SeveralHosts,
}

impl Host {
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let text = text.trim();
        let Some((scheme, rest)) = text.split_once("://") else {
            // docker takes a bare `host:port` as TCP.
            return match text.is_empty() || text.starts_with('/') {
                true => Err(HostError::Format(text.to_owned())),
                false => Self::tcp(text, text),
            };
        };
        match scheme {
            "unix" if rest.is_empty() => Ok(Self::Unix("/var/run/docker.sock".into())),
            "unix" => Ok(Self::Unix(rest.into())),
            "tcp" | "http" | "https" => Self::tcp(rest.trim_end_matches('/'), text),
            "ssh" => ssh(rest, text).map(Self::Ssh),
            _ => Err(HostError::Format(text.to_owned())),
        }
    }

    fn tcp(address: &str, whole: &str) -> Result<Self, HostError> {
        let has_port = address.rsplit_once(':').is_some_and(|(host, port)| {
            port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']'))
        });
        match address {
            "" => Ok(Self::Tcp("localhost:2375".into())),
            _ if address.contains('/') => Err(HostError::Format(whole.to_owned())),
            _ if address.starts_with(':') && has_port => Ok(Self::Tcp(format!("localhost{address}"))),
            _ if has_port => Ok(Self::Tcp(address.to_owned())),
            _ => Ok(Self::Tcp(format!("{address}:2375"))),
        }
    }

    /// The address as messages show it.
    pub fn display(&self) -> String {
        match self {
            Self::Unix(path) => format!("unix://{}", path.display()),
            Self::Tcp(address) => format!("tcp://{address}"),
            Self::Ssh(ssh) => {
                let user = ssh.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
                let port = ssh.port.map(|port| format!(":{port}")).unwrap_or_default();
                format!("ssh://{user}{}{port}{}", ssh.host, ssh.path.as_deref().unwrap_or_default())
            }
        }
    }
}

fn ssh(rest: &str, whole: &str) -> Result<Ssh, HostError> {
    let invalid = |what: &str| HostError::Ssh(format!("invalid SSH URL: {what}: {whole}"));
    let (authority, path) = match rest.find('/') {
        Some(at) => (&rest[..at], Some(&rest[at..])),
        None => (rest, None),
    };
    let (user, address) = match authority.rsplit_once('@') {
        Some((user, address)) => (Some(user), address),
        None => (None, authority),
    };
    if user.is_some_and(|user| user.contains(':')) {
        return Err(invalid("plain-text password is not supported"));
    }
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, Some(port.parse().map_err(|_| invalid("bad port"))?))
        }
        _ => (address, None),
    };
    if host.is_empty() {
        return Err(invalid("no host specified"));
    }
    // An argument of ssh that begins with a dash would be an option.
    if host.starts_with('-') || user.is_some_and(|user| user.starts_with('-')) {
        return Err(invalid("host and user must not begin with a dash"));
    }
    Ok(Ssh {
        user: user.filter(|user| !user.is_empty()).map(str::to_owned),
        host: host.trim_matches(['[', ']']).to_owned(),
        port,
        path: path.filter(|path| *path != "/").map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let shown = |text| Host::parse(text).map(|host| host.display());
        assert_eq!(shown("unix:///run/d.sock").unwrap(), "unix:///run/d.sock");
        assert_eq!(shown("tcp://h").unwrap(), "tcp://h:2375");
        assert_eq!(shown("tcp://:2376").unwrap(), "tcp://localhost:2376");
        assert_eq!(shown("127.0.0.1:99").unwrap(), "tcp://127.0.0.1:99");
        assert_eq!(shown("tcp://[::1]:5").unwrap(), "tcp://[::1]:5");
        assert_eq!(shown("ssh://me@h:22/run/x.sock").unwrap(), "ssh://me@h:22/run/x.sock");
        for bad in ["foo://x", "", "/run/x", "ssh://", "ssh://u:p@h", "ssh://-oProxyCommand=x", "tcp://a/b"] {
            assert!(Host::parse(bad).is_err(), "{bad}");
        }
    }
}
