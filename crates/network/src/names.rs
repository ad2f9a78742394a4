//! How a container finds others by name: the text of its `/etc/hosts` and `/etc/resolv.conf`.

use crate::record::Endpoint;
use std::{
    collections::BTreeSet,
    fmt::Write,
    net::{IpAddr, Ipv4Addr, UdpSocket},
};

/// What `/etc/hosts` is made from besides the endpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostsRequest {
    pub hostname: String,
    pub domainname: String,
    /// `--add-host`: `name:address`, the address possibly being `host-gateway`.
    pub extra: Vec<String>,
    /// `--link` of the default bridge: addresses of other containers and the names they are to have.
    pub links: Vec<(IpAddr, Vec<String>)>,
}

/// `--dns`, `--dns-search`, `--dns-option`; empty lists mean the host's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DnsRequest {
    pub servers: Vec<IpAddr>,
    pub search: Vec<String>,
    pub options: Vec<String>,
}

/// The lines every container has (moby `libnetwork/etchosts`).
const LOCAL: &str = "127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
";

pub(crate) fn hosts(endpoints: &[Endpoint], request: &HostsRequest, host_gateway: Option<IpAddr>) -> String {
    let mut text = LOCAL.to_owned();
    let mut line = |address: &dyn std::fmt::Display, names: &str| {
        writeln!(text, "{address}\t{names}").expect("writing to a string cannot fail");
    };
    for extra in &request.extra {
        let Some((name, address)) = extra.split_once(':') else { continue };
        match (address, host_gateway) {
            ("host-gateway", Some(gateway)) => line(&gateway, name),
            ("host-gateway", None) => {}
            // `[::1]` and `::1` are both written.
            (address, _) => line(&address.trim_start_matches('[').trim_end_matches(']'), name),
        }
    }
    for (address, names) in &request.links {
        line(address, &names.join(" "));
    }
    text.extend(own_lines(endpoints, request));
    text
}

/// The lines by which a container finds itself, one for each address.
pub fn own_lines(endpoints: &[Endpoint], request: &HostsRequest) -> Vec<String> {
    let mut names = request.hostname.clone();
    if !request.domainname.is_empty() {
        names = format!("{names}.{}", request.domainname);
    }
    // The name in full and its first part, however it was split over the two (moby `makeHostsRecs`).
    if let Some((host, _)) = names.clone().split_once('.') {
        names = format!("{names} {host}");
    }
    let addresses = endpoints.iter().flat_map(|endpoint| {
        let v4 = endpoint.ipv4.map(|net| IpAddr::V4(net.addr()));
        v4.into_iter().chain(endpoint.ipv6.map(|net| IpAddr::V6(net.addr())))
    });
    addresses.map(|address| format!("{address}\t{names}\n")).collect()
}

/// What a resolv.conf(5) says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ResolvConf {
    pub servers: Vec<IpAddr>,
    pub search: Vec<String>,
    pub options: Vec<String>,
}

impl ResolvConf {
    pub(crate) fn parse(text: &str) -> Self {
        let mut parsed = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let keyword = words.next().unwrap_or_default();
            let rest = words.map(str::to_owned);
            match keyword {
                // A zone (`fe80::1%eth0`) means nothing inside a container.
                "nameserver" => {
                    parsed.servers.extend(rest.take(1).filter_map(|word| word.parse::<IpAddr>().ok()))
                }
                // The last of them counts.
                "search" | "domain" => parsed.search = rest.collect(),
                "options" => parsed.options.extend(rest),
                _ => {}
            }
        }
        parsed
    }

    pub(crate) fn chooses_ndots(&self) -> bool {
        self.options.iter().any(|option| option.starts_with("ndots:"))
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for server in &self.servers {
            writeln!(text, "nameserver {server}").expect("writing to a string cannot fail");
        }
        for (keyword, words) in [("search", &self.search), ("options", &self.options)] {
            if !words.is_empty() {
                writeln!(text, "{keyword} {}", words.join(" ")).expect("writing to a string cannot fail");
            }
        }
        text
    }

    /// What `--dns*` replace, each list on its own. A search for `.` is a search nowhere.
    fn overridden(mut self, request: &DnsRequest) -> Self {
        if !request.servers.is_empty() {
            self.servers.clone_from(&request.servers);
        }
        if !request.search.is_empty() {
            self.search = request.search.iter().filter(|domain| *domain != ".").cloned().collect();
        }
        if !request.options.is_empty() {
            self.options.clone_from(&request.options);
        }
        self
    }
}

/// The resolvers a container can reach: the host's, less those on the host's loopback, and less those of IPv6 for a
/// container that has none; where that leaves none, the outward driver's own.
pub(crate) fn reachable(host: &ResolvConf, has_ipv6: bool, fallback: Option<IpAddr>) -> Vec<IpAddr> {
    let servers: Vec<IpAddr> = host
        .servers
        .iter()
        .copied()
        .filter(|ip| !ip.is_loopback() && !ip.is_unspecified() && (ip.is_ipv4() || has_ipv6))
        .collect();
    if servers.is_empty() { fallback.into_iter().collect() } else { servers }
}

