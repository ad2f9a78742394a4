//! Networks that are settings for others to copy.

use super::*;
use crate::{ConfigurationRefusal as Refusal, Error, NewPool};

fn settings() -> NewNetwork {
    user_network("settings", |n| {
        n.config_only = true;
        n.enable_ipv6 = Some(true);
        n.pools = vec![NewPool {
            subnet: "10.77.0.0/24".into(),
            ip_range: "10.77.0.128/25".into(),
            ..Default::default()
        }];
        n.labels = [("tier".to_owned(), "front".to_owned())].into();
        n.options = [("com.docker.network.driver.mtu".to_owned(), "1400".to_owned())].into();
    })
}

fn copy(name: &str, change: impl FnOnce(&mut NewNetwork)) -> NewNetwork {
    user_network(name, |n| {
        n.config_from = Some("settings".into());
        change(n);
    })
}

#[test]
fn what_a_configuration_says_its_copies_have() {
    testing::in_userns("tests::configuration::what_a_configuration_says_its_copies_have", || {
        let host = Host::new();
        let refusal = |request: NewNetwork| match host.networks.create(request) {
            Err(Error::Configuration(refusal)) => refusal,
            other => panic!("{other:?}"),
        };
        assert_eq!(refusal(copy("early", |_| {})), Refusal::NotFound("settings".into()));
        host.networks.create(settings()).unwrap();
        let kept = host.networks.get("settings").unwrap();
        assert_eq!((kept.driver, kept.config_only), (crate::Driver::Null, true));
        assert_eq!(kept.config_pools[0].subnet, "10.77.0.0/24");
        host.networks.create(copy("made", |_| {})).unwrap();
        let made = host.networks.get("made").unwrap();
        assert_eq!((made.config_from.as_str(), made.config_only), ("settings", false));
        assert_eq!((made.labels, made.ipv6), (kept.labels, true));
        let (_, sandbox) = host.container(&["made"], &[]);
        assert_eq!(sandbox.endpoints[0].ipv4.unwrap().to_string(), "10.77.0.129/24");
        assert!(sandbox.endpoints[0].ipv6.is_some());
        let mtu = at(&sandbox.netns, || {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.connect("10.77.0.128:9").unwrap();
            rustix::net::sockopt::ip_mtu(&socket).unwrap()
        });
        assert_eq!(mtu, 1400);
        // As for any other two networks.
        assert!(matches!(host.networks.create(copy("again", |_| {})), Err(Error::Overlap { .. })));
        assert_eq!(refusal(copy("own", |n| n.enable_ipv6 = Some(true))), Refusal::OwnSettings);
        assert_eq!(refusal(copy("own", |n| n.options = settings().options)), Refusal::OwnOptions);
        assert_eq!(refusal(copy("chain", |n| n.config_only = true)), Refusal::Chain);
        assert_eq!(
            refusal(NewNetwork { name: "in".into(), internal: true, ..settings() }),
            Refusal::OperatorField
        );
        let mut malformed = settings();
        (malformed.name, malformed.pools[0].subnet) = ("malformed".into(), "10.77.0.1/24".into());
        assert!(matches!(host.networks.create(malformed), Err(Error::InvalidIpam(_))));
        let joined = host.networks.start(request(&["settings"], &[])).unwrap_err();
        assert!(matches!(joined, Error::Configuration(Refusal::Endpoint)), "{joined}");
        assert!(
            host.networks.prune(|_| true).unwrap().is_empty(),
            "one is in use, the other nobody's to use"
        );
        let in_use = host.networks.remove("settings").unwrap_err();
        assert!(
            matches!(&in_use, Error::Configuration(Refusal::InUse(name)) if name == "settings"),
            "{in_use}"
        );
        drop(sandbox);
    });
}

#[test]
fn a_configuration_outlasts_the_engine_and_goes_after_its_copies() {
    testing::in_userns(
        "tests::configuration::a_configuration_outlasts_the_engine_and_goes_after_its_copies",
        || {
            let host = Host::new();
            host.networks.create(settings()).unwrap();
            let host = host.restart();
            host.networks.create(copy("made", |_| {})).unwrap();
            host.networks.remove("made").unwrap();
            host.networks.remove("settings").unwrap();
            assert!(matches!(host.networks.get("settings"), Err(Error::NotFound { .. })));
        },
    );
}
