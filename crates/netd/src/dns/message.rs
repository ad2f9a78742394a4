//! As much of DNS messages (RFC 1035) as a forwarder reads and writes: the header, one question, address and pointer
//! records.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How long a client may remember an address, in seconds; Docker's resolver says the same.
const TTL: u32 = 600;

const HEADER: usize = 12;
const CLASS_IN: u16 = 1;
const TYPE_A: u16 = 1;
const TYPE_PTR: u16 = 12;
const TYPE_MX: u16 = 15;
const TYPE_AAAA: u16 = 28;
/// The pseudo-record by which a client says what it can take (RFC 6891).
const TYPE_OPT: u16 = 41;
/// What passes everywhere (RFC 1035, 4.2.1).
pub(crate) const SMALLEST: usize = 512;
/// The largest message over TCP.
pub(crate) const LARGEST: usize = u16::MAX as usize;
/// A compression pointer to the question's name, which follows the header (RFC 1035, 4.1.4).
const QUESTION_NAME: [u8; 2] = [0xc0, HEADER as u8];

/// What a query asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    pub id: u16,
    /// In lower case, without the final dot.
    pub name: String,
    pub kind: Kind,
    /// How long a reply by UDP may be.
    pub limit: usize,
    /// Where the question ends: what follows (EDNS) is left out of answers.
    end: usize,
}

/// The types that are answered here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    A,
    Aaaa,
    Ptr,
    Mx,
    Other,
}

/// What an answer says when it has no records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    NoError = 0,
    ServerFailure = 2,
    Refused = 5,
}

/// Reads a query; none when it is not a standard query with one question that this reader understands, or no query at
/// all.
pub(crate) fn parse(bytes: &[u8]) -> Option<Query> {
    let word = |at: usize| bytes.get(at..at + 2).map(|b| u16::from_be_bytes([b[0], b[1]]));
    // QR clear and opcode 0; exactly one question.
    if bytes.len() < HEADER || bytes[2] & 0xf8 != 0 || word(4)? != 1 {
        return None;
    }
    let (name, end) = parse_name(bytes)?;
    let class = word(end + 2)?;
    let kind = match word(end)? {
        _ if class != CLASS_IN => Kind::Other,
        TYPE_A => Kind::A,
        TYPE_AAAA => Kind::Aaaa,
        TYPE_PTR => Kind::Ptr,
        TYPE_MX => Kind::Mx,
        _ => Kind::Other,
    };
    let end = end + 4;
    // Nothing but additional records follows in a query; the first is the pseudo-record, where there is one.
    let alone = word(6) == Some(0) && word(8) == Some(0);
    let size = bytes
        .get(end)
        .filter(|root| **root == 0 && alone)
        .and_then(|_| (word(end + 1)? == TYPE_OPT).then(|| word(end + 3)).flatten());
    let limit = size.map_or(SMALLEST, |size| usize::from(size).max(SMALLEST));
    Some(Query { id: word(0)?, name, kind, limit, end })
}

impl Query {
    /// Whether `message` is a reply to this query as it was sent with another `id`. One without a question (as some
    /// servers refuse) counts too.
    pub(crate) fn is_answered_by(&self, request: &[u8], id: u16, message: &[u8]) -> bool {
        let question = &request[HEADER..self.end];
        let is_reply = message.len() >= HEADER && message[2] & 0x80 != 0 && self::id(message) == Some(id);
        is_reply
            && match message[4..6] {
                [0, 0] => true,
                [0, 1] => {
                    message.get(HEADER..self.end).is_some_and(|asked| asked.eq_ignore_ascii_case(question))
                }
                _ => false,
            }
    }
}

/// The code of a reply.
pub(crate) fn code(reply: &[u8]) -> u8 {
    reply.get(3).map_or(0, |flags| flags & 15)
}

/// The question's name, and where it ends. There is nothing before it that it could point to.
fn parse_name(bytes: &[u8]) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut at = HEADER;
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1;
        match length {
            0 => return Some((name, at)),
            1..=63 if name.len() + length < 255 => {}
            _ => return None,
        }
        if !name.is_empty() {
            name.push('.');
        }
        let label = bytes.get(at..at + length)?;
        name.extend(label.iter().map(|b| char::from(b.to_ascii_lowercase())));
        at += length;
    }
}

