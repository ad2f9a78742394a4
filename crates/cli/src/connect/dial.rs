//! One byte stream to the engine.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::endpoint::Endpoint;
use super::host::Host;
use super::{ssh, tls};
use crate::error::Error;

pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

pub type Stream = Box<dyn Duplex>;

/// One line of advice under "Cannot connect".
const HINT: &str = "\nStart the engine with \"lichen daemon\" (or \"systemctl --user start docker\"), or name another with -H or DOCKER_HOST.";

pub async fn dial(endpoint: &Endpoint) -> Result<Stream, Error> {
    match &endpoint.host {
        Host::Unix(path) => {
            let stream = UnixStream::connect(path).await.map_err(|error| refused(endpoint, error))?;
            Ok(Box::new(stream))
        }
        Host::Tcp(address) => {
            let stream = TcpStream::connect(address).await.map_err(|error| refused(endpoint, error))?;
            stream.set_nodelay(true).map_err(|error| refused(endpoint, error))?;
            match &endpoint.tls {
                Some(files) => tls::handshake(files, address, stream).await,
                None => Ok(Box::new(stream)),
            }
        }
        Host::Ssh(address) => ssh::dial(address),
    }
}

fn refused(endpoint: &Endpoint, source: io::Error) -> Error {
    let address = endpoint.host.display();
    match source.kind() {
        io::ErrorKind::PermissionDenied => Error::SocketDenied { address, source },
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            // Advice about a local engine helps nobody whose engine is elsewhere.
            let local = matches!(endpoint.host, Host::Unix(_));
            Error::NotRunning { address, hint: if local { HINT } else { "" } }
        }
        _ => Error::Connect { operation: format!("dial {address}"), source },
    }
}
