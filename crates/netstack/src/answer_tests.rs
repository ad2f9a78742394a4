use super::*;
use crate::packet::parse;

/// A SYN as Linux sends it, from 172.17.0.2:40000 to 192.0.2.9:443.
pub(crate) fn syn_v4() -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(40_000u16.to_be_bytes());
    bytes.extend(443u16.to_be_bytes());
    bytes.extend(0xffff_fff0u32.to_be_bytes());
    bytes.extend([0, 0, 0, 0, 5 << 4, Flags::SYN, 0xfa, 0xf0, 0, 0, 0, 0]);
    wrap("172.17.0.2".parse().unwrap(), "192.0.2.9".parse().unwrap(), TCP, bytes, Some(16))
}

fn has_good_checksum(packet: &Packet<'_>, protocol: u8, header: usize) -> bool {
    let rest = &packet.bytes[header..];
    let start = match protocol {
        ICMP => Sum::default(),
        _ => Sum::pseudo_header(packet.source, packet.destination, protocol, rest.len()),
    };
    start.add(rest).finish() == 0
}

#[test]
fn a_syn_is_refused_by_a_reset_that_acknowledges_it() {
    let syn = syn_v4();
    let packet = parse(&syn).unwrap();
    let Content::Tcp(segment) = packet.content else { panic!("{packet:?}") };
    assert!(segment.flags.opens());
    let answer = reset(&packet, &segment).unwrap();
    let answer = parse(&answer).unwrap();
    assert!(has_good_checksum(&answer, TCP, 20));
    assert_eq!(answer.ends(), packet.ends().map(|(from, to)| (to, from)));
    let Content::Tcp(answer) = answer.content else { panic!("{answer:?}") };
    assert_eq!((answer.flags.0, answer.acknowledgement), (Flags::RST | Flags::ACK, 0xffff_fff1));
}

#[test]
fn a_stray_acknowledgement_is_reset_where_it_says_and_a_reset_is_not_answered() {
    let syn = syn_v4();
    let packet = parse(&syn).unwrap();
    let Content::Tcp(segment) = packet.content else { panic!("{packet:?}") };
    let stray = Segment { flags: Flags(Flags::ACK | Flags::FIN), acknowledgement: 77, ..segment };
    let answer = reset(&packet, &stray).unwrap();
    let Content::Tcp(answer) = parse(&answer).unwrap().content else { panic!("{answer:?}") };
    assert_eq!((answer.flags.0, answer.sequence), (Flags::RST, 77));
    assert_eq!(reset(&packet, &Segment { flags: Flags(Flags::RST), ..segment }), None);
}

#[test]
fn an_error_quotes_the_packet_it_is_about() {
    for (from, to, protocol, header, limit) in [
        ("172.17.0.2:5000", "192.0.2.9:53", ICMP, 20, MAX_ERROR_V4),
        ("[fd00::2]:5000", "[2001:db8::9]:53", ICMPV6, 40, MAX_ERROR_V6),
    ] {
        let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
        let about = datagram(from, to, b"probe");
        let packet = parse(&about).unwrap();
        assert_eq!(packet.ends(), Some((from, to)));
        let error = unreachable(&packet, Reason::Port).unwrap();
        let parsed = parse(&error).unwrap();
        assert!(has_good_checksum(&parsed, protocol, header));
        assert_eq!((parsed.source, parsed.destination), (to.ip(), from.ip()));
        assert_eq!(&error[header + 8..], about);
        assert_eq!(unreachable(&parsed, Reason::Port), None, "no error about an error");
        let long = echo_request(from.ip(), to.ip(), &Echo { identifier: 1, sequence: 2, data: &[7; 9000] });
        let error = unreachable(&parse(&long).unwrap(), Reason::TooBig(1400)).unwrap();
        assert_eq!(error.len(), limit);
        assert_eq!(&error[header + 6..header + 8], 1400u16.to_be_bytes());
    }
}

#[test]
fn an_echo_comes_back_with_its_data() {
    for (from, to) in [("172.17.0.2", "192.0.2.9"), ("fd00::2", "2001:db8::9")] {
        let (from, to): (IpAddr, IpAddr) = (from.parse().unwrap(), to.parse().unwrap());
        let echo = Echo { identifier: 0xbeef, sequence: 3, data: b"odd" };
        let request = echo_request(from, to, &echo);
        let request = parse(&request).unwrap();
        assert_eq!(request.content, Content::Echo(echo));
        let reply = echo_reply(from, to, &echo);
        let reply = parse(&reply).unwrap();
        assert_eq!((reply.source, reply.destination), (to, from));
        let (protocol, header) = if from.is_ipv4() { (ICMP, 20) } else { (ICMPV6, 40) };
        assert!(has_good_checksum(&reply, protocol, header));
        assert!(reply.bytes.ends_with(b"odd"));
    }
}

#[test]
fn an_error_of_a_routers_comes_from_it_and_means_the_same() {
    for (from, to, router) in [
        ("172.17.0.2:5000", "192.0.2.9:33434", "198.51.100.1"),
        ("[fd00::2]:5000", "[2001:db8::9]:33434", "2001:db8:1::1"),
    ] {
        let router: IpAddr = router.parse().unwrap();
        let about = datagram(from.parse().unwrap(), to.parse().unwrap(), b"probe");
        let packet = parse(&about).unwrap();
        assert_eq!(packet.hops, HOP_LIMIT);
        let reasons = [
            Reason::Network,
            Reason::Host,
            Reason::Port,
            Reason::Prohibited,
            Reason::TooBig(1300),
            Reason::Expired,
        ];
        for reason in reasons {
            let error = error_from(router, &packet, reason).unwrap();
            let parsed = parse(&error).unwrap();
            assert_eq!((parsed.source, parsed.destination), (router, packet.source));
            let icmp = &error[if router.is_ipv4() { 20 } else { 40 }..];
            let mtu = u32::from_be_bytes([icmp[4], icmp[5], icmp[6], icmp[7]]);
            assert_eq!(Reason::of_icmp(router.is_ipv4(), icmp[0], icmp[1], mtu), Some(reason));
        }
    }
    assert_eq!(Reason::of_icmp(true, 0, 0, 0), None, "an echo reply");
    assert_eq!(Reason::of_icmp(true, 11, 1, 0), None, "of putting fragments together");
    assert_eq!(Reason::of_icmp(false, 4, 0, 0), None, "a parameter problem");
}