/// The reply to `query`, whose bytes are `request`, with no records.
pub(crate) fn empty(request: &[u8], query: &Query, code: Code) -> Vec<u8> {
    let mut reply = request[..query.end].to_vec();
    // QR set, opcode and RD kept; recursion available.
    reply[2] = 0x80 | (request[2] & 0x01);
    reply[3] = 0x80 | code as u8;
    reply[6..HEADER].fill(0);
    reply
}

/// The reply of at most `limit` bytes that gives addresses of the family asked for, those of the other left out.
pub(crate) fn addresses(request: &[u8], query: &Query, addresses: &[IpAddr], limit: usize) -> Vec<u8> {
    let records = addresses.iter().filter_map(|address| match (query.kind, address) {
        (Kind::A, IpAddr::V4(ip)) => Some((TYPE_A, ip.octets().to_vec())),
        (Kind::Aaaa, IpAddr::V6(ip)) => Some((TYPE_AAAA, ip.octets().to_vec())),
        _ => None,
    });
    with_records(request, query, records, limit)
}

/// The reply that gives the name of an address.
pub(crate) fn pointer(request: &[u8], query: &Query, name: &str) -> Vec<u8> {
    let mut data = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = &label.as_bytes()[..label.len().min(63)];
        data.push(label.len() as u8);
        data.extend(label);
    }
    data.push(0);
    with_records(request, query, std::iter::once((TYPE_PTR, data)), SMALLEST)
}

fn with_records(
    request: &[u8],
    query: &Query,
    records: impl Iterator<Item = (u16, Vec<u8>)>,
    limit: usize,
) -> Vec<u8> {
    let mut reply = empty(request, query, Code::NoError);
    let mut count = 0u16;
    for (kind, data) in records {
        if reply.len() + HEADER + data.len() > limit {
            // TC: the client comes by TCP for all of it.
            reply[2] |= 0x02;
            break;
        }
        reply.extend(QUESTION_NAME);
        reply.extend(kind.to_be_bytes());
        reply.extend(CLASS_IN.to_be_bytes());
        reply.extend(TTL.to_be_bytes());
        reply.extend((data.len() as u16).to_be_bytes());
        reply.extend(data);
        count += 1;
    }
    reply[6..8].copy_from_slice(&count.to_be_bytes());
    reply
}

/// The address that a name below `in-addr.arpa` or `ip6.arpa` stands for.
pub(crate) fn reverse_name(name: &str) -> Option<IpAddr> {
    if let Some(labels) = name.strip_suffix(".in-addr.arpa") {
        let octets: Vec<u8> = labels.split('.').rev().map(|l| l.parse().ok()).collect::<Option<_>>()?;
        return Some(Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?).into());
    }
    let labels = name.strip_suffix(".ip6.arpa")?;
    let digit = |l: &str| if l.len() == 1 { u128::from_str_radix(l, 16).ok() } else { None };
    let digits: Vec<u128> = labels.split('.').rev().map(digit).collect::<Option<_>>()?;
    let number = digits.iter().fold(0, |number, digit| (number << 4) | digit);
    (digits.len() == 32).then(|| Ipv6Addr::from(number).into())
}

/// The ID of any message.
pub(crate) fn id(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk::<2>().map(|id| u16::from_be_bytes(*id))
}

