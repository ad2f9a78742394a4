//! Sockets of the router namespace.
//!
//! The forwarder stays in the host's network namespace, where it listens. A socket keeps the namespace of the thread
//! that made it, so one helper thread joins the router namespace and makes sockets on request; making them costs two
//! switches of thread, so they are made by the batch.

use crate::{
    outward::{self, Opened},
    proto::Protocol,
    socket::{self, Family},
};
use rustix::{
    io::Errno,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

/// How many TCP sockets are made at once.
const BATCH: usize = 16;

struct Order {
    protocol: Protocol,
    family: Family,
    count: usize,
}

type Delivery = Result<Vec<OwnedFd>, Errno>;

/// A supply of sockets in the router namespace.
pub(crate) struct RouterSockets {
    orders: Sender<Order>,
    deliveries: Receiver<Delivery>,
    tcp: [Vec<OwnedFd>; 2],
}

impl RouterSockets {
    /// Starts the helper thread. `transparent` sockets may take a client's address; with `outward` the tun is opened as
    /// well.
    pub(crate) fn start(
        namespace: OwnedFd,
        transparent: bool,
        outward: bool,
    ) -> io::Result<(Self, Option<Opened>)> {
        let (orders, todo) = channel::<Order>();
        let (done, deliveries) = channel();
        let (joined, has_joined) = channel();
        thread::Builder::new().name("router".into()).spawn(move || {
            let join = || -> io::Result<Option<Opened>> {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
                outward.then(outward::open).transpose()
            };
            let result = join();
            let failed = result.is_err();
            // The receiver waits for exactly this; that it is gone means that the process ends.
            if joined.send(result).is_err() || failed {
                return;
            }
            for order in todo {
                let make = |_| socket::towards_container(order.protocol, order.family, transparent);
                if done.send((0..order.count).map(make).collect()).is_err() {
                    return;
                }
            }
        })?;
        let opened = has_joined.recv().map_err(io::Error::other)??;
        Ok((Self { orders, deliveries, tcp: [Vec::new(), Vec::new()] }, opened))
    }

    /// A socket in the router namespace.
    pub(crate) fn take(&mut self, protocol: Protocol, family: Family) -> Result<OwnedFd, Errno> {
        if protocol != Protocol::Tcp {
            return self.order(protocol, family, 1)?.pop().ok_or(Errno::NOBUFS);
        }
        let shelf = family as usize;
        if self.tcp[shelf].is_empty() {
            self.tcp[shelf] = match self.order(protocol, family, BATCH) {
                // Few descriptors are left: one must do.
                Err(Errno::MFILE | Errno::NFILE) => self.order(protocol, family, 1)?,
                other => other?,
            };
        }
        self.tcp[shelf].pop().ok_or(Errno::NOBUFS)
    }

    fn order(&self, protocol: Protocol, family: Family, count: usize) -> Delivery {
        // A dead helper thread can only mean a bug in it; the engine starts a new forwarder.
        self.orders.send(Order { protocol, family, count }).expect("the router thread lives");
        self.deliveries.recv().expect("the router thread lives")
    }
}
