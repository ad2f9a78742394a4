//! The control protocol between the engine and the forwarder.
//!
//! A unix stream socket (`RunLayout::netd_socket`, mode 0600). Each message is a frame: a little-endian `u32` that
//! counts the bytes of the JSON document after it, at most [`MAX_FRAME`]. The engine asks, the forwarder answers each
//! request with one reply, in order; several engines' connections may be open at once, as when a new engine starts
//! while the old one's last connection is still closing.
//!
//! ```text
//!  engine                                   netd
//!    │ Add{ports} (+ listening sockets)       │
//!    ├───────────────────────────────────────►│ all are bound, or none is
//!    │◄───────────────────────────────────────┤ Done | Failed{port, errno}
//!    │ Remove{ports}                          │
//!    ├───────────────────────────────────────►│ listeners closed; flows of UDP ports dropped; TCP flows go on
//!    │◄───────────────────────────────────────┤ Done
//!    │ List                                   │
//!    ├───────────────────────────────────────►│
//!    │◄───────────────────────────────────────┤ Ports{ports}
//!    │ Flows                                  │
//!    ├───────────────────────────────────────►│
//!    │◄───────────────────────────────────────┤ Flows{flows} (+ a socket for each worker's)
//!    │ Troubles                               │
//!    ├───────────────────────────────────────►│
//!    │◄───────────────────────────────────────┤ Troubles{lines}
//!    │ Name{endpoints}, Unname{endpoints},    │
//!    │ Resolve{resolver} (+ namespace),       │
//!    │ Unresolve{container}                   │
//!    ├───────────────────────────────────────►│
//!    │◄───────────────────────────────────────┤ Done | Resolving{ports} | NoResolver{errno}
//! ```
//!
//! A restarted engine lists, and removes what no running container owns. A restarted forwarder knows nothing and is
//! told everything again by the engine. A frame that is no request is answered with [`Reply::Invalid`], and the
//! connection is closed: after a bad length nothing that follows can be trusted.

use crate::flows::Flow;
use ipnet::IpNet;
use model::Id;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
};

/// Ten thousand ports fit several times over.
pub const MAX_FRAME: usize = 8 << 20;

/// As many descriptors as one message of unix(7) carries (`SCM_MAX_FD`), less what nobody needs.
pub const MAX_LISTENERS: usize = 64;

/// What the engine asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Start forwarding. A port that is there already with the same target counts as added. The listening sockets of
    /// ports with [`Port::passed`] come with the frame's first byte, in the order of the ports.
    Add { ports: Vec<Port> },
    /// Stop forwarding; what is not there counts as removed.
    Remove { ports: Vec<Listen> },
    /// Which ports are forwarded now.
    List {},
    /// What passes now.
    Flows {},
    /// What does not, and why. (A forwarder of an earlier release does not know this request.)
    Troubles {},
    /// Let these endpoints be found by name, under their present names only.
    Name { endpoints: Vec<Names> },
    /// Forget the names of these endpoints.
    Unname { endpoints: Vec<Id> },
    /// Answer a container's DNS queries, or answer them differently. Its network namespace comes with the frame's first
    /// byte when it has no resolver yet.
    Resolve { resolver: Resolver },
    /// Stop answering a container's DNS queries.
    Unresolve { container: Id },
}

/// The names of one endpoint of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Names {
    pub endpoint: Id,
    pub network: Id,
    /// `name.network` is a name as well.
    pub network_name: String,
    /// The first is the one a reverse lookup gives.
    pub names: Vec<String>,
    pub addresses: Vec<IpAddr>,
}

/// The resolver of one container, at 127.0.0.11 inside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resolver {
    pub container: Id,
    /// The networks whose names it may see, in the order they are searched.
    pub networks: Vec<Id>,
    /// `--link`: names that mean another name to this container only, both in lower case.
    pub links: BTreeMap<String, String>,
    /// Who is asked about anything else, one after another; nobody for a container on internal networks only.
    pub upstream: Vec<Upstream>,
    /// The host's own servers, as its resolv.conf names them at the time, are asked instead while it names any.
    #[serde(default)]
    pub host_servers: bool,
    /// `ndots` was chosen by someone: a name without a dot that is not known is then not asked upstream, and the client
    /// comes again with a search domain.
    #[serde(default)]
    pub ndots_chosen: bool,
}

/// A DNS server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    pub address: IpAddr,
    /// Asked from the host's network namespace, as the host's own servers are (they may be on its loopback), or else
    /// from the router namespace, from where containers can be asked too.
    pub from_host: bool,
}

