//! Names of images as users write them, and what they stand for.
//!
//! Grammar: <https://pkg.go.dev/github.com/distribution/reference>. `alpine` is `docker.io/library/alpine`.

use crate::error::Error;

/// A name taken apart and completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub domain: String,
    pub path: String,
    pub tag: Option<String>,
    pub digest: Option<String>,
}

const HUB: &str = "docker.io";

impl Reference {
    pub fn parse(text: &str) -> Result<Self, Error> {
        let invalid = || Error::invalid("invalid reference format");
        if text.len() == 64 && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')) {
            return Err(Error::invalid(format!(
                "invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
            )));
        }
        let (domain, rest) = split_domain(text);
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (rest.as_str(), None),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag.to_owned())),
            _ => (rest, None),
        };
        if path.to_lowercase() != path {
            return Err(Error::invalid(format!(
                "invalid reference format: repository name ({path}) must be lowercase"
            )));
        }
        let valid = !path.is_empty()
            && path.split('/').all(is_component)
            && tag.as_deref().is_none_or(is_tag)
            && digest.as_deref().is_none_or(is_digest)
            && is_domain(&domain);
        match valid {
            true => Ok(Self { domain, path: path.to_owned(), tag, digest }),
            false => Err(invalid()),
        }
    }

    /// The repository as people write it.
    pub fn familiar_name(&self) -> String {
        let full = || format!("{}/{}", self.domain, self.path);
        if self.domain != HUB {
            return full();
        }
        let short = match self.path.strip_prefix("library/") {
            Some(name) if !name.contains('/') => name,
            _ => &self.path,
        };
        // A path of Docker Hub's that begins like a domain would name another registry by itself.
        let is_same = split_domain(short) == (self.domain.clone(), self.path.clone());
        if is_same { short.to_owned() } else { full() }
    }

    fn suffix(&self) -> String {
        let tag = self.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = self.digest.as_ref().map(|digest| format!("@{digest}")).unwrap_or_default();
        format!("{tag}{digest}")
    }

    pub fn familiar(&self) -> String {
        format!("{}{}", self.familiar_name(), self.suffix())
    }

    /// The whole name, registry included.
    pub fn full(&self) -> String {
        format!("{}/{}{}", self.domain, self.path, self.suffix())
    }

    /// With the tag `latest`, unless there is a tag or a digest.
    pub fn or_latest(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some("latest".into());
        }
        self
    }
}

fn split_domain(text: &str) -> (String, String) {
    let (domain, rest) = match text.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':']) || first == "localhost" || first.to_lowercase() != first =>
        {
            (first, rest.to_owned())
        }
        _ => (HUB, text.to_owned()),
    };
    let domain = if domain == "index.docker.io" { HUB } else { domain };
    match domain == HUB && !rest.contains('/') {
        true => (domain.to_owned(), format!("library/{rest}")),
        false => (domain.to_owned(), rest),
    }
}

/// Letters and digits, with single separators between: `.`, `_`, `__`, or any number of dashes.
fn is_component(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if !edge(text.chars().next()) || !edge(text.chars().next_back()) {
        return false;
    }
    let separators = text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    separators
        .filter(|part| !part.is_empty())
        .all(|part| matches!(part, "." | "_" | "__") || part.chars().all(|c| c == '-'))
}

fn is_tag(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= 128 && text.starts_with(word) && text.chars().all(|c| word(c) || c == '.' || c == '-')
}

fn is_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else { return false };
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return false,
    };
    hex.len() == length && hex.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
}

fn is_domain(text: &str) -> bool {
    let host = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            if port.is_empty() || !port.chars().all(|c| c.is_ascii_digit()) {
                return false;
            }
            host
        }
        _ => text,
    };
    host.starts_with('[')
        || host.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        })
}

/// Whether this may name an image: by its ID, or as a reference.
pub fn check_any(text: &str) -> Result<(), Error> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    match hex.len() == 64 && hex.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')) {
        true => Ok(()),
        false => Reference::parse(text).map(drop),
    }
}

/// Repository and tag for requests that create a name; `latest` unless said otherwise.
pub fn split(text: &str) -> Result<(String, String), Error> {
    let reference = Reference::parse(text)?;
    if reference.digest.is_some() {
        return Err(Error::invalid("refusing to create a tag with a digest reference"));
    }
    let reference = reference.or_latest();
    Ok((reference.familiar_name(), reference.tag.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (text, full, familiar) in [
            ("alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("me/app:1", "docker.io/me/app:1", "me/app:1"),
            ("docker.io/library/a", "docker.io/library/a:latest", "a:latest"),
            ("localhost/a", "localhost/a:latest", "localhost/a:latest"),
            ("docker.io/b.example/a", "docker.io/b.example/a:latest", "docker.io/b.example/a:latest"),
            ("127.0.0.1:5000/x/y:t", "127.0.0.1:5000/x/y:t", "127.0.0.1:5000/x/y:t"),
        ] {
            let reference = Reference::parse(text).unwrap().or_latest();
            assert_eq!((reference.full().as_str(), reference.familiar().as_str()), (full, familiar));
        }
        let digest = format!("a@sha256:{}", "0".repeat(64));
        assert_eq!(Reference::parse(&digest).unwrap().or_latest().familiar(), digest);
    }

    #[test]
    fn refusals() {
        for bad in ["", ":x", "a:", "a b", "a//b", "-a", "a@sha256:0", "a..b", "h_x.y/z"] {
            assert_eq!(Reference::parse(bad).unwrap_err().to_string(), "invalid reference format", "{bad}");
        }
        let error = Reference::parse("Alpine").unwrap_err().to_string();
        assert_eq!(error, "invalid reference format: repository name (library/Alpine) must be lowercase");
    }
}
