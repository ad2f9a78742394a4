//! A server for the tests of many connections: answers each byte with itself, in one thread, at the address that it is
//! given. Says `ready` when it listens.
#![forbid(unsafe_code)]

use rustix::{
    event::epoll::{self, CreateFlags, EventData, EventFlags},
    net::{RecvFlags, SendFlags, SocketFlags},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use std::{
    collections::HashMap,
    net::TcpListener,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

fn main() {
    let address = std::env::args().nth(1).expect("an address");
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .expect("descriptors");
    let listener = TcpListener::bind(address).expect("bind");
    // The standard library's queue is of 128.
    rustix::net::listen(&listener, 4096).expect("listen");
    listener.set_nonblocking(true).expect("not block");
    let queue = epoll::create(CreateFlags::CLOEXEC).expect("epoll");
    let add = |fd: BorrowedFd<'_>| {
        epoll::add(&queue, fd, EventData::new_u64(number(fd)), EventFlags::IN).expect("watch");
    };
    add(listener.as_fd());
    println!("ready");
    let mut connections: HashMap<u64, OwnedFd> = HashMap::new();
    let mut events = Vec::with_capacity(256);
    loop {
        events.clear();
        epoll::wait(&queue, rustix::buffer::spare_capacity(&mut events), None).expect("wait");
        for event in &events {
            let of = event.data.u64();
            if of == number(&listener) {
                while let Ok(taken) = rustix::net::accept_with(&listener, SocketFlags::CLOEXEC) {
                    add(taken.as_fd());
                    connections.insert(number(&taken), taken);
                }
                continue;
            }
            let mut bytes = [0; 512];
            let got = rustix::net::recv(&connections[&of], &mut bytes, RecvFlags::empty());
            let answered = match got {
                Ok((_, length @ 1..)) => {
                    rustix::net::send(&connections[&of], &bytes[..length], SendFlags::NOSIGNAL).is_ok()
                }
                _ => false,
            };
            if !answered {
                connections.remove(&of);
            }
        }
    }
}

fn number(fd: impl AsFd) -> u64 {
    fd.as_fd().as_raw_fd().cast_unsigned().into()
}
