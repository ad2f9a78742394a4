//! Changes of networks that cannot be carried out, or not be written down.

use super::{
    changes::{adopt, has_resolver, two, wanted},
    *,
};
use crate::{Error, plumbing};

/// The predecessor has started the resolver, and nobody else knows of it.
#[test]
fn a_container_without_names_has_no_resolver_of_a_network_it_half_joined() {
    let test = "tests::faults::a_container_without_names_has_no_resolver_of_a_network_it_half_joined";
    testing::in_userns(test, || {
        // Whether its container still runs by the time of the next engine.
        for runs in [true, false] {
            netns::create(|| {
                check_half_joined(runs);
                Ok(())
            })
            .unwrap();
        }
    });
}

fn check_half_joined(runs: bool) {
    let host = Host::new();
    host.networks.create(user_network("added", |_| {})).unwrap();
    let changed = host.container(&["bridge"], &[]);
    let networks = &host.networks;
    let (before, endpoint, port) = networks.plan_connect(&changed.0, &wanted()).unwrap();
    networks.note(&before, &endpoint).unwrap();
    let mut namespace = networks.hold(&changed.0).unwrap();
    plumbing::plug(&networks.router, &mut namespace, &endpoint, &port).unwrap();
    let mut after = before.clone();
    after.endpoints.push(endpoint);
    networks.announce(&after, &std::sync::Arc::new(namespace.fd)).unwrap();
    assert!(has_resolver(&changed.1.netns));
    let host = host.restart();
    if runs {
        assert_eq!(adopt(&host, &changed), before);
    }
    host.networks.settle().unwrap();
    assert!(!has_resolver(&changed.1.netns), "runs: {runs}");
}

#[test]
fn a_disconnect_that_fails_is_not_carried_out_by_the_next_engine() {
    let test = "tests::faults::a_disconnect_that_fails_is_not_carried_out_by_the_next_engine";
    testing::in_userns(test, || {
        let (host, changed, _) = two();
        let before = host.networks.sandbox(&changed.0).unwrap();
        let interface = |name: &str| {
            let mut books = host.networks.books();
            let sandbox = books.sandboxes.get_mut(&changed.0).unwrap();
            std::mem::replace(&mut sandbox.record.endpoints[0].host_interface, name.to_owned())
        };
        // The kernel does not delete this one.
        let own = interface("lo");
        let error = host.networks.disconnect(&changed.0, "front").unwrap_err().to_string();
        assert!(error.contains("delete interface lo"), "{error}");
        interface(&own);
        let recorded = host.networks.sandboxes.get(changed.0.as_str()).unwrap().unwrap();
        assert_eq!(recorded.changing, None);
        host.networks.sandboxes.put(changed.0.as_str(), &before).unwrap();
        let host = host.restart();
        assert_eq!(adopt(&host, &changed), before);
        host.networks.settle().unwrap();
        assert_eq!(hear(&host.client, "198.51.100.1:8080").unwrap(), CLIENT);
    });
}

/// Records of sandboxes cannot be written any more once there is one of the collection `full`, but for those of changes
/// that are about to be made.
fn store_that_fills_up(directory: &std::path::Path) -> Store {
    let path = directory.join("records.db");
    drop(Store::open(&path).unwrap());
    let trigger = "CREATE TRIGGER full BEFORE INSERT ON documents
        WHEN NEW.collection = 'sandboxes' AND json_extract(NEW.json, '$.changing') IS NULL
            AND EXISTS (SELECT 1 FROM documents WHERE collection = 'full')
        BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END";
    rusqlite::Connection::open(&path).unwrap().execute_batch(trigger).unwrap();
    Store::open(path).unwrap()
}

#[test]
fn an_address_is_nobody_elses_before_it_is_on_record_that_it_was_given_back() {
    let test = "tests::faults::an_address_is_nobody_elses_before_it_is_on_record_that_it_was_given_back";
    testing::in_userns(test, || {
        let directory = tempfile::tempdir().unwrap();
        let host = Host::on(store_that_fills_up(directory.path()), OutwardChoice::None, |_| {});
        let addresses = |sandbox: &Sandbox| sandbox.endpoints[0].ipv4.unwrap().to_string();
        host.networks.create(user_network("front", |_| {})).unwrap();
        let (id, leaving) = host.container(&["front"], &[port(Protocol::Tcp, 8080, 80)]);
        assert_eq!(addresses(&leaving), "172.18.0.2/16");
        let full = host.store.collection::<bool>("full");
        full.put("", &true).unwrap();
        let error = host.networks.disconnect(&id, "front").unwrap_err();
        assert!(matches!(error, Error::Store(_)), "{error}");
        full.delete("").unwrap();
        let (_, other) = host.container(&["front"], &[port(Protocol::Tcp, 8080, 80)]);
        assert_eq!(addresses(&other), "172.18.0.3/16");
        // Asked again, it is done, and nobody else's port or address goes with it.
        host.networks.disconnect(&id, "front").unwrap();
        assert_eq!(host.networks.sandbox(&id).unwrap().endpoints, []);
        host.networks.stop(&id).unwrap();
        let (_, next) = host.container(&["front"], &[]);
        assert_eq!(addresses(&next), "172.18.0.2/16");
        let (_, last) = host.container(&["front"], &[]);
        assert_eq!(addresses(&last), "172.18.0.4/16");
        tcp_server(&other.netns, "0.0.0.0:80", tell_peer);
        assert_eq!(hear(&host.client, "198.51.100.1:8080").unwrap(), CLIENT);
    });
}

#[test]
fn a_network_is_removed_also_where_policies_cannot_be_written() {
    let test = "tests::faults::a_network_is_removed_also_where_policies_cannot_be_written";
    testing::in_userns(test, || {
        let host = Host::new();
        host.networks.create(user_network("made", |_| {})).unwrap();
        let policies = host.close_policies();
        assert_eq!(host.networks.remove("made").unwrap().name, "made");
        assert!(matches!(host.networks.get("made"), Err(Error::NotFound { .. })));
        std::fs::remove_file(&policies).unwrap();
    });
}
