//! What is opened in the router namespace.

use crate::{Error, dhcp::CLIENT_PORT};
use nix::sys::socket::{setsockopt, sockopt};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, sockopt as options},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

/// Joins a network namespace, for good.
pub(crate) fn join(namespace: &Path) -> Result<(), Error> {
    let object = || namespace.display().to_string();
    let fd = rustix::fs::open(namespace, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| Error::io("open", object())(e.into()))?;
    move_into_link_name_space(fd.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|e| Error::io("join", object())(e.into()))
}

/// A socket for DHCP on one interface, which need not have an address yet: bound to a device, what is sent to everybody
/// goes out by it with 0.0.0.0 for a source (net/ipv4/route.c, `ip_route_output_key_hash_rcu`), and what comes in for
/// everybody is taken whatever addresses there are.
pub(crate) fn dhcp_socket(interface: &str) -> Result<UdpSocket, Error> {
    let made = || -> Result<OwnedFd, Errno> {
        let socket =
            rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        options::set_socket_reuseaddr(&socket, true)?;
        options::set_socket_broadcast(&socket, true)?;
        setsockopt(&socket, sockopt::BindToDevice, &interface.into())
            .map_err(|e| Errno::from_raw_os_error(e as i32))?;
        rustix::net::bind(&socket, &SocketAddr::from((Ipv4Addr::UNSPECIFIED, CLIENT_PORT)))?;
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(socket)
    };
    made().map(UdpSocket::from).map_err(|e| Error::io("make a DHCP socket on", interface)(e.into()))
}
