//! `--network NAME` and `--network name=…,alias=…,ip=…`, and the older flags that describe the first network.

use api_types::{EndpointIpamConfig, EndpointSettings, Map};

use super::csv;

/// One network to join.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attachment {
    pub target: String,
    pub aliases: Vec<String>,
    pub links: Vec<String>,
    pub ipv4: String,
    pub ipv6: String,
    pub link_local: Vec<String>,
    pub mac: String,
    pub driver_opts: Map<String>,
    pub gw_priority: i64,
}

pub fn check(text: &str) -> Result<(), String> {
    parse(text).map(drop)
}

pub fn parse(text: &str) -> Result<Attachment, String> {
    let long = text.split_once('=').is_some_and(|(key, value)| {
        key.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && value.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
    });
    if !long {
        return Ok(Attachment { target: text.to_owned(), ..Attachment::default() });
    }
    let mut network = Attachment::default();
    for field in csv::fields(text)? {
        let lower = field.to_lowercase();
        let (key, value) = lower
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or(format!("invalid field {field}"))?;
        set(&mut network, key.trim(), value.trim())?;
    }
    match network.target.is_empty() {
        true => Err("network name/id is not specified".into()),
        false => Ok(network),
    }
}

fn set(network: &mut Attachment, key: &str, value: &str) -> Result<(), String> {
    match key {
        "name" => network.target = value.into(),
        "alias" => network.aliases.push(value.into()),
        "ip" => network.ipv4 = address(value)?,
        "ip6" => network.ipv6 = address(value)?,
        "mac-address" => network.mac = value.into(),
        "link-local-ip" => network.link_local.push(address(value)?),
        "driver-opt" => {
            let (key, value) = value
                .split_once('=')
                .filter(|(key, _)| !key.is_empty())
                .ok_or("invalid key value pair format in driver options")?;
            network.driver_opts.insert(key.trim().into(), value.trim().into());
        }
        "gw-priority" => {
            network.gw_priority =
                value.parse().map_err(|_| format!("invalid gw-priority ({value}): invalid syntax"))?;
        }
        _ => return Err(format!("invalid field key {key}")),
    }
    Ok(())
}

fn address(text: &str) -> Result<String, String> {
    match text.parse::<std::net::IpAddr>() {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!("ParseAddr(\"{text}\"): unable to parse IP")),
    }
}

/// Whether a network mode names a network that users make, as opposed to none, host, bridge and a container's.
pub fn is_user_defined(mode: &str) -> bool {
    !matches!(mode, "default" | "bridge" | "host" | "none") && !mode.starts_with("container:")
}

/// The flags that describe the first network: `--ip`, `--network-alias`, …
#[derive(Debug, Default)]
pub struct First {
    pub aliases: Vec<String>,
    pub links: Vec<String>,
    pub ipv4: String,
    pub ipv6: String,
    pub link_local: Vec<String>,
    pub mac: String,
}

/// The mode of the container and what it asks of each network.
pub fn resolve(networks: Vec<Attachment>, first: &First) -> Result<(String, Map<EndpointSettings>), String> {
    let mode = networks.first().map_or("default", |network| network.target.as_str()).to_owned();
    let single = networks.len() <= 1;
    let mut endpoints = Map::new();
    let (mut user_defined, mut other) = (false, false);
    let networks = match networks.is_empty() {
        true => vec![Attachment { target: mode.clone(), ..Attachment::default() }],
        false => networks,
    };
    for (i, mut network) in networks.into_iter().enumerate() {
        match is_user_defined(&network.target) {
            true => user_defined = true,
            false => other = true,
        }
        if i == 0 {
            apply(&mut network, first)?;
        }
        let settings = endpoint(&network)?;
        if endpoints.contains_key(&network.target) {
            return Err(format!("network \"{}\" is specified multiple times", network.target));
        }
        // A single network without options of its own is said by the mode alone.
        if single && settings == EndpointSettings::default() {
            continue;
        }
        endpoints.insert(network.target, settings);
    }
    match user_defined && other {
        true => {
            Err("conflicting options: cannot attach both user-defined and non-user-defined network-modes"
                .into())
        }
        false => Ok((mode, endpoints)),
    }
}

