//! What the tests have a container do: ignored tests of this program, which is static and runs anywhere. They print what
//! they find on lines that begin with `probe:`.

use nix::sys::{
    socket::{SockaddrIn, connect as raw_connect},
    uio::{RemoteIoVec, process_vm_writev},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, epoll, poll},
    io::Errno,
    net::{AddressFamily, SendFlags, SocketFlags, SocketType, sockopt},
};
use std::{
    io::{BufRead, BufReader, IoSlice},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

/// Longer than anything takes.
const PATIENCE: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };

fn address(variable: &str) -> SocketAddr {
    std::env::var(variable).expect(variable).parse().expect(variable)
}

fn socket(flags: SocketFlags) -> OwnedFd {
    rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap()
}

/// Whose socket it is, by its own address.
fn by_whom(socket: impl AsFd) -> &'static str {
    match SocketAddr::try_from(rustix::net::getsockname(socket).unwrap()).unwrap().ip() {
        IpAddr::V4(v4) if v4.octets()[0] == 172 => "container",
        _ => "host",
    }
}

/// The own address, and the one that the server sees.
fn connected(server: SocketAddr) -> std::io::Result<String> {
    let stream = TcpStream::connect(server)?;
    let own = stream.local_addr()?.ip();
    let mut seen = String::new();
    BufReader::new(stream).read_line(&mut seen)?;
    Ok(format!("{own} {}", seen.trim()))
}

#[test]
#[ignore = "runs in a container"]
fn connect() {
    println!("\nprobe:{}", connected(address("SERVER")).unwrap());
}

#[test]
#[ignore = "runs in a container"]
fn repeat() {
    loop {
        match connected(address("SERVER")) {
            Ok(text) => println!("probe:{text}"),
            Err(error) => println!("probe:{error}"),
        }
        thread::sleep(Duration::from_millis(30));
    }
}

fn wait(socket: impl AsFd) {
    let mut fds = [PollFd::new(&socket, PollFlags::OUT)];
    assert_eq!(poll(&mut fds, Some(&PATIENCE)), Ok(1), "nothing is heard of the socket");
}

fn on_its_way(server: SocketAddr) -> OwnedFd {
    let socket = socket(SocketFlags::NONBLOCK);
    assert_eq!(rustix::net::connect(&socket, &server), Err(Errno::INPROGRESS));
    wait(&socket);
    socket
}

#[test]
#[ignore = "runs in a container"]
fn without_waiting() {
    let (server, refused) = (address("SERVER"), address("REFUSED"));
    let blocking = socket(SocketFlags::empty());
    println!("\nprobe:blocking: {}", rustix::net::connect(&blocking, &refused).unwrap_err().raw_os_error());
    let socket = on_its_way(server);
    println!("probe:then {:?}, by the {}", sockopt::socket_error(&socket).unwrap(), by_whom(&socket));
    let again = || rustix::net::connect(&socket, &server);
    // The first call after the connection came about may say so.
    println!("probe:again {}", again().and_then(|()| again()).unwrap_err().raw_os_error());
    let socket = on_its_way(refused);
    println!("probe:then {}", sockopt::socket_error(&socket).unwrap().unwrap_err().raw_os_error());
    rustix::net::connect(&socket, &server).map_or_else(|e| assert_eq!(e, Errno::INPROGRESS), drop);
    wait(&socket);
    println!("probe:elsewhere {:?}, by the {}", sockopt::socket_error(&socket).unwrap(), by_whom(&socket));
}

#[test]
#[ignore = "runs in a container"]
fn what_is_kept() {
    let server = address("SERVER");
    let kept = socket(SocketFlags::CLOEXEC);
    sockopt::set_tcp_nodelay(&kept, true).unwrap();
    sockopt::set_tcp_keepidle(&kept, Duration::from_secs(77)).unwrap();
    rustix::net::connect(&kept, &server).unwrap();
    let cloexec = rustix::io::fcntl_getfd(&kept).unwrap().contains(rustix::io::FdFlags::CLOEXEC);
    let blocks = !rustix::fs::fcntl_getfl(&kept).unwrap().contains(rustix::fs::OFlags::NONBLOCK);
    let options = (sockopt::tcp_nodelay(&kept).unwrap(), sockopt::tcp_keepidle(&kept).unwrap().as_secs());
    println!("\nprobe:by the {}, {options:?}, {cloexec} {blocks}", by_whom(&kept));

    let watched = socket(SocketFlags::NONBLOCK);
    let queue = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    epoll::add(&queue, &watched, epoll::EventData::new_u64(7), epoll::EventFlags::OUT).unwrap();
    rustix::net::connect(&watched, &server).unwrap_err();
    let mut events = Vec::with_capacity(1);
    // A socket that is not connected yet hangs up, and an event of that may come first.
    while !matches!(rustix::net::getpeername(&watched), Ok(Some(_))) {
        events.clear();
        epoll::wait(&queue, rustix::buffer::spare_capacity(&mut events), Some(&PATIENCE)).unwrap();
        assert!(!events.is_empty(), "nothing is heard of the socket");
    }
    println!("probe:watched before, by the {}", by_whom(&watched));

    let bound = socket(SocketFlags::empty());
    rustix::net::bind(&bound, &SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))).unwrap();
    rustix::net::connect(&bound, &server).unwrap();
    println!("probe:bound before, by the {}", by_whom(&bound));

    UdpSocket::bind("0.0.0.0:0").unwrap().connect(server).unwrap();
    let path = "/tmp/probe.sock";
    let _listener = UnixListener::bind(path).unwrap();
    let stream = UnixStream::connect(path).unwrap();
    let peer = sockopt::socket_peercred(&stream).unwrap().pid.as_raw_pid();
    println!("probe:own paths {}", peer == rustix::process::getpid().as_raw_pid());
}

