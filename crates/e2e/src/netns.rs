//! Network namespaces that stand for other hosts.

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::{fs::File, os::fd::AsFd, thread};

/// Makes something in the namespace that ip-netns(8) calls `name`, such as a listener: a socket stays where it was made.
///
/// # Panics
/// When there is no such namespace.
pub fn make_in_netns<T: Send>(name: &str, make: impl FnOnce() -> T + Send) -> T {
    let namespace = File::open(format!("/run/netns/{name}")).expect("open the namespace");
    thread::scope(|scope| {
        let there = scope.spawn(|| {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("join the namespace");
            make()
        });
        there.join().expect("make it")
    })
}
