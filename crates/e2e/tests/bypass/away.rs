//! A machine away: a network namespace that a device of the host's leads to. (The host's own addresses are reached the
//! ordinary way.)

use e2e::make_in_netns;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    process::Command,
    thread,
};

pub struct Away {
    name: String,
    /// Its address, and the host's on the way there.
    pub address: IpAddr,
    pub host: IpAddr,
    pub address6: IpAddr,
    pub host6: IpAddr,
}

impl Away {
    pub fn new() -> Self {
        let id = std::process::id();
        let name = format!("away{id}");
        // Of the block for benchmarks (RFC 2544), which no test has otherwise; four addresses each.
        let [_, _, high, low] = id.to_be_bytes();
        let at =
            |last: u8| IpAddr::from(Ipv4Addr::new(198, 18 + (high & 1), low, (high >> 1 & 0x3f) * 4 + last));
        let at6 =
            |last: u16| IpAddr::from(Ipv6Addr::new(0xfd98, (id >> 16) as u16, id as u16, 0, 0, 0, 0, last));
        let away = Self { address: at(2), host: at(1), address6: at6(2), host6: at6(1), name };
        let (name, near, far) = (&away.name, format!("n{id}"), format!("f{id}"));
        ip(&format!("netns add {name}"));
        ip(&format!("link add {near} type veth peer name {far} netns {name}"));
        ip(&format!("addr add {}/30 dev {near}", away.host));
        ip(&format!("addr add {}/64 dev {near} nodad", away.host6));
        ip(&format!("link set {near} up"));
        ip(&format!("-n {name} addr add {}/30 dev {far}", away.address));
        ip(&format!("-n {name} addr add {}/64 dev {far} nodad", away.address6));
        ip(&format!("-n {name} link set {far} up"));
        away
    }

    /// Makes something there, such as a listener: a socket stays where it was made.
    pub fn make<T: Send>(&self, make: impl FnOnce() -> T + Send) -> T {
        make_in_netns(&self.name, make)
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        // The pair goes with one of its ends.
        ip(&format!("netns del {}", self.name));
    }
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split_whitespace()).status().expect("run ip (iproute2)");
    assert!(status.success() || thread::panicking(), "ip {arguments}: {status}");
}
