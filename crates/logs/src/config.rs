//! `--log-driver` and `--log-opt`, validated.

use crate::{Error, Result};
use std::collections::BTreeMap;

/// Where entries go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    JsonFile,
    Local,
    None,
}

/// A driver with its options resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub driver: Driver,
    /// Bytes after which the file is rotated; none for never.
    pub max_size: Option<u64>,
    /// Files kept, the current one included.
    pub max_files: u32,
    /// Rotated files are gzipped.
    pub compress: bool,
}

/// Options of every driver that concern delivery between container and driver (moby `daemon/logger/loggerutils`).
const COMMON: [&str; 2] = ["mode", "max-buffer-size"];
/// Options that say which labels and variables become attributes; the engine resolves them.
const ATTRIBUTES: [&str; 5] = ["labels", "labels-regex", "env", "env-regex", "tag"];
const FILES: [&str; 3] = ["max-size", "max-file", "compress"];

impl Driver {
    /// By Docker's name; the empty name is `json-file`.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "" | "json-file" => Ok(Self::JsonFile),
            "local" => Ok(Self::Local),
            "none" => Ok(Self::None),
            other => Err(Error::UnknownDriver(other.to_owned())),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::JsonFile => "json-file",
            Self::Local => "local",
            Self::None => "none",
        }
    }

    fn knows(self, option: &str) -> bool {
        match self {
            Self::JsonFile => {
                COMMON.contains(&option) || ATTRIBUTES.contains(&option) || FILES.contains(&option)
            }
            Self::Local => COMMON.contains(&option) || FILES.contains(&option),
            // moby ignores all options of "none"; so that a daemon-wide max-size does not forbid `--log-driver none`.
            Self::None => true,
        }
    }
}

impl Config {
    /// From Docker's driver name and `--log-opt` values.
    pub fn parse(driver: &str, options: &BTreeMap<String, String>) -> Result<Self> {
        let driver = Driver::parse(driver)?;
        if let Some(option) = options.keys().find(|o| !driver.knows(o)) {
            return Err(Error::UnknownOption { driver: driver.name(), option: option.clone() });
        }
        // Docker's defaults: json-file grows without bound; local keeps five files of 20 MB, compressed.
        let mut config = match driver {
            Driver::Local => Self { driver, max_size: Some(20_000_000), max_files: 5, compress: true },
            _ => Self { driver, max_size: None, max_files: 1, compress: false },
        };
        if driver == Driver::None {
            return Ok(config);
        }
        check_mode(options)?;
        if let Some(value) = options.get("max-size") {
            config.max_size = max_size(value)?;
        }
        if let Some(value) = options.get("max-file") {
            config.max_files = value
                .parse()
                .ok()
                .filter(|n| *n >= 1)
                .ok_or_else(|| invalid("max-file", value, "expected a whole number of at least 1"))?;
        }
        let explicit = options.get("compress");
        if let Some(value) = explicit {
            config.compress =
                parse_bool(value).ok_or_else(|| invalid("compress", value, "expected true or false"))?;
        }
        if config.compress && (config.max_files < 2 || config.max_size.is_none()) {
            match explicit {
                Some(value) => {
                    let reason =
                        "compress cannot be true when max-file is less than 2 or max-size is not set";
                    return Err(invalid("compress", value, reason));
                }
                None => config.compress = false,
            }
        }
        Ok(config)
    }
}

fn invalid(option: &'static str, value: &str, reason: &'static str) -> Error {
    Error::InvalidOption { option, value: value.to_owned(), reason }
}

/// A shim has one thread, which writes what it reads: there is nobody to drop lines while the disk is slow.
fn check_mode(options: &BTreeMap<String, String>) -> Result<()> {
    match options.get("mode").map(String::as_str) {
        None | Some("" | "blocking") => {}
        Some(value @ "non-blocking") => {
            return Err(invalid("mode", value, "not supported: no line is dropped; leave the option out"));
        }
        Some(value) => return Err(invalid("mode", value, "expected blocking")),
    }
    match options.get("max-buffer-size") {
        Some(value) => Err(invalid("max-buffer-size", value, "only allowed with mode=non-blocking")),
        None => Ok(()),
    }
}

fn max_size(value: &str) -> Result<Option<u64>> {
    if value == "-1" {
        return Ok(None);
    }
    match parse_size(value) {
        Some(size) if size > 0 => Ok(Some(size)),
        _ => Err(invalid("max-size", value, "expected a positive size such as 10m")),
    }
}

/// A size with a decimal suffix, as go-units `FromHumanSize` reads it: `10m` is 10,000,000.
fn parse_size(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: u64 = match lower[digits.len()..].trim_end_matches('b') {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        "t" => 1_000_000_000_000,
        _ => return None,
    };
    let number = digits.trim();
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    let fraction = number.contains('.').then(|| number.parse::<f64>().ok())??;
    if !(0.0..1e15).contains(&fraction) {
        return None;
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "as go-units"
    )]
    Some((fraction * factor as f64) as u64)
}

/// Go's `strconv.ParseBool`.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(driver: &str, options: &[(&str, &str)]) -> Result<Config> {
        Config::parse(driver, &options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn defaults_are_dockers() {
        let json = Config { driver: Driver::JsonFile, max_size: None, max_files: 1, compress: false };
        assert_eq!(parse("", &[]).unwrap(), json);
        let local =
            Config { driver: Driver::Local, max_size: Some(20_000_000), max_files: 5, compress: true };
        assert_eq!(parse("local", &[]).unwrap(), local);
        assert!(
            !parse("local", &[("max-file", "1")]).unwrap().compress,
            "only an explicit compress is a conflict"
        );
    }

    #[test]
    fn options_are_read_as_docker_reads_them() {
        let config =
            parse("json-file", &[("max-size", "1.5k"), ("max-file", "3"), ("compress", "true")]).unwrap();
        assert_eq!((config.max_size, config.max_files, config.compress), (Some(1500), 3, true));
        assert_eq!(parse("json-file", &[("max-size", "-1")]).unwrap().max_size, None);
        assert_eq!(parse("none", &[("max-size", "10m")]).unwrap().driver, Driver::None);
    }

    #[test]
    fn bad_options_are_named() {
        let check = |driver, options: &[(&str, &str)], expect: &str| {
            assert_eq!(parse(driver, options).unwrap_err().to_string(), expect);
        };
        check("fluentd", &[], "logger: no log driver named 'fluentd' is registered");
        check("json-file", &[("colour", "red")], "unknown log opt 'colour' for json-file log driver");
        check("local", &[("labels", "a")], "unknown log opt 'labels' for local log driver");
        check(
            "json-file",
            &[("mode", "non-blocking"), ("max-buffer-size", "4m")],
            "invalid value for log opt 'mode': \"non-blocking\": not supported: no line is dropped; leave the option out",
        );
        let reason = "expected a positive size such as 10m";
        for value in ["0", "x", "1e", "-5", "NaN", "99999999999999999999t"] {
            check(
                "json-file",
                &[("max-size", value)],
                &format!("invalid value for log opt 'max-size': {value:?}: {reason}"),
            );
        }
        check(
            "json-file",
            &[("compress", "true")],
            "invalid value for log opt 'compress': \"true\": compress cannot be true when max-file is less than 2 or max-size is not set",
        );
    }
}