/// What the forwarder answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case", deny_unknown_fields)]
pub enum Reply {
    Done {},
    Ports {
        ports: Vec<Port>,
    },
    /// `left_off` more are not listed. `workers` descriptors come with the frame's first byte: sockets on which each worker
    /// sends one message, with a file that holds a frame with its own flows.
    Flows {
        flows: Vec<Flow>,
        left_off: usize,
        workers: usize,
    },
    /// One line for each trouble of the last minutes, with what to do about it; for users.
    Troubles {
        lines: Vec<String>,
    },
    /// Nothing was added: `errno` is what `operation` on this port's socket failed with.
    Failed {
        listen: Listen,
        operation: String,
        errno: i32,
    },
    /// The resolver listens, on these ports of 127.0.0.11; whoever asked leads port 53 there.
    Resolving {
        udp: u16,
        tcp: u16,
    },
    /// The resolver could not be started.
    NoResolver {
        operation: String,
        errno: i32,
    },
    /// The request could not be understood; `expected` names what could have been.
    Invalid {
        expected: String,
    },
}

/// One forwarded port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    pub listen: Listen,
    /// Where the container listens. It may be IPv4 where the host's address is IPv6.
    pub target: SocketAddr,
    /// The container that owns it.
    pub container: Id,
    /// The container's own subnets: a client from within them (the host's network may use the same numbers) would be
    /// answered over the bridge rather than through the router, so it appears as the gateway.
    pub subnets: Vec<IpNet>,
    /// The listening socket comes with the request (a socket bound by someone with more privilege).
    #[serde(default)]
    pub passed: bool,
}

/// What identifies a forwarded port: where it listens in the host's network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    pub protocol: Protocol,
    pub address: SocketAddr,
}

/// The transport protocols of published ports, with the names the API has for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// The text is no transport protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid protocol {0:?}: expected tcp, udp or sctp")]
pub struct InvalidProtocol(pub String);

impl std::str::FromStr for Protocol {
    type Err = InvalidProtocol;
    fn from_str(text: &str) -> Result<Self, InvalidProtocol> {
        match text.to_ascii_lowercase().as_str() {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            "sctp" => Ok(Self::Sctp),
            _ => Err(InvalidProtocol(text.to_owned())),
        }
    }
}

/// A frame of `message`.
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)
        .expect("the message types have no maps with other keys than text");
    let length = u32::try_from(frame.len() - 4).expect("a frame is far below 4 GiB");
    frame[..4].copy_from_slice(&length.to_le_bytes());
    frame
}

/// Why bytes are no frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("a frame of {0} bytes, more than {MAX_FRAME}")]
    TooLong(usize),
    #[error("a frame that is no message: {0}")]
    Json(#[from] serde_json::Error),
}

/// The first message in `bytes` and how many of them it takes up; none when it is not complete yet.
pub fn decode<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<Option<(T, usize)>, FrameError> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    if length > MAX_FRAME {
        return Err(FrameError::TooLong(length));
    }
    match rest.get(..length) {
        Some(document) => Ok(Some((serde_json::from_slice(document)?, 4 + length))),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port() -> Port {
        Port {
            listen: Listen { protocol: Protocol::Tcp, address: "[::]:80".parse().unwrap() },
            target: "172.17.0.2:80".parse().unwrap(),
            container: Id::random(),
            subnets: vec!["172.17.0.0/16".parse().unwrap()],
            passed: false,
        }
    }

    #[test]
    fn frames_survive_the_way_there_and_back() {
        let request = Request::Add { ports: vec![port(), port()] };
        let mut bytes = encode(&request);
        let first = bytes.len();
        bytes.extend(encode(&Request::List {}));
        assert_eq!(decode::<Request>(&bytes).unwrap(), Some((request, first)));
        assert_eq!(decode::<Request>(&bytes[first..]).unwrap().unwrap().0, Request::List {});
        for cut in 0..first {
            assert!(decode::<Request>(&bytes[..cut]).unwrap().is_none(), "{cut} bytes are not a frame yet");
        }
    }

    #[test]
    fn lengths_and_documents_are_checked() {
        assert!(matches!(decode::<Request>(&[0xff; 8]), Err(FrameError::TooLong(_))));
        for document in ["", "{}", "[]", r#"{"request":"fly"}"#, r#"{"request":"list","extra":1}"#] {
            let mut frame = (document.len() as u32).to_le_bytes().to_vec();
            frame.extend(document.as_bytes());
            assert!(matches!(decode::<Request>(&frame), Err(FrameError::Json(_))), "{document}");
        }
    }
}
