//! Engines and forwarders that die.

use super::*;
use netlink_packet_core::NLM_F_REQUEST;
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkFlags, LinkMessage},
};

fn echo(mut stream: TcpStream, _: SocketAddr) {
    thread::spawn(move || {
        let mut byte = [0];
        while stream.read_exact(&mut byte).is_ok() {
            stream.write_all(&byte).unwrap();
        }
    });
}

fn exchange(stream: &mut TcpStream, byte: u8) {
    stream.write_all(&[byte]).unwrap();
    let mut back = [0];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(back, [byte]);
}

#[test]
fn ports_and_live_flows_outlast_the_engine() {
    testing::in_userns("tests::adoption::ports_and_live_flows_outlast_the_engine", || {
        let host = Host::new();
        let (kept, sandbox) = host.container(&["bridge"], &[port(Protocol::Tcp, 8080, 80)]);
        let (ended, gone) = host.container(&["bridge"], &[port(Protocol::Tcp, 8081, 80)]);
        tcp_server(&sandbox.netns, "0.0.0.0:80", echo);
        let mut flow = connect(&host.client, "198.51.100.1:8080").unwrap();
        exchange(&mut flow, 1);
        let before = forwarder(&host);
        drop(gone);
        let host = host.restart();
        assert_eq!(forwarder(&host), before, "the forwarder was left alone");
        exchange(&mut flow, 2);
        let record = host.networks.adopt(&kept, sandbox.netns.try_clone().unwrap()).unwrap().unwrap();
        assert_eq!(record.endpoints, sandbox.endpoints);
        // Another namespace is not the container's.
        assert!(host.networks.adopt(&ended, sandbox.netns.try_clone().unwrap()).unwrap().is_none());
        host.networks.settle().unwrap();
        exchange(&mut flow, 3);
        connect(&host.client, "198.51.100.1:8080").unwrap();
        assert!(connect(&host.client, "198.51.100.1:8081").is_err(), "its container is gone");
        host.networks.reaper.finish();
        let (_, next) = host.container(&["bridge"], &[port(Protocol::Tcp, 8081, 80)]);
        assert_eq!(next.endpoints[0].ipv4.unwrap().to_string(), "172.17.0.3/16");
    });
}

#[test]
fn a_killed_forwarder_comes_back_with_its_ports() {
    testing::in_userns("tests::adoption::a_killed_forwarder_comes_back_with_its_ports", || {
        let host = Host::new();
        let (id, sandbox) = host.container(&["bridge"], &[port(Protocol::Tcp, 8080, 80)]);
        tcp_server(&sandbox.netns, "0.0.0.0:80", tell_peer);
        for _ in 0..3 {
            let old = kill_forwarder(&host);
            eventually(|| {
                let heard = hear(&host.client, "198.51.100.1:8080").map_err(|e| e.to_string())?;
                if forwarder(&host).process == old {
                    Err("not yet".into())
                } else {
                    assert_eq!(heard, CLIENT);
                    Ok(())
                }
            });
        }
        host.networks.stop(&id).unwrap();
        assert!(connect(&host.client, "198.51.100.1:8080").is_err());
    });
}

/// Whatever is asked for while none is there waits for the next.
#[test]
fn a_container_starts_and_changes_networks_while_the_forwarder_is_killed() {
    let test = "tests::adoption::a_container_starts_and_changes_networks_while_the_forwarder_is_killed";
    testing::in_userns(test, || {
        let host = Host::new();
        host.networks.create(user_network("named", |_| {})).unwrap();
        let (id, moved) = host.container(&["bridge"], &[port(Protocol::Tcp, 8079, 80)]);
        tcp_server(&moved.netns, "0.0.0.0:80", tell_peer);
        let named = EndpointRequest { network: "named".into(), gateway_priority: 1, ..Default::default() };
        kill_forwarder(&host);
        let (_, sandbox) = host.container(&["named"], &[port(Protocol::Tcp, 8080, 80)]);
        kill_forwarder(&host);
        host.networks.connect(&id, named).unwrap();
        kill_forwarder(&host);
        host.networks.disconnect(&id, "named").unwrap();
        tcp_server(&sandbox.netns, "0.0.0.0:80", tell_peer);
        for port in [8079, 8080] {
            // The forwarder that was asked may not have been told of the others' ports yet.
            let to = format!("{HOST}:{port}");
            eventually(|| match hear(&host.client, &to).map_err(|error| error.to_string())?.as_str() {
                CLIENT => Ok(()),
                other => Err(other.to_owned()),
            });
        }
    });
}