pub(crate) fn resolv_conf(
    endpoints: &[Endpoint],
    request: &DnsRequest,
    host: &str,
    fallback: Option<IpAddr>,
    has_resolvers: bool,
) -> String {
    let mut host = ResolvConf::parse(host);
    if has_resolvers && endpoints.iter().any(|e| !e.dns_names.is_empty()) {
        return embedded(host, request);
    }
    host.servers = reachable(&host, endpoints.iter().any(|e| e.ipv6.is_some()), fallback);
    host.overridden(request).text()
}

/// On a user-defined network: the resolver at 127.0.0.11, which knows the servers to ask itself. `ndots:0` has it asked
/// for names without a dot as they are, unless something else was asked for.
fn embedded(host: ResolvConf, request: &DnsRequest) -> String {
    let mut own = host.overridden(request);
    own.servers = vec![EMBEDDED.into()];
    if !own.chooses_ndots() {
        own.options.push("ndots:0".into());
    }
    own.text()
}

/// Where the resolver of a container on user-defined networks listens.
pub(crate) const EMBEDDED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// `/etc/resolv.conf` for `--network host`: the host's own, changed by `--dns*`.
pub fn host_resolv_conf(request: &DnsRequest) -> String {
    let own = own_file();
    if *request == DnsRequest::default() { own } else { ResolvConf::parse(&own).overridden(request).text() }
}

const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Where systemd-resolved lists the resolvers that its stub on 127.0.0.53 stands for (systemd-resolved.service(8)).
const UPLINK_RESOLV_CONF: &str = "/run/systemd/resolve/resolv.conf";

/// The host's resolvers as the host uses them.
pub(crate) fn own_file() -> String {
    std::fs::read_to_string(RESOLV_CONF).unwrap_or_default()
}

/// The host's resolvers as a container may use them: those behind systemd-resolved's stub rather than the stub.
pub(crate) fn host_file() -> String {
    let own = own_file();
    let stub = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53));
    if ResolvConf::parse(&own).servers == [stub]
        && let Ok(uplink) = std::fs::read_to_string(UPLINK_RESOLV_CONF)
    {
        return uplink;
    }
    own
}

/// The address by which the host talks to the world, found by asking the kernel which one it would use: connecting a
/// UDP socket sends nothing (connect(2)).
pub(crate) fn host_address() -> Option<IpAddr> {
    const ANYWHERE: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(ANYWHERE).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

/// The names in `list` that are no two times the same, in order.
pub(crate) fn distinct(list: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    list.into_iter().filter(|name| !name.is_empty() && seen.insert(name.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(host: &str, request: &DnsRequest) -> String {
        resolv_conf(&[], request, host, Some("10.0.2.3".parse().unwrap()), true)
    }

    fn endpoint() -> Endpoint {
        Endpoint {
            id: model::Id::random(),
            network: model::Id::random(),
            network_name: "n".into(),
            interface: "eth0".into(),
            host_interface: "veth0".into(),
            mac: None,
            ipv4: Some("172.18.0.2/16".parse().unwrap()),
            ipv6: None,
            link_local: Vec::new(),
            on_link: false,
            gateway_v4: None,
            gateway_v6: None,
            aliases: Vec::new(),
            links: Vec::new(),
            dns_names: Vec::new(),
            driver_options: Default::default(),
            gateway_priority: 0,
        }
    }

    #[test]
    fn unreachable_resolvers_are_left_out() {
        let host = "# made by hand\nnameserver 127.0.0.53\nnameserver 192.0.2.53\nnameserver fd00::53\n\
                    search example.org example.net\noptions edns0 trust-ad\n";
        assert_eq!(
            conf(host, &DnsRequest::default()),
            "nameserver 192.0.2.53\nsearch example.org example.net\noptions edns0 trust-ad\n"
        );
        assert_eq!(conf("nameserver 127.0.0.1\n", &DnsRequest::default()), "nameserver 10.0.2.3\n");
    }

    #[test]
    fn what_is_asked_for_replaces_list_by_list() {
        let host = "nameserver 192.0.2.53\nsearch example.org\n";
        let request = DnsRequest { servers: vec!["127.0.0.1".parse().unwrap()], ..Default::default() };
        assert_eq!(conf(host, &request), "nameserver 127.0.0.1\nsearch example.org\n");
        let request =
            DnsRequest { search: vec![".".into()], options: vec!["ndots:3".into()], ..Default::default() };
        assert_eq!(conf(host, &request), "nameserver 192.0.2.53\noptions ndots:3\n");
    }

    #[test]
    fn hosts_lists_extras_then_links_then_itself() {
        let request = HostsRequest {
            hostname: "web".into(),
            domainname: "example.org".into(),
            extra: vec![
                "db:10.0.0.7".into(),
                "host.docker.internal:host-gateway".into(),
                "six:[fd00::7]".into(),
            ],
            links: vec![("172.17.0.9".parse().unwrap(), vec!["cache".into(), "c1".into()])],
        };
        let text = hosts(&[], &request, Some("192.0.2.2".parse().unwrap()));
        let split = HostsRequest { hostname: "web.example.org".into(), ..Default::default() };
        assert_eq!(own_lines(&[endpoint()], &request), ["172.18.0.2\tweb.example.org web\n"]);
        assert_eq!(own_lines(&[endpoint()], &split), own_lines(&[endpoint()], &request));
        assert_eq!(
            text.strip_prefix(LOCAL).unwrap(),
            "10.0.0.7\tdb\n192.0.2.2\thost.docker.internal\nfd00::7\tsix\n172.17.0.9\tcache c1\n"
        );
    }
}
