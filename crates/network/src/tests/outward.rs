//! The way out, with the real programs.

use super::*;
use std::io::ErrorKind;

/// A container reaches a server on the host's network and, unless allowed, not one on the host's loopback.
fn check(outward: OutwardChoice) {
    let host = Host::with(outward);
    let (_, sandbox) = host.container(&["bridge"], &[]);
    let status = host.networks.outward();
    assert_eq!(status.warnings, Vec::<String>::new());
    assert!(!status.version.is_empty());
    let server = tcp_server(&host.client, "198.51.100.7:7000", tell_peer);
    assert_eq!(hear(&sandbox.netns, &server.to_string()).unwrap(), HOST);
    udp_server(&host.client, "198.51.100.7:7001");
    assert_eq!(ask_udp(&sandbox.netns, "0.0.0.0:0", "198.51.100.7:7001", "q").unwrap(), format!("{HOST} q"));
    if outward != OutwardChoice::Pasta {
        // pasta of 2023 leaves the container waiting.
        let refused = connect(&sandbox.netns, "198.51.100.7:7002").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }
    tcp_server(&here(), "127.0.0.1:7003", tell_peer);
    assert!(hear(&sandbox.netns, "10.0.2.2:7003").is_err(), "the host's loopback is out of reach");
    tcp_server(&here(), "0.0.0.0:7004", tell_peer);
    let gateway = host.networks.host_gateway().unwrap();
    assert_eq!(gateway, ip(HOST));
    assert!(hear(&sandbox.netns, &format!("{gateway}:7004")).is_ok(), "host-gateway leads to the host");
    host.networks.create(user_network("inside", |n| n.internal = true)).unwrap();
    let (_, inside) = host.container(&["inside"], &[]);
    assert!(connect(&inside.netns, "198.51.100.7:7000").is_err());
    kill_and_reach_again(&host, &sandbox, outward);
}

fn kill_and_reach_again(host: &Host, sandbox: &Sandbox, outward: OutwardChoice) {
    kill_program(host, outward);
    let to: SocketAddr = "198.51.100.7:7000".parse().unwrap();
    eventually(|| {
        at(&sandbox.netns, || TcpStream::connect_timeout(&to, Duration::from_millis(500)))
            .map_err(|e| format!("after the driver was killed: {e}"))
    });
}