/// The listener of a process that is killed takes connections until it is closed.
#[test]
fn what_a_dying_forwarder_does_not_answer_the_next_is_asked() {
    testing::in_userns("tests::adoption::what_a_dying_forwarder_does_not_answer_the_next_is_asked", || {
        let host = Host::new();
        let socket = host.run.netd_socket();
        let next = socket.with_extension("next");
        let die = || {
            std::fs::rename(&socket, &next).unwrap();
            let dying = std::os::unix::net::UnixListener::bind(&socket).unwrap();
            host.networks.forwarder.hang_up();
            let (from, to) = (next.clone(), socket.clone());
            thread::spawn(move || {
                (0..5).for_each(|_| drop(dying.accept().unwrap()));
                std::fs::rename(from, to).unwrap();
            })
        };
        let dying = die();
        let (id, sandbox) = host.container(&["bridge"], &[port(Protocol::Tcp, 8080, 80)]);
        dying.join().unwrap();
        tcp_server(&sandbox.netns, "0.0.0.0:80", tell_peer);
        assert_eq!(hear(&host.client, "198.51.100.1:8080").unwrap(), CLIENT);
        let dying = die();
        host.networks.stop(&id).unwrap();
        dying.join().unwrap();
        assert!(connect(&host.client, "198.51.100.1:8080").is_err());
    });
}

#[test]
fn a_forwarder_killed_between_engines_is_replaced() {
    testing::in_userns("tests::adoption::a_forwarder_killed_between_engines_is_replaced", || {
        let host = Host::new();
        let (id, sandbox) = host.container(&["bridge"], &[port(Protocol::Tcp, 8080, 80)]);
        tcp_server(&sandbox.netns, "0.0.0.0:80", tell_peer);
        host.networks.forwarder.stop().unwrap();
        let host = host.restart();
        host.networks.adopt(&id, sandbox.netns.try_clone().unwrap()).unwrap().unwrap();
        host.networks.settle().unwrap();
        assert_eq!(hear(&host.client, "198.51.100.1:8080").unwrap(), CLIENT);
    });
}

#[test]
fn strays_are_deleted_and_what_others_make_is_not() {
    testing::in_userns("tests::adoption::strays_are_deleted_and_what_others_make_is_not", || {
        let host = Host::new();
        let crate::plumbing::Port::Bridge { index, mtu, .. } =
            host.networks.books().find("bridge").unwrap().port()
        else {
            panic!("the network `bridge` has no bridge")
        };
        // The second is called as lxc-user-nic calls an end before it gives it the name that was asked for.
        let names = ["veth0123abc", "veth1011_Ab3dp"];
        let pair = |name, peer| {
            crate::netlink::link::add_veth(&crate::netlink::link::Veth {
                name,
                bridge: index,
                mtu,
                peer,
                peer_mac: crate::MacAddr::random(),
                peer_namespace: host.client.as_fd(),
            })
        };
        let router = &host.networks.router;
        router.netlink(|netlink| netlink.changes(&[pair(names[0], "far0"), pair(names[1], "far1")])).unwrap();
        host.networks.settle().unwrap();
        let links = router.netlink(Netlink::links).unwrap();
        assert_eq!(names.map(|name| links.iter().any(|link| link.name == name)), [false, true]);
    });
}

/// One that says that it is ready and takes no connections.
#[test]
fn a_forwarder_that_is_of_no_use_is_ended() {
    testing::in_userns("tests::adoption::a_forwarder_that_is_of_no_use_is_ended", || {
        let (router, ()) = netns::create(|| Ok(())).unwrap();
        let (directory, store) = (short_directory(), Store::in_memory().unwrap());
        let mut config = config(&RunLayout::new(directory.path()), &router, OutwardChoice::None);
        let pid = directory.path().join("pid");
        let script = format!("echo $$ > {}; echo {}; exec sleep 1000", pid.display(), netd::READY);
        config.netd = Program { path: "/bin/sh".into(), args: vec!["-c".into(), script.into()] };
        let error = Networks::open(config, &store).err().expect("nobody listens").to_string();
        assert!(error.contains("connect"), "{error}");
        let pid = std::fs::read_to_string(pid).unwrap();
        assert!(!std::path::Path::new("/proc").join(pid.trim()).exists(), "it was waited for");
    });
}