/// A filter that allows everything, with a listener that hears nothing (seccomp(2)).
#[test]
#[ignore = "runs in a container"]
fn own_listener() {
    const NEW_LISTENER: u64 = 1 << 3;
    // BPF_RET | BPF_K, SECCOMP_RET_ALLOW
    let program = [&6_u16.to_ne_bytes()[..], &[0, 0], &0x7fff_0000_u32.to_ne_bytes()].concat();
    rustix::thread::set_no_new_privs(true).unwrap();
    match sys::seccomp::install(&program, NEW_LISTENER) {
        Ok(_) => println!("\nprobe:a listener"),
        Err(error) => println!("\nprobe:{}", error.errno.raw_os_error()),
    }
}

#[test]
#[ignore = "runs in a container"]
fn race() {
    let (server, forbidden) = (address("SERVER"), address("FORBIDDEN"));
    race_for_the_address(server, forbidden);
    race_for_the_descriptor(server, forbidden);
    fast_open(server, forbidden);
    println!("probe:raced");
}

fn sockaddr(address: SocketAddr) -> SockaddrIn {
    match address {
        SocketAddr::V4(v4) => SockaddrIn::from(v4),
        SocketAddr::V6(_) => panic!("expected IPv4"),
    }
}

/// The bytes of an address: family, port, host.
fn bytes(address: SocketAddr) -> [u8; 8] {
    let SocketAddr::V4(v4) = address else { panic!("expected IPv4") };
    let ([p0, p1], [a, b, c, d]) = (v4.port().to_be_bytes(), v4.ip().octets());
    [2, 0, p0, p1, a, b, c, d]
}

/// One thread connects, another changes the address all the time, in the same memory.
fn race_for_the_address(server: SocketAddr, forbidden: SocketAddr) {
    let address = sockaddr(server);
    let at = RemoteIoVec { base: std::ptr::from_ref(&address) as usize, len: 8 };
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let pid = nix::unistd::getpid();
            while !done.load(Ordering::Relaxed) {
                for bytes in [bytes(forbidden), bytes(server)] {
                    process_vm_writev(pid, &[IoSlice::new(&bytes)], &[at]).unwrap();
                }
            }
        });
        // Until the address was one and the other many a time when it was read.
        let (mut connected, mut refused, mut tries) = (0, 0, 0);
        while (connected < 50 || refused < 50) && tries < 20_000 {
            tries += 1;
            match raw_connect(socket(SocketFlags::CLOEXEC).as_raw_fd(), std::hint::black_box(&address)) {
                Ok(()) => connected += 1,
                // By the container's own loopback.
                Err(_) => refused += 1,
            }
        }
        println!("\nprobe:{} {}", connected >= 50, refused >= 50);
        done.store(true, Ordering::Relaxed);
    });
}

/// A socket of the host's that is not connected any more.
fn left_over(server: SocketAddr) -> OwnedFd {
    let socket = socket(SocketFlags::empty());
    rustix::net::connect(&socket, &server).unwrap();
    assert_eq!(by_whom(&socket), "host");
    rustix::net::connect_unspec(&socket).unwrap();
    rustix::io::ioctl_fionbio(&socket, true).unwrap();
    socket
}

/// One thread connects, another puts a socket of the host's in the place of its own, and back.
fn race_for_the_descriptor(server: SocketAddr, forbidden: SocketAddr) {
    let (had, fresh) = (left_over(server), socket(SocketFlags::CLOEXEC));
    let mut slot = rustix::io::fcntl_dupfd_cloexec(&fresh, 100).unwrap();
    let (number, address, done) = (slot.as_raw_fd(), sockaddr(forbidden), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                rustix::io::dup2(&had, &mut slot).unwrap();
                rustix::io::dup2(&fresh, &mut slot).unwrap();
            }
        });
        for _ in 0..300 {
            raw_connect(number, &address).ok();
            // It may be on its way to where nobody answers it.
            rustix::net::connect_unspec(&had).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// Without connect(2): sending connects (tcp(7), "TCP Fast Open").
fn fast_open(server: SocketAddr, forbidden: SocketAddr) {
    let had = left_over(server);
    let fast_open = SendFlags::from_bits_retain(nix::libc::MSG_FASTOPEN.cast_unsigned());
    let sent = rustix::net::sendto(&had, b"knock", fast_open | SendFlags::NOSIGNAL, &forbidden);
    println!("\nprobe:fast open {}", sent.unwrap_err());
}
