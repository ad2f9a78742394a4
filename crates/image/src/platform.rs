//! Operating system, architecture and variant, as in `linux/arm64/v8` (OCI image-spec, image-index.md, "platform").

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A platform in Go's words (`GOOS`, `GOARCH`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct Platform {
    pub architecture: String,
    pub os: String,
    #[serde(rename = "os.version", skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    #[serde(rename = "os.features", skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

/// The text names no platform. Worded as containerd's `platforms.Parse`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPlatform {
    #[error(
        "{part:?} is an invalid OS component of {text:?}: OSAndVersion specifier component must match \"^([A-Za-z0-9_-]+)(?:\\\\(([A-Za-z0-9_.-]*)\\\\))?$\": invalid argument"
    )]
    Os { part: String, text: String },
    #[error(
        "{part:?} is an invalid component of {text:?}: platform specifier component must match \"^[A-Za-z0-9_.-]+$\": invalid argument"
    )]
    Component { part: String, text: String },
    #[error("{0:?}: unknown operating system or architecture: invalid argument")]
    Unknown(String),
    #[error("{0:?}: cannot parse platform specifier: invalid argument")]
    Parts(String),
}

impl Platform {
    /// What this machine runs.
    pub fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", ""),
            "x86" => ("386", ""),
            "aarch64" => ("arm64", "v8"),
            "arm" => ("arm", "v7"),
            "powerpc64" => ("ppc64le", ""),
            other => (other, ""),
        };
        Self {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            variant: variant.to_owned(),
            ..Self::default()
        }
    }

    /// With the aliases and implied variants resolved (containerd `platforms.Normalize`).
    pub fn normalized(&self) -> Self {
        let (architecture, variant) =
            match (self.architecture.to_lowercase().as_str(), self.variant.to_lowercase().as_str()) {
                ("i386", v) => ("386".to_owned(), v.to_owned()),
                ("x86_64" | "x86-64" | "amd64", v) => {
                    ("amd64".to_owned(), if v == "v1" { "" } else { v }.to_owned())
                }
                ("aarch64" | "arm64", "" | "8" | "v8") => ("arm64".to_owned(), "v8".to_owned()),
                ("aarch64" | "arm64", v) => ("arm64".to_owned(), v.to_owned()),
                ("armhf", _) | ("arm", "" | "7" | "v7") => ("arm".to_owned(), "v7".to_owned()),
                ("armel", _) => ("arm".to_owned(), "v6".to_owned()),
                ("arm", "5" | "6" | "8") => ("arm".to_owned(), format!("v{}", self.variant)),
                (a, v) => (a.to_owned(), v.to_owned()),
            };
        Self { architecture, variant, os: self.os.to_lowercase(), ..self.clone() }
    }

    /// How well an image of platform `self` runs where `wanted` is asked for: smaller is better, none is not at all.
    ///
    /// A lower variant of the same architecture runs on a higher one (an ARMv6 program on ARMv7).
    pub fn match_rank(&self, wanted: &Platform) -> Option<u32> {
        let (have, want) = (self.normalized(), wanted.normalized());
        if have.os != want.os || have.architecture != want.architecture {
            return None;
        }
        if have.variant == want.variant {
            return Some(0);
        }
        let level = |v: &str| {
            v.trim_start_matches('v').parse::<u32>().unwrap_or(if v.is_empty() { 1 } else { u32::MAX })
        };
        level(&want.variant).checked_sub(level(&have.variant)).filter(|d| *d > 0)
    }

    /// Whether an image of platform `self` satisfies a request for `wanted`.
    pub fn satisfies(&self, wanted: &Platform) -> bool {
        self.match_rank(wanted).is_some()
    }
}

impl FromStr for Platform {
    type Err = InvalidPlatform;

    /// `os`, `arch`, `os/arch` or `os/arch/variant`; what is missing is the host's.
    fn from_str(text: &str) -> Result<Self, InvalidPlatform> {
        let parts: Vec<&str> = text.split('/').collect();
        let word = |part: &str, dot: bool| {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-') || (dot && b == b'.');
            !part.is_empty() && part.bytes().all(allowed)
        };
        let owned = |part: &str| (part.to_owned(), text.to_owned());
        if let Some((part, text)) = parts.first().filter(|part| !word(part, false)).map(|p| owned(p)) {
            return Err(InvalidPlatform::Os { part, text });
        }
        if let Some((part, text)) = parts.iter().skip(1).find(|part| !word(part, true)).map(|p| owned(p)) {
            return Err(InvalidPlatform::Component { part, text });
        }
        let host = Self::host();
        let made = |os: &str, arch: &str, variant: &str| Self {
            os: os.to_owned(),
            architecture: arch.to_owned(),
            variant: variant.to_owned(),
            ..Self::default()
        };
        let platform = match parts.as_slice() {
            [os @ ("linux" | "windows" | "darwin" | "freebsd")] => {
                made(os, &host.architecture, &host.variant)
            }
            [arch] if is_known_arch(arch) => made(&host.os, arch, ""),
            [os, arch] => made(os, arch, ""),
            [os, arch, variant] => made(os, arch, variant),
            [_] => return Err(InvalidPlatform::Unknown(text.to_owned())),
            _ => return Err(InvalidPlatform::Parts(text.to_owned())),
        };
        Ok(platform.normalized())
    }
}

fn is_known_arch(text: &str) -> bool {
    const KNOWN: &[&str] = &[
        "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64",
        "ppc64le", "riscv64", "s390x", "wasm", "i386", "x86_64", "x86-64", "aarch64", "armhf", "armel",
    ];
    KNOWN.contains(&text)
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Platform {
        text.parse().unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn platforms_parse_with_aliases() {
        assert_eq!(parsed("linux/x86_64").to_string(), "linux/amd64");
        assert_eq!(parsed("linux/arm64").to_string(), "linux/arm64/v8");
        assert_eq!(parsed("linux/arm/6").to_string(), "linux/arm/v6");
        assert_eq!(parsed("aarch64").to_string(), "linux/arm64/v8");
        for bad in ["", "/", "linux/", "a/b/c/d", "no such", "nonsense"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
        // What containerd says, word for word: clients' tests compare it.
        let said = |text: &str| text.parse::<Platform>().unwrap_err().to_string();
        assert_eq!(said("foo"), "\"foo\": unknown operating system or architecture: invalid argument");
        assert_eq!(said("a/b/c/d"), "\"a/b/c/d\": cannot parse platform specifier: invalid argument");
    }

    #[test]
    fn the_nearest_variant_below_matches() {
        let v7 = parsed("linux/arm/v7");
        assert_eq!(parsed("linux/arm/v7").match_rank(&v7), Some(0));
        assert_eq!(parsed("linux/arm/v5").match_rank(&v7), Some(2));
        assert_eq!(parsed("linux/arm/v8").match_rank(&v7), None);
        assert_eq!(parsed("linux/amd64").match_rank(&v7), None);
    }
}