/// Down first, as kernels before 6.2 want it (net/core/dev.c, `dev_change_name`).
fn rename(netlink: &mut Netlink, from: &str, to: &str) {
    let mut message = LinkMessage::default();
    message.header.index = netlink.link(from).unwrap().index;
    message.header.change_mask = LinkFlags::Up;
    message.attributes = vec![LinkAttribute::IfName(to.into())];
    let message = RouteNetlinkMessage::SetLink(message);
    netlink.change(crate::netlink::Change::route("rename", &message, NLM_F_REQUEST)).unwrap();
}

fn is_alive(process: model::ProcessRef) -> bool {
    std::path::Path::new(&format!("/proc/{}", process.pid)).exists()
}

#[test]
fn a_forwarder_that_cannot_lead_out_any_more_is_replaced() {
    testing::in_userns("tests::adoption::a_forwarder_that_cannot_lead_out_any_more_is_replaced", || {
        let (host, sandbox) = lead::host();
        let server = tcp_server(&host.client, "198.51.100.7:7000", tell_peer).to_string();
        assert_eq!(hear(&sandbox.netns, &server).unwrap(), HOST);
        let old = forwarder(&host).process;
        host.networks
            .router
            .netlink(|netlink| {
                rename(netlink, netd::outward::INTERFACE, "elsewhere");
                Ok(())
            })
            .unwrap();
        let host = host.restart_with(OutwardChoice::Lichen);
        assert_ne!(forwarder(&host).process, old);
        assert!(!is_alive(old), "it was waited for");
        assert_eq!(hear(&sandbox.netns, &server).unwrap(), HOST);
    });
}

#[test]
fn a_way_out_that_was_deleted_is_made_again() {
    testing::in_userns("tests::adoption::a_way_out_that_was_deleted_is_made_again", || {
        let (host, sandbox) = lead::host();
        let server = tcp_server(&host.client, "198.51.100.7:7000", tell_peer).to_string();
        let old = forwarder(&host).process;
        host.networks
            .router
            .netlink(|netlink| netlink.change(link::delete(netd::outward::INTERFACE)))
            .unwrap();
        eventually(|| {
            let heard = hear(&sandbox.netns, &server).map_err(|e| e.to_string())?;
            assert_eq!(heard, HOST);
            Ok(())
        });
        assert_ne!(forwarder(&host).process, old);
    });
}

/// The tun is there, and cannot be seen to at first.
#[test]
fn connections_outlast_an_engine_whose_successor_has_trouble_with_the_tun() {
    let test = "tests::adoption::connections_outlast_an_engine_whose_successor_has_trouble_with_the_tun";
    testing::in_userns(test, || {
        use nix::mount::{MntFlags, MsFlags, mount, umount2};
        let (host, sandbox) = lead::host();
        let server = lead::echo_server(&host.client, &lead::at_port(CLIENT, 7000));
        let streams = lead::connections(&sandbox.netns, server, 1);
        lead::all_echo(&streams);
        let old = forwarder(&host).process;
        let file = tempfile::NamedTempFile::new().unwrap();
        let setting = format!("/proc/sys/net/ipv4/conf/{}/accept_local", netd::outward::INTERFACE);
        at(&host.router, || {
            let nothing = None::<&str>;
            mount(Some(file.path()), setting.as_str(), nothing, MsFlags::MS_BIND, nothing).unwrap();
            let read_only = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
            mount(nothing, setting.as_str(), nothing, read_only, nothing).unwrap();
            std::fs::write(&setting, "1").expect_err("nothing can be set");
        });
        let router = host.router.try_clone().unwrap();
        let mended = thread::spawn(move || {
            // Most often after the first attempt; otherwise there is nothing to see here.
            thread::sleep(Duration::from_millis(500));
            at(&router, || umount2(setting.as_str(), MntFlags::MNT_DETACH).unwrap());
        });
        let host = host.restart_with(OutwardChoice::Lichen);
        mended.join().unwrap();
        assert_eq!(forwarder(&host).process, old);
        lead::all_echo(&streams);
    });
}

#[test]
fn a_forwarder_that_is_stuck_keeps_nobody_waiting_for_its_troubles() {
    let test = "tests::adoption::a_forwarder_that_is_stuck_keeps_nobody_waiting_for_its_troubles";
    testing::in_userns(test, || {
        use rustix::process::{Pid, Signal, kill_process};
        let host = Host::new();
        let pid = Pid::from_raw(forwarder(&host).process.pid as i32).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        let start = std::time::Instant::now();
        assert_eq!(host.networks.troubles(), Vec::<String>::new());
        // Requests wait for twenty seconds.
        assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
        kill_process(pid, Signal::CONT).unwrap();
    });
}
