//! Sockets of the router namespace.
//!
//! The forwarder stays in the host's network namespace, where it listens. A socket keeps the namespace of the thread
//! that made it, so one helper thread joins the router namespace and makes sockets on request. To wait for it is to wait
//! for the scheduler, milliseconds on a busy machine; so TCP sockets are ordered before the last one is taken, and nobody
//! waits unless more are wanted at once than ever before.

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

/// How many TCP sockets are kept ready: few while there is little to do, as many as came at once when there is much.
const SHELF: std::ops::RangeInclusive<usize> = 16..=512;

struct Order {
    protocol: Protocol,
    family: Family,
    count: usize,
}

type Delivery = (Family, Result<Vec<OwnedFd>, Errno>);

/// TCP sockets of one IP version that wait to be used.
struct Shelf {
    ready: Vec<OwnedFd>,
    ordered: bool,
    /// How many are ordered next.
    batch: usize,
}

/// A supply of sockets in the router namespace.
pub(crate) struct RouterSockets {
    orders: Sender<Order>,
    deliveries: Receiver<Delivery>,
    datagrams: Receiver<Result<OwnedFd, Errno>>,
    tcp: [Shelf; 2],
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
        let (made, datagrams) = channel();
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
                let make = || socket::towards_container(order.protocol, order.family, transparent);
                let gone = if order.protocol == Protocol::Tcp {
                    let sockets = (0..order.count).map(|_| make()).collect();
                    done.send((order.family, sockets)).is_err()
                } else {
                    made.send(make()).is_err()
                };
                if gone {
                    return;
                }
            }
        })?;
        let opened = has_joined.recv().map_err(io::Error::other)??;
        let shelf = || Shelf { ready: Vec::new(), ordered: false, batch: *SHELF.start() };
        Ok((Self { orders, deliveries, datagrams, tcp: [shelf(), shelf()] }, opened))
    }

    /// A socket in the router namespace.
    pub(crate) fn take(&mut self, protocol: Protocol, family: Family) -> Result<OwnedFd, Errno> {
        if protocol != Protocol::Tcp {
            self.order(protocol, family, 1);
            return self.datagrams.recv().expect(ALIVE);
        }
        self.collect();
        let shelf = &mut self.tcp[family as usize];
        if shelf.ready.is_empty() {
            // More at once than were kept ready: keep more.
            shelf.batch = (shelf.batch * 2).min(*SHELF.end());
            self.restock(family);
            self.wait_for(family)?;
        }
        let shelf = &mut self.tcp[family as usize];
        let socket = shelf.ready.pop().ok_or(Errno::NOBUFS);
        if shelf.ready.len() < shelf.batch / 2 {
            self.restock(family);
        }
        socket
    }

    /// Whether more is kept ready than an idle forwarder needs.
    pub(crate) fn is_stocked(&self) -> bool {
        self.tcp.iter().any(|shelf| shelf.batch > *SHELF.start())
    }

    /// Keeps no more ready than an idle forwarder needs.
    pub(crate) fn rest(&mut self) {
        self.collect();
        // What is still to be delivered is let go of the next time.
        for shelf in self.tcp.iter_mut().filter(|shelf| !shelf.ordered) {
            shelf.batch = *SHELF.start();
            shelf.ready.truncate(shelf.batch);
            shelf.ready.shrink_to_fit();
        }
    }

    /// Gives up one that is kept ready.
    pub(crate) fn discard_one(&mut self) -> bool {
        self.collect();
        self.tcp.iter_mut().any(|shelf| shelf.ready.pop().is_some())
    }

    /// Takes in what was delivered meanwhile.
    fn collect(&mut self) {
        while let Ok(delivery) = self.deliveries.try_recv() {
            // Whoever finds the shelf empty is told of the failure, which it meets itself.
            self.shelve(delivery).ok();
        }
    }

    fn shelve(&mut self, (family, sockets): Delivery) -> Result<(), Errno> {
        let shelf = &mut self.tcp[family as usize];
        shelf.ordered = false;
        shelf.ready.extend(sockets?);
        Ok(())
    }

    fn wait_for(&mut self, family: Family) -> Result<(), Errno> {
        while self.tcp[family as usize].ready.is_empty() {
            let delivery = self.deliveries.recv().expect(ALIVE);
            let of = delivery.0;
            match self.shelve(delivery) {
                // Few descriptors are left: one must do.
                Err(Errno::MFILE | Errno::NFILE) if self.tcp[of as usize].batch > 1 => {
                    self.tcp[of as usize].batch = 1;
                    self.restock(family);
                }
                other if of == family => return other,
                _ => {}
            }
        }
        Ok(())
    }

    fn restock(&mut self, family: Family) {
        let shelf = &mut self.tcp[family as usize];
        if !std::mem::replace(&mut shelf.ordered, true) {
            let count = shelf.batch;
            self.order(Protocol::Tcp, family, count);
        }
    }

    fn order(&self, protocol: Protocol, family: Family, count: usize) {
        self.orders.send(Order { protocol, family, count }).expect(ALIVE);
    }
}

/// A dead helper thread can only mean a bug in it; the engine starts a new forwarder.
const ALIVE: &str = "the router thread lives";
