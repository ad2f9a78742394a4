//! `WWW-Authenticate` (RFC 9110, 11.6.1; the bearer form is distribution-spec's token authentication).

use std::collections::HashMap;

/// How a registry wants to be authenticated to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
    Other(String),
}

/// Every challenge of one header.
pub(crate) fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    let mut rest = header.trim();
    while !rest.is_empty() {
        let (scheme, after) = rest.split_at(rest.find([' ', ',']).unwrap_or(rest.len()));
        let (parameters, after) = parameters(after.trim_start());
        challenges.push(challenge(scheme, &parameters));
        let trimmed = after.trim_start_matches([' ', ',', '\t']);
        if trimmed.len() == rest.len() {
            break;
        }
        rest = trimmed;
    }
    challenges
}

fn challenge(scheme: &str, parameters: &HashMap<String, String>) -> Challenge {
    let get = |key: &str| parameters.get(key).cloned();
    match (scheme.to_ascii_lowercase().as_str(), get("realm")) {
        ("basic", _) => Challenge::Basic,
        ("bearer", Some(realm)) => Challenge::Bearer { realm, service: get("service"), scope: get("scope") },
        _ => Challenge::Other(scheme.to_owned()),
    }
}

/// `key=value` or `key="value"`, separated by commas; ends where the next scheme begins.
fn parameters(mut text: &str) -> (HashMap<String, String>, &str) {
    let mut found = HashMap::new();
    loop {
        let start = text.trim_start_matches([' ', ',', '\t']);
        let Some(equals) = start.find('=') else { return (found, text) };
        let key = &start[..equals];
        if key.is_empty() || key.contains([' ', ',', '"']) {
            return (found, text);
        }
        let (value, rest) = value(&start[equals + 1..]);
        found.insert(key.to_ascii_lowercase(), value);
        text = rest;
    }
}

fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn challenges_of_known_registries_are_read() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        assert_eq!(
            parse(hub),
            [Challenge::Bearer {
                realm: "https://auth.docker.io/token".into(),
                service: Some("registry.docker.io".into()),
                scope: Some("repository:a/b:pull,push".into()),
            }]
        );
        assert_eq!(parse(r#"Basic realm="Registry Realm""#), [Challenge::Basic]);
        assert_eq!(parse("basic"), [Challenge::Basic]);
        let both = parse(r#"Negotiate, Bearer realm="r" , Basic realm="x\"y""#);
        assert_eq!(both[0], Challenge::Other("Negotiate".into()));
        assert_eq!(both[2], Challenge::Basic);
        assert_eq!(parse("Bearer service=x"), [Challenge::Other("Bearer".into())]);
    }

    proptest! {
        #[test]
        fn any_header_ends(header in "\\PC{0,60}") {
            parse(&header);
        }
    }
}
