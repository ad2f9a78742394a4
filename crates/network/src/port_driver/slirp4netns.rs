//! Telling slirp4netns of ports, over its API socket (slirp4netns(1), "API SOCKET"): any port of the router's will do.

use netd::proto::Listen;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// How long slirp4netns may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

pub(super) struct Api {
    pub socket: PathBuf,
    /// The address at which the router namespace is reached from the tap.
    pub router: Ipv4Addr,
}

/// One entry of slirp4netns' list.
#[derive(Debug, Deserialize)]
struct Entry {
    id: u64,
    proto: String,
    host_addr: String,
    host_port: u16,
    guest_port: u16,
}

impl Api {
    /// It says that its interface is configured before its socket is there, and the ports of a predecessor that was
    /// killed may take a moment to be free.
    pub(super) fn tell_again(&self, listen: Listen, port: u16) -> io::Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.tell(listen, port) {
                Err(_) if Instant::now() < end => thread::sleep(PAUSE),
                outcome => return outcome,
            }
        }
    }

    pub(super) fn tell(&self, listen: Listen, port: u16) -> io::Result<()> {
        let arguments = json!({
            "proto": listen.protocol.to_string(),
            "host_addr": listen.address.ip().to_string(),
            "host_port": listen.address.port(),
            "guest_addr": self.router.to_string(),
            "guest_port": port,
        });
        ask(&self.socket, &json!({ "execute": "add_hostfwd", "arguments": arguments })).map(drop)
    }

    pub(super) fn drop_led(&self, listen: Listen) -> io::Result<()> {
        for entry in self.entries()?.into_iter().filter(|entry| entry.listen() == Some(listen)) {
            ask(&self.socket, &json!({ "execute": "remove_hostfwd", "arguments": { "id": entry.id } }))?;
        }
        Ok(())
    }

    /// What it leads, and to which ports of the router namespace.
    pub(super) fn led(&self) -> io::Result<Vec<(Listen, u16)>> {
        Ok(self.entries()?.iter().filter_map(|e| Some((e.listen()?, e.guest_port))).collect())
    }

    fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut answer = ask(&self.socket, &json!({ "execute": "list_hostfwd" }))?;
        serde_json::from_value(answer["entries"].take()).map_err(io::Error::other)
    }
}

impl Entry {
    fn listen(&self) -> Option<Listen> {
        let address = SocketAddr::new(self.host_addr.parse().ok()?, self.host_port);
        Some(Listen { protocol: self.proto.parse().ok()?, address })
    }
}

/// One request and its answer: the connection serves for no more.
fn ask(api: &Path, request: &Value) -> io::Result<Value> {
    let mut stream = UnixStream::connect(api)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request.to_string().as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let mut answer: Value = serde_json::from_str(&text).map_err(io::Error::other)?;
    match answer.get("error") {
        Some(error) => Err(io::Error::other(format!("slirp4netns: {error}"))),
        // Lists come without the envelope that other results have (api.c, `api_handle_req_list_hostfwd`).
        None if answer.get("return").is_some() => Ok(answer["return"].take()),
        None => Ok(answer),
    }
}
