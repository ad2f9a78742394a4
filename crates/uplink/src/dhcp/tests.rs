use super::*;

const MAC: Mac = [2, 0, 0, 0, 0, 9];
const XID: u32 = 0xfeed_beef;
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 3, 1);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 3, 77);

fn reply(kind: Kind) -> Message {
    Message {
        is_reply: true,
        given: ADDRESS,
        server: Some(SERVER),
        mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
        router: Some(SERVER),
        resolver: Some(SERVER),
        duration: Some(3600),
        ..Message::request(kind, XID, MAC)
    }
}

fn sent(client: &mut Client, now: Instant) -> (Ipv4Addr, Message) {
    let outgoing = client.due(now).unwrap().expect("something is due");
    assert!(outgoing.bytes.len() >= 300);
    (outgoing.to, Message::parse(&outgoing.bytes).expect("a message of ours"))
}

/// A client with a lease since `now`.
fn bound(now: Instant) -> (Client, Lease) {
    let mut client = Client::new(MAC, XID, now);
    let (to, discover) = sent(&mut client, now);
    assert_eq!((to, discover.kind), (Ipv4Addr::BROADCAST, Kind::Discover));
    assert_eq!(client.receive(&reply(Kind::Offer).encode(), now), Ok(None));
    let (to, request) = sent(&mut client, now);
    assert_eq!((to, request.kind), (Ipv4Addr::BROADCAST, Kind::Request));
    assert_eq!((request.requested, request.server), (Some(ADDRESS), Some(SERVER)));
    let lease = client.receive(&reply(Kind::Ack).encode(), now).unwrap().expect("a lease");
    (client, lease)
}

#[test]
fn an_address_is_asked_for_and_given() {
    let (_, lease) = bound(Instant::now());
    let expect = Lease {
        address: ADDRESS,
        prefix: 24,
        gateway: SERVER,
        resolver: Some(SERVER),
        server: SERVER,
        duration: Some(3600),
    };
    assert_eq!(lease, expect);
}

#[test]
fn silence_is_met_with_patience_and_then_an_error() {
    let start = Instant::now();
    let mut client = Client::new(MAC, XID, start);
    let mut messages = 0;
    let error = loop {
        let now = client.deadline().unwrap();
        match client.due(now) {
            Ok(Some(_)) => messages += 1,
            Ok(None) => panic!("nothing is due at the deadline"),
            Err(error) => break error,
        }
        assert!(client.deadline().unwrap() > now, "time goes by");
    };
    assert_eq!(error, Error::NoServer);
    assert!((4..=12).contains(&messages), "{messages}");
}

#[test]
fn an_offer_that_is_not_kept_is_given_up() {
    let now = Instant::now();
    let mut client = Client::new(MAC, XID, now);
    sent(&mut client, now);
    client.receive(&reply(Kind::Offer).encode(), now).unwrap();
    assert_eq!(sent(&mut client, now).1.kind, Kind::Request);
    client.receive(&reply(Kind::Nak).encode(), now).unwrap();
    assert_eq!(sent(&mut client, now).1.kind, Kind::Discover);
    client.receive(&reply(Kind::Offer).encode(), now).unwrap();
    let mut kinds = Vec::new();
    for _ in 0..5 {
        let now = client.deadline().unwrap();
        kinds.push(sent(&mut client, now).1.kind);
    }
    use Kind::{Discover, Request};
    assert_eq!(kinds, [Request, Request, Request, Request, Discover]);
}

#[test]
fn a_lease_is_renewed_by_its_server_and_then_by_anyone() {
    let now = Instant::now();
    let (mut client, _) = bound(now);
    assert_eq!(client.deadline(), Some(now + Duration::from_secs(1800)));
    assert_eq!(client.due(now + Duration::from_secs(1799)), Ok(None));
    let (to, renewal) = sent(&mut client, now + Duration::from_secs(1800));
    assert_eq!((to, renewal.held, renewal.requested), (SERVER, ADDRESS, None));
    let (to, _) = sent(&mut client, now + Duration::from_secs(3200));
    assert_eq!(to, Ipv4Addr::BROADCAST);
    let later = now + Duration::from_secs(3300);
    assert_eq!(client.receive(&reply(Kind::Ack).encode(), later), Ok(None));
    assert_eq!(client.deadline(), Some(later + Duration::from_secs(1800)));
}

#[test]
fn a_lease_that_is_lost_is_an_error() {
    let now = Instant::now();
    let expired = Error::Expired { address: ADDRESS, server: SERVER };
    assert_eq!(bound(now).0.due(now + Duration::from_secs(3600)), Err(expired));
    let withdrawn = bound(now).0.receive(&reply(Kind::Nak).encode(), now).unwrap_err();
    assert_eq!(withdrawn, Error::Withdrawn { address: ADDRESS, server: SERVER });
    let other = Message { given: Ipv4Addr::new(10, 0, 3, 78), ..reply(Kind::Ack) };
    let moved = bound(now).0.receive(&other.encode(), now).unwrap_err();
    assert_eq!(moved.to_string(), "the server 10.0.3.1 changed the address");
}

#[test]
fn a_lease_without_end_is_never_renewed() {
    let now = Instant::now();
    let mut client = Client::new(MAC, XID, now);
    sent(&mut client, now);
    client.receive(&Message { duration: Some(u32::MAX), ..reply(Kind::Offer) }.encode(), now).unwrap();
    sent(&mut client, now);
    let ack = Message { duration: Some(u32::MAX), ..reply(Kind::Ack) }.encode();
    assert_eq!(client.receive(&ack, now).unwrap().unwrap().duration, None);
    assert_eq!(client.deadline(), None);
}

#[test]
fn what_is_not_for_us_or_makes_no_sense_is_passed_over() {
    let now = Instant::now();
    let ip = Ipv4Addr::new;
    let offers = [
        Message { transaction: 1, ..reply(Kind::Offer) },
        Message { mac: [2; 6], ..reply(Kind::Offer) },
        Message { is_reply: false, ..reply(Kind::Offer) },
        Message { server: None, ..reply(Kind::Offer) },
        Message { router: None, ..reply(Kind::Offer) },
        Message { mask: Some(ip(255, 0, 255, 0)), ..reply(Kind::Offer) },
        Message { mask: Some(ip(255, 255, 255, 255)), ..reply(Kind::Offer) },
        Message { mask: Some(ip(0, 0, 0, 0)), ..reply(Kind::Offer) },
        Message { given: ip(0, 0, 0, 0), ..reply(Kind::Offer) },
        Message { given: ip(10, 0, 3, 255), ..reply(Kind::Offer) },
        Message { given: SERVER, ..reply(Kind::Offer) },
        Message { router: Some(ip(10, 0, 4, 1)), ..reply(Kind::Offer) },
        reply(Kind::Ack),
        reply(Kind::Nak),
    ];
    let mut client = Client::new(MAC, XID, now);
    sent(&mut client, now);
    for offer in offers {
        assert_eq!(client.receive(&offer.encode(), now), Ok(None), "{offer:?}");
        assert!(matches!(client.state, State::Selecting), "{offer:?}");
    }
    let whole = reply(Kind::Offer).encode();
    for cut in 0..whole.len() {
        let mut client = Client::new(MAC, XID, now);
        sent(&mut client, now);
        client.receive(&whole[..cut], now).unwrap();
    }
}
