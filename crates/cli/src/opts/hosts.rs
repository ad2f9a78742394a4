//! `--add-host`, `--dns`, `--link`, and addresses.

use std::net::IpAddr;

/// `name:address` or `name=address`; `host-gateway` stands for the host.
pub fn check_host(text: &str) -> Result<(), String> {
    split(text).map(drop)
}

fn split(text: &str) -> Result<(&str, &str), String> {
    let (name, address) = text
        .split_once('=')
        .or_else(|| text.split_once(':'))
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| format!("bad format for add-host: \"{text}\""))?;
    if address == "host-gateway" {
        return Ok((name, address));
    }
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    match bare.parse::<IpAddr>() {
        Ok(_) => Ok((name, bare)),
        Err(_) => Err(format!("invalid IP address in add-host: \"{address}\"")),
    }
}

/// As the API takes it: `name:address`.
pub fn host(text: &str) -> String {
    split(text).map_or_else(|_| text.to_owned(), |(name, address)| format!("{name}:{address}"))
}

pub fn check_ip(text: &str) -> Result<(), String> {
    match text.trim().parse::<IpAddr>() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("IP address is not correctly formatted: {text}")),
    }
}

/// A search domain: labels of letters, digits, dashes and underscores; `.` alone switches searching off.
pub fn check_search(text: &str) -> Result<(), String> {
    let label = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
    };
    match text.trim() == "." || text.trim().trim_end_matches('.').split('.').all(label) {
        true => Ok(()),
        false => Err(format!("{text} is not a valid domain")),
    }
}

pub fn check_link(text: &str) -> Result<(), String> {
    match text.split(':').collect::<Vec<_>>().as_slice() {
        [""] => Err("empty string specified for links".into()),
        [_] | [_, _] => Ok(()),
        _ => Err(format!("bad format for links: {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        assert_eq!(host("a=10.0.0.1"), "a:10.0.0.1");
        assert_eq!(host("a:[::1]"), "a:::1");
        assert_eq!(host("a:host-gateway"), "a:host-gateway");
        assert_eq!(check_host("a").unwrap_err(), "bad format for add-host: \"a\"");
        assert_eq!(check_host("a:x").unwrap_err(), "invalid IP address in add-host: \"x\"");
        assert!(
            check_search("example.com").is_ok() && check_search(".").is_ok() && check_search("a b").is_err()
        );
        assert!(check_link("a:b:c").is_err());
    }
}
