//! `-p [[IP:]HOST:]CONTAINER[/PROTOCOL]` with ranges, and `--expose`.

use api_types::{PortBinding, PortMap, Set, go::Empty};

/// An inclusive range of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last).then_some(Self { first, last })
    }

    fn len(self) -> u32 {
        u32::from(self.last) - u32::from(self.first) + 1
    }
}

/// What all `-p` and `--expose` flags together ask for.
#[derive(Debug, Default, PartialEq)]
pub struct Ports {
    pub exposed: Set,
    pub bindings: PortMap,
}

impl Ports {
    pub fn publish(&mut self, text: &str) -> Result<(), String> {
        let text = standard_notation(text)?;
        let (ip, host, container) = split(&text)?;
        let (container, protocol) = container.split_once('/').unwrap_or((container, "tcp"));
        if container.is_empty() {
            return Err(format!("no port specified: {text}<empty>"));
        }
        let ip = address(ip).ok_or_else(|| format!("invalid IP address: {ip}"))?;
        let range = Range::parse(container).ok_or_else(|| format!("invalid containerPort: {container}"))?;
        let host_range = match host {
            "" => None,
            host => Some(Range::parse(host).ok_or_else(|| format!("invalid hostPort: {host}"))?),
        };
        let protocol = protocol.to_lowercase();
        if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
            return Err(format!("invalid proto: {protocol}"));
        }
        match host_range {
            Some(hosts) if hosts.len() != range.len() && range.len() > 1 => {
                return Err(format!(
                    "invalid ranges specified for container and host Ports: {container} and {host}"
                ));
            }
            _ => {}
        }
        for (i, port) in (range.first..=range.last).enumerate() {
            let host_port = match host_range {
                None => String::new(),
                // One container port may take any free one of a range.
                Some(hosts) if range.len() == 1 && hosts.len() > 1 => {
                    format!("{}-{}", hosts.first, hosts.last)
                }
                Some(hosts) => (usize::from(hosts.first) + i).to_string(),
            };
            let key = format!("{port}/{protocol}");
            self.exposed.insert(key.clone(), Empty {});
            self.bindings.entry(key).or_default().push(PortBinding { host_ip: ip.clone(), host_port });
        }
        Ok(())
    }

    pub fn expose(&mut self, text: &str) -> Result<(), String> {
        if text.contains(':') {
            return Err(format!("invalid port format for --expose: {text}"));
        }
        let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let range = Range::parse(ports).ok_or_else(|| {
            format!(
                "invalid range format for --expose: {text}, error: Invalid range specified for port: {ports}"
            )
        })?;
        for port in range.first..=range.last {
            self.exposed.insert(format!("{port}/{}", protocol.to_lowercase()), Empty {});
        }
        Ok(())
    }
}

/// `published=80,target=80,protocol=tcp` in the colon form.
fn standard_notation(text: &str) -> Result<String, String> {
    if !text.contains('=') {
        return Ok(text.to_owned());
    }
    let (mut published, mut target, mut protocol) = ("", "", "tcp");
    for param in text.split(',') {
        match param.split_once('=') {
            Some(("published", value)) => published = value,
            Some(("target", value)) => target = value,
            Some(("protocol", value)) => protocol = value,
            Some((key, _)) if !key.is_empty() => {}
            _ => return Err(format!("invalid publish opts format (should be name=value but got '{param}')")),
        }
    }
    Ok(format!("{published}:{target}/{protocol}"))
}

/// IP, host port and container port, from the right.
fn split(text: &str) -> Result<(&str, &str, &str), String> {
    let Some((rest, container)) = text.rsplit_once(':') else { return Ok(("", "", text)) };
    match rest.rsplit_once(':') {
        Some((ip, host)) => Ok((ip, host, container)),
        None => Ok(("", rest, container)),
    }
}

fn address(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some(String::new());
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse::<std::net::IpAddr>().ok().map(|_| bare.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn published(text: &str, expect: &[(&str, &str, &str)]) {
        let mut ports = Ports::default();
        ports.publish(text).unwrap();
        let got: Vec<_> = ports
            .bindings
            .iter()
            .flat_map(|(port, list)| {
                list.iter().map(|b| (port.as_str(), b.host_ip.as_str(), b.host_port.as_str()))
            })
            .collect();
        assert_eq!(got, expect, "{text}");
    }

    #[test]
    fn forms() {
        published("80", &[("80/tcp", "", "")]);
        published("8080:80", &[("80/tcp", "", "8080")]);
        published("127.0.0.1:8080:80/udp", &[("80/udp", "127.0.0.1", "8080")]);
        published("127.0.0.1::80", &[("80/tcp", "127.0.0.1", "")]);
        published("[::1]:81:80", &[("80/tcp", "::1", "81")]);
        published("::1:81:80", &[("80/tcp", "::1", "81")]);
        published("8000-8001:80-81", &[("80/tcp", "", "8000"), ("81/tcp", "", "8001")]);
        published("8000-8010:80", &[("80/tcp", "", "8000-8010")]);
        published("published=1,target=2,protocol=udp", &[("2/udp", "", "1")]);
    }

    #[test]
    fn complaints() {
        let fails = |text: &str| Ports::default().publish(text).unwrap_err();
        assert_eq!(fails("a:b:c:d:e"), "invalid IP address: a:b:c");
        assert_eq!(fails("80:x"), "invalid containerPort: x");
        assert_eq!(fails("x:80"), "invalid hostPort: x");
        assert_eq!(fails("80/foo"), "invalid proto: foo");
        assert_eq!(fails("1-2:3-5"), "invalid ranges specified for container and host Ports: 3-5 and 1-2");
        assert_eq!(fails("80:"), "no port specified: 80:<empty>");
        assert!(Ports::default().expose("1:2").is_err());
    }
}