/// The same message with another ID.
pub(crate) fn set_id(bytes: &mut [u8], id: u16) {
    if let Some(place) = bytes.first_chunk_mut::<2>() {
        *place = id.to_be_bytes();
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A query as a stub resolver sends it.
    pub(crate) fn query(id: u16, name: &str, kind: u16) -> Vec<u8> {
        let mut bytes = id.to_be_bytes().to_vec();
        bytes.extend([0x01, 0x20, 0, 1, 0, 0, 0, 0, 0, 0]);
        for label in name.split('.') {
            bytes.push(label.len() as u8);
            bytes.extend(label.as_bytes());
        }
        bytes.extend([0]);
        bytes.extend(kind.to_be_bytes());
        bytes.extend(CLASS_IN.to_be_bytes());
        bytes
    }

    #[test]
    fn queries_are_read_in_any_case() {
        let bytes = query(7, "Web.Example", TYPE_AAAA);
        let read = parse(&bytes).unwrap();
        assert_eq!((read.id, read.name.as_str(), read.kind), (7, "web.example", Kind::Aaaa));
        for cut in 0..bytes.len() {
            assert!(parse(&bytes[..cut]).is_none(), "cut to {cut}");
        }
    }

    #[test]
    fn answers_and_strange_queries_are_left_alone() {
        let mut answer = query(7, "web", TYPE_A);
        answer[2] |= 0x80;
        assert!(parse(&answer).is_none());
        let mut pointing = query(7, "web", TYPE_A);
        pointing[12] = 0xc0;
        assert!(parse(&pointing).is_none(), "a name that points at itself");
        assert_eq!(parse(&query(7, "web", 33)).unwrap().kind, Kind::Other);
    }

    #[test]
    fn replies_hold_the_family_asked_for() {
        let bytes = query(7, "web", TYPE_A);
        let read = parse(&bytes).unwrap();
        let both = ["172.18.0.2".parse().unwrap(), "fd00::2".parse().unwrap()];
        let reply = addresses(&bytes, &read, &both, SMALLEST);
        assert_eq!(reply[..8], [0, 7, 0x81, 0x80, 0, 1, 0, 1]);
        assert_eq!(reply[reply.len() - 4..], [172, 18, 0, 2]);
        let many: Vec<IpAddr> = (0..200).map(|n| Ipv4Addr::new(10, 0, 0, n).into()).collect();
        let cut = addresses(&bytes, &read, &many, read.limit);
        assert!(cut.len() <= SMALLEST && cut[2] & 0x02 != 0, "cut off, and marked as such");
        let all = addresses(&bytes, &read, &many, LARGEST);
        assert_eq!((all[2] & 0x02, u16::from_be_bytes([all[6], all[7]])), (0, 200));
        let failed = empty(&bytes, &read, Code::ServerFailure);
        assert_eq!((failed.len(), failed[3]), (bytes.len(), 0x82));
    }

    #[test]
    fn a_client_says_how_much_it_takes() {
        let mut bytes = query(7, "web", TYPE_A);
        assert_eq!(parse(&bytes).unwrap().limit, SMALLEST);
        bytes[11] = 1;
        bytes.extend([0, 0, TYPE_OPT as u8, 0x10, 0x00, 0, 0, 0, 0, 0, 0]);
        assert_eq!(parse(&bytes).unwrap().limit, 4096);
    }

    #[test]
    fn only_a_reply_to_the_question_counts() {
        let asked = query(7, "web.example", TYPE_A);
        let read = parse(&asked).unwrap();
        let mut reply = query(9, "WEB.example", TYPE_A);
        assert!(!read.is_answered_by(&asked, 9, &reply), "a query is no reply");
        reply[2] |= 0x80;
        assert!(read.is_answered_by(&asked, 9, &reply));
        assert!(!read.is_answered_by(&asked, 8, &reply), "another ID");
        let mut other = query(9, "evil.example", TYPE_A);
        other[2] |= 0x80;
        assert!(!read.is_answered_by(&asked, 9, &other), "another question");
    }

    #[test]
    fn reverse_names_stand_for_addresses() {
        assert_eq!(reverse_name("2.0.18.172.in-addr.arpa"), Some("172.18.0.2".parse().unwrap()));
        let six = "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa";
        assert_eq!(reverse_name(six), Some("fd00::2".parse().unwrap()));
        for bad in
            ["in-addr.arpa", "1.2.3.in-addr.arpa", "300.0.18.172.in-addr.arpa", "a.ip6.arpa", "example.org"]
        {
            assert_eq!(reverse_name(bad), None, "{bad}");
        }
    }
}