/// Kills the program that leads out.
pub(super) fn kill_program(host: &Host, outward: OutwardChoice) {
    #[derive(serde::Deserialize)]
    struct Record {
        process: model::ProcessRef,
    }
    let file = if outward == OutwardChoice::Lichen {
        host.run.netd_state()
    } else {
        host.run.root().join("outward.json")
    };
    let record: Record = crate::daemon::read_record(&file).unwrap().unwrap();
    let pid = rustix::process::Pid::from_raw(record.process.pid as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn lichen_leads_out() {
    testing::in_userns("tests::outward::lichen_leads_out", || check(OutwardChoice::Lichen));
}

#[test]
fn slirp4netns_leads_out() {
    testing::in_userns("tests::outward::slirp4netns_leads_out", || check(OutwardChoice::Slirp4netns));
}

#[test]
fn pasta_leads_out() {
    testing::in_userns("tests::outward::pasta_leads_out", || check(OutwardChoice::Pasta));
}

/// The kernel itself refuses an expression that it does not have, as one without nft_tproxy does.
#[test]
fn without_tproxy_another_driver_leads_out_and_says_why() {
    testing::in_userns("tests::outward::without_tproxy_another_driver_leads_out_and_says_why", || {
        let client = host_network();
        let (router, ()) = netns::create(|| Ok(())).unwrap();
        let run = short_directory();
        let layout = RunLayout::new(run.path());
        let open = |choice| {
            let config = config(&layout, &router, choice);
            Networks::open_on(config, &Store::in_memory().unwrap(), Some("no_tproxy"))
        };
        let refused = open(OutwardChoice::Lichen).err().expect("asked for by name").to_string();
        assert!(refused.contains("CONFIG_NFT_TPROXY") && refused.contains("modprobe"), "{refused}");
        let networks = open(OutwardChoice::Auto).unwrap();
        let status = networks.outward();
        assert_ne!(status.driver, "lichen");
        let warning = status.warnings.join(" ");
        assert!(
            warning.contains("more slowly than Lichen can") && warning.contains("nft_tproxy"),
            "{warning}"
        );
        let sandbox = networks.start(request(&["bridge"], &[port(Protocol::Tcp, 8080, 80)])).unwrap();
        let server = tcp_server(&client, "198.51.100.7:7000", tell_peer);
        assert_eq!(hear(&sandbox.netns, &server.to_string()).unwrap(), HOST);
        tcp_server(&sandbox.netns, "0.0.0.0:80", tell_peer);
        assert_eq!(hear(&client, "198.51.100.1:8080").unwrap(), CLIENT, "published ports need no tproxy");
        networks.shutdown().unwrap();
    });
}

#[test]
fn a_driver_that_is_not_installed_names_its_package() {
    testing::in_userns("tests::outward::a_driver_that_is_not_installed_names_its_package", || {
        let missing = crate::OutwardError::NotInstalled { program: "pasta", packages: "passt (apt)" };
        let error = crate::Error::Outward { driver: "pasta", reason: missing };
        assert!(error.to_string().contains("install passt (apt)"), "{error}");
        assert_eq!(error.kind(), model::ErrorKind::Unavailable);
        assert!(
            "vpn".parse::<OutwardChoice>().unwrap_err().to_string().contains("slirp4netns, pasta, vpnkit")
        );
    });
}

/// What cannot be written down is not left running for nobody to find.
#[test]
fn a_driver_that_cannot_be_recorded_is_ended_and_tried_again() {
    testing::in_userns("tests::outward::a_driver_that_cannot_be_recorded_is_ended_and_tried_again", || {
        let client = host_network();
        let (router, ()) = netns::create(|| Ok(())).unwrap();
        let (run_dir, store) = (short_directory(), Store::in_memory().unwrap());
        let run = RunLayout::new(run_dir.path());
        // Where the record is written before it gets its name.
        let obstacle = run.root().join("outward.new");
        std::fs::create_dir_all(&obstacle).unwrap();
        let networks = Networks::open(config(&run, &router, OutwardChoice::Slirp4netns), &store).unwrap();
        networks.settle().unwrap();
        let host = Host { networks, store, router, client, _run: run_dir, run };
        host.networks.outward.wait_settled();
        let warnings = || host.networks.outward().warnings.join(" ");
        eventually_within(START, || match warnings() {
            text if text.contains("cannot reach the outside at the moment")
                && text.contains("outward.json") =>
            {
                Ok(())
            }
            other => Err(other),
        });
        std::fs::remove_dir(&obstacle).unwrap();
        let server = tcp_server(&host.client, "198.51.100.7:7000", tell_peer).to_string();
        let (_, sandbox) = host.container(&["bridge"], &[]);
        eventually_within(START, || hear(&sandbox.netns, &server).map_err(|error| error.to_string()));
        eventually(|| if warnings().is_empty() { Ok(()) } else { Err(warnings()) });
        let router = format!("/proc/{}/fd/{}", std::process::id(), host.router.as_raw_fd());
        let mut programs = commands_with(&router);
        programs.retain(|command| command.contains("slirp4netns"));
        assert_eq!(programs.len(), 1, "those that were started before were ended: {programs:?}");
    });
}

/// Longer than the pauses between a few attempts.
const START: Duration = Duration::from_secs(40);

/// Programs that were told of this run directory.
fn left(host: &Host) -> Vec<String> {
    commands_with(&host.run.root().to_string_lossy())
}

fn commands_with(text: &str) -> Vec<String> {
    let commands = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        // One that has just ended has none.
        let command = std::fs::read(entry.ok()?.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&command).replace('\0', " "))
    });
    commands.filter(|command| command.contains(text)).collect()
}

/// Also while a program that died is being started again, by a thread that nobody sees.
#[test]
fn a_stop_leaves_no_program_whenever_it_comes() {
    testing::in_userns("tests::outward::a_stop_leaves_no_program_whenever_it_comes", || {
        let stop_after = |outward: OutwardChoice, pause: u64| {
            let host = Host::with(outward);
            host.networks.outward.wait_settled();
            kill_forwarder(&host);
            if outward == OutwardChoice::Slirp4netns {
                kill_program(&host, outward);
            }
            thread::sleep(Duration::from_millis(pause));
            host.networks.shutdown().unwrap();
            assert_eq!(left(&host), Vec::<String>::new(), "{outward:?}, stopped after {pause} ms");
        };
        for pause in [0, 5, 10, 15, 20, 40, 55, 70] {
            for outward in [OutwardChoice::Lichen, OutwardChoice::Slirp4netns] {
                // Each on a host of its own.
                netns::create(|| {
                    stop_after(outward, pause);
                    Ok(())
                })
                .unwrap();
            }
        }
    });
}
