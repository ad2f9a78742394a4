//! Image references by the rules of Docker's `distribution/reference`: `[domain/]path[:tag][@digest]`.
//!
//! A [`Reference`] is always normalised: the domain is present (`docker.io` when none was given, also for the legacy
//! `index.docker.io`) and single-component names of that domain gain `library/`. The familiar form drops both again.
//! Docker parses with regular expressions; here the grammar of `distribution/reference/regexp.go` is spelled out in
//! [`grammar`], which the fuzz target `reference` exercises.
#![forbid(unsafe_code)]

mod grammar;
#[cfg(test)]
mod tests;

use model::Digest;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The domain that is meant when none is given.
pub const DEFAULT_DOMAIN: &str = "docker.io";
const LEGACY_DOMAIN: &str = "index.docker.io";
const OFFICIAL_PREFIX: &str = "library/";
/// The tag that is meant when neither tag nor digest is given.
pub const DEFAULT_TAG: &str = "latest";
/// The longest repository path (`RepositoryNameTotalLengthMax`).
const PATH_MAX: usize = 255;

/// Why a text is no image reference. Texts are those of `distribution/reference` and `opencontainers/go-digest`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReference {
    #[error("invalid reference format")]
    Format,
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    Uppercase(String),
    #[error("repository name must have at least one component")]
    Empty,
    #[error("repository name must not be more than {PATH_MAX} characters")]
    TooLong,
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    LooksLikeId(String),
    #[error("invalid tag format")]
    Tag,
    #[error("unsupported digest algorithm")]
    DigestAlgorithm,
    #[error("invalid checksum digest length")]
    DigestLength,
    #[error("invalid checksum digest format")]
    DigestFormat,
}

/// A normalised image reference.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Parses what a user types (`ParseNormalizedNamed`). No default tag is added.
    pub fn parse(text: &str) -> Result<Self, InvalidReference> {
        if grammar::is_identifier(text) {
            return Err(InvalidReference::LooksLikeId(text.to_owned()));
        }
        if text.is_empty() {
            return Err(InvalidReference::Format);
        }
        let (domain, rest) = split_domain(text);
        let remote = rest.split(':').next().unwrap_or(&rest);
        if remote.chars().any(|c| c.is_uppercase()) {
            return Err(InvalidReference::Uppercase(remote.to_owned()));
        }
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest.to_owned(), Some(parse_digest(digest)?)),
            None => (rest, None),
        };
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path.to_owned(), Some(tag.to_owned())),
            None => (rest, None),
        };
        let tag_fits = tag.as_deref().is_none_or(grammar::is_tag);
        if !grammar::is_domain(&domain) || !grammar::is_path(&path) || !tag_fits {
            return Err(InvalidReference::Format);
        }
        if path.len() > PATH_MAX {
            return Err(InvalidReference::TooLong);
        }
        Ok(Self { domain, path, tag, digest })
    }

    /// `docker.io`, `localhost:5000`, …
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within its domain: `library/busybox`.
    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Domain and path: `docker.io/library/busybox`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The name as users write it: `busybox`, `localhost:5000/app`.
    pub fn familiar_name(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return self.name();
        }
        let short = match self.path.strip_prefix(OFFICIAL_PREFIX) {
            Some(short) if !short.contains('/') => short,
            _ => &self.path,
        };
        // A path of Docker Hub's that begins like a domain would name another registry by itself, and one like an ID
        // nothing. Docker shows them short all the same.
        let is_same = split_domain(short) == (self.domain.clone(), self.path.clone());
        if is_same && !grammar::is_identifier(short) { short.to_owned() } else { self.name() }
    }

    /// The whole reference as users write it: `busybox:1.36`.
    pub fn familiar(&self) -> String {
        format!("{}{}", self.familiar_name(), Suffix(self))
    }

    /// Neither tag nor digest.
    pub fn is_name_only(&self) -> bool {
        self.tag.is_none() && self.digest.is_none()
    }

    /// The same name without tag and digest.
    pub fn trim(&self) -> Self {
        Self { tag: None, digest: None, ..self.clone() }
    }

    /// The same name and tag without the digest.
    pub fn trim_digest(&self) -> Self {
        Self { digest: None, ..self.clone() }
    }

    /// Adds `:latest` when there is neither tag nor digest (`TagNameOnly`).
    pub fn or_latest(self) -> Self {
        if self.is_name_only() { Self { tag: Some(DEFAULT_TAG.to_owned()), ..self } } else { self }
    }

    /// The same name with this tag in place of any other.
    pub fn with_tag(&self, tag: &str) -> Result<Self, InvalidReference> {
        if !grammar::is_tag(tag) {
            return Err(InvalidReference::Tag);
        }
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same name with this digest in place of tag and digest.
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// Without the tag: Docker resolves `name:tag@digest` by the digest alone.
    pub fn without_tag(&self) -> Self {
        Self { tag: None, ..self.clone() }
    }
}

/// Whether `text` is a whole image or container ID: 64 lower-case hexadecimal digits.
pub fn is_identifier(text: &str) -> bool {
    grammar::is_identifier(text)
}

/// `splitDockerDomain`: the first component is a domain when it could not be a repository of the default one.
fn split_domain(text: &str) -> (String, String) {
    let (domain, path) = match text.split_once('/') {
        None => (DEFAULT_DOMAIN, text),
        Some((LEGACY_DOMAIN, rest)) => (DEFAULT_DOMAIN, rest),
        Some((first, rest)) if first == "localhost" || first.contains(['.', ':']) => (first, rest),
        Some((first, rest)) if first.chars().any(char::is_uppercase) => (first, rest),
        Some(_) => (DEFAULT_DOMAIN, text),
    };
    if domain == DEFAULT_DOMAIN && !path.contains('/') {
        return (domain.to_owned(), format!("{OFFICIAL_PREFIX}{path}"));
    }
    (domain.to_owned(), path.to_owned())
}

/// `digest.Parse`, after the reference grammar has asked for at least 32 hexadecimal digits.
fn parse_digest(text: &str) -> Result<Digest, InvalidReference> {
    if !grammar::is_digest(text) {
        return Err(InvalidReference::Format);
    }
    match text.strip_prefix("sha256:") {
        None => Err(InvalidReference::DigestAlgorithm),
        Some(hex) if hex.len() != 64 => Err(InvalidReference::DigestLength),
        Some(_) => text.parse().map_err(|_| InvalidReference::DigestFormat),
    }
}

struct Suffix<'a>(&'a Reference);

impl fmt::Display for Suffix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(tag) = &self.0.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.0.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.domain, self.path, Suffix(self))
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;
    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Reference {
    type Error = InvalidReference;
    fn try_from(text: String) -> Result<Self, InvalidReference> {
        Self::parse(&text)
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> String {
        reference.to_string()
    }
}