fn apply(network: &mut Attachment, first: &First) -> Result<(), String> {
    let conflict = |flag: &str, what: &str| {
        Err(format!("conflicting options: cannot specify both {flag} and per-network {what}"))
    };
    if !network.aliases.is_empty() && !first.aliases.is_empty() {
        return conflict("--network-alias", "alias");
    }
    if !network.ipv4.is_empty() && !first.ipv4.is_empty() {
        return conflict("--ip", "IPv4 address");
    }
    if !network.ipv6.is_empty() && !first.ipv6.is_empty() {
        return conflict("--ip6", "IPv6 address");
    }
    if !network.mac.is_empty() && !first.mac.is_empty() {
        return conflict("--mac-address", "MAC address");
    }
    if !network.link_local.is_empty() && !first.link_local.is_empty() {
        return conflict("--link-local-ip", "link-local IP addresses");
    }
    network.aliases.extend(first.aliases.iter().cloned());
    network.link_local.extend(first.link_local.iter().cloned());
    // On the default bridge a link is an option of the container itself.
    if is_user_defined(&network.target) {
        network.links.extend(first.links.iter().cloned());
    }
    for (own, flag) in
        [(&mut network.ipv4, &first.ipv4), (&mut network.ipv6, &first.ipv6), (&mut network.mac, &first.mac)]
    {
        if own.is_empty() {
            own.clone_from(flag);
        }
    }
    Ok(())
}

/// What to ask of the engine for one network.
pub fn endpoint(network: &Attachment) -> Result<EndpointSettings, String> {
    if network.target.trim().is_empty() {
        return Err("no name set for network".into());
    }
    if !is_user_defined(&network.target) {
        if !network.aliases.is_empty() {
            return Err("network-scoped aliases are only supported for user-defined networks".into());
        }
        if !network.links.is_empty() {
            return Err("links are only supported for user-defined networks".into());
        }
    }
    if !network.mac.is_empty() && !is_mac(&network.mac) {
        return Err(format!("{} is not a valid mac address", network.mac));
    }
    let addressed = !(network.ipv4.is_empty() && network.ipv6.is_empty() && network.link_local.is_empty());
    Ok(EndpointSettings {
        ipam_config: addressed.then(|| EndpointIpamConfig {
            ipv4_address: network.ipv4.clone(),
            ipv6_address: network.ipv6.clone(),
            link_local_ips: network.link_local.clone(),
        }),
        links: network.links.clone(),
        aliases: network.aliases.clone(),
        mac_address: network.mac.clone(),
        driver_opts: network.driver_opts.clone(),
        gw_priority: network.gw_priority,
        ..EndpointSettings::default()
    })
}

/// Six bytes in hexadecimal between colons or dashes.
pub fn is_mac(text: &str) -> bool {
    let parts: Vec<_> = text.trim().split([':', '-']).collect();
    parts.len() == 6 && parts.iter().all(|part| part.len() == 2 && u8::from_str_radix(part, 16).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_syntax() {
        let n = parse("name=a,alias=x,alias=y,ip=10.0.0.2,driver-opt=k=v,gw-priority=3").unwrap();
        assert_eq!(n.aliases, ["x", "y"]);
        assert_eq!((n.ipv4.as_str(), n.driver_opts["k"].as_str(), n.gw_priority), ("10.0.0.2", "v", 3));
        assert_eq!(parse("container:abc").unwrap().target, "container:abc");
        assert_eq!(parse("name=a,foo=b").unwrap_err(), "invalid field key foo");
        assert_eq!(parse("alias=b").unwrap_err(), "network name/id is not specified");
    }

    #[test]
    fn resolving() {
        let net = |name: &str| parse(name).unwrap();
        let (mode, endpoints) = resolve(vec![net("a")], &First::default()).unwrap();
        assert_eq!((mode.as_str(), endpoints.len()), ("a", 0));
        let first = First { aliases: vec!["w".into()], ipv4: "10.1.1.1".into(), ..First::default() };
        let (_, endpoints) = resolve(vec![net("a"), net("b")], &first).unwrap();
        assert_eq!(endpoints["a"].aliases, ["w"]);
        assert_eq!(endpoints["b"].aliases, [""; 0]);
        assert_eq!(endpoints["a"].ipam_config.as_ref().unwrap().ipv4_address, "10.1.1.1");
        assert!(resolve(vec![net("a"), net("host")], &First::default()).is_err());
        assert!(resolve(vec![net("a"), net("a")], &First::default()).is_err());
        assert!(resolve(vec![], &first).is_err());
    }
}
