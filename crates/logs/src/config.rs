//! `--log-driver` and `--log-opt`, validated.

use crate::options::{parse_bool, parse_memory, parse_size};
use crate::syslog::Options as Syslog;
use crate::{Error, Result, tag};
use std::collections::BTreeMap;

type Options = BTreeMap<String, String>;

/// Where entries go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    JsonFile,
    Local,
    None,
    Journald,
    Syslog,
}

/// A driver with its options resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub driver: Driver,
    /// The file that `docker logs` reads: the driver's own, or a copy of what goes elsewhere. None when nothing can be
    /// read back.
    pub file: Option<FileConfig>,
    /// Where entries go besides.
    pub remote: Option<Remote>,
    pub mode: Mode,
}

/// A log in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileConfig {
    pub format: Format,
    /// Bytes after which the file is rotated; none for never.
    pub max_size: Option<u64>,
    /// Files kept, the current one included.
    pub max_files: u32,
    /// Rotated files are gzipped.
    pub compress: bool,
}

/// How entries are written to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    JsonFile,
    Local,
}

/// A destination outside the container's own files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remote {
    Journald,
    Syslog(Box<Syslog>),
}

/// What happens to a container whose output is taken more slowly than it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It waits.
    Blocking,
    /// The oldest entries that wait are dropped once they fill so many bytes.
    NonBlocking { buffer: u64 },
}

/// Options of every driver that concern delivery between container and driver (moby `daemon/logger/loggerutils`).
const COMMON: [&str; 2] = ["mode", "max-buffer-size"];
/// Options that say which labels and variables become attributes; the engine resolves them.
const ATTRIBUTES: [&str; 5] = ["labels", "labels-regex", "env", "env-regex", "tag"];
const FILES: [&str; 3] = ["max-size", "max-file", "compress"];
/// Of the copy kept for `docker logs` by drivers that cannot be read (moby `daemon/logger/loggerutils/cache`).
const CACHE: [&str; 4] = ["cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"];

/// Docker's buffer of `mode=non-blocking` (moby `daemon/logger/ring.go`).
const RING: u64 = 1_000_000;

impl Driver {
    /// By Docker's name; the empty name is `json-file`.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "" | "json-file" => Ok(Self::JsonFile),
            "local" => Ok(Self::Local),
            "none" => Ok(Self::None),
            "journald" => Ok(Self::Journald),
            "syslog" => Ok(Self::Syslog),
            other => Err(Error::UnknownDriver(other.to_owned())),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::JsonFile => "json-file",
            Self::Local => "local",
            Self::None => "none",
            Self::Journald => "journald",
            Self::Syslog => "syslog",
        }
    }

    fn knows(self, option: &str) -> bool {
        let one_of = |groups: &[&[&str]]| groups.iter().any(|group| group.contains(&option));
        match self {
            Self::JsonFile => one_of(&[&COMMON, &ATTRIBUTES, &FILES]),
            Self::Local => one_of(&[&COMMON, &FILES]),
            Self::Journald => one_of(&[&COMMON, &ATTRIBUTES, &CACHE]),
            Self::Syslog => one_of(&[&COMMON, &ATTRIBUTES, &CACHE, &crate::syslog::OPTIONS]),
            // moby ignores all options of "none"; so that a daemon-wide max-size does not forbid `--log-driver none`.
            Self::None => true,
        }
    }
}

impl Config {
    /// From Docker's driver name and `--log-opt` values.
    pub fn parse(driver: &str, options: &Options) -> Result<Self> {
        let driver = Driver::parse(driver)?;
        if let Some(option) = options.keys().find(|o| !driver.knows(o)) {
            return Err(Error::UnknownOption { driver: driver.name(), option: option.clone() });
        }
        if driver == Driver::None {
            return Ok(Self { driver, file: None, remote: None, mode: Mode::Blocking });
        }
        if let Some(template) = options.get("tag") {
            tag::check(template)?;
        }
        let file = match driver {
            Driver::JsonFile => Some(FileConfig::parse(FileConfig::JSON, options, "")?),
            Driver::Local => Some(FileConfig::parse(FileConfig::LOCAL, options, "")?),
            _ => cache(options)?,
        };
        let remote = match driver {
            Driver::Journald => Some(Remote::Journald),
            Driver::Syslog => Some(Remote::Syslog(Box::new(Syslog::parse(options)?))),
            _ => None,
        };
        Ok(Self { driver, file, remote, mode: Mode::parse(options)? })
    }
}

impl FileConfig {
    /// Docker's defaults: json-file grows without bound; local keeps five files of 20 MB, compressed.
    const JSON: Self = Self { format: Format::JsonFile, max_size: None, max_files: 1, compress: false };
    const LOCAL: Self =
        Self { format: Format::Local, max_size: Some(20_000_000), max_files: 5, compress: true };

    fn parse(defaults: Self, options: &Options, prefix: &str) -> Result<Self> {
        let mut config = defaults;
        let option = |name: &'static str| options.get(&format!("{prefix}{name}"));
        if let Some(value) = option("max-size") {
            config.max_size = max_size(value)?;
        }
        if let Some(value) = option("max-file") {
            config.max_files = value
                .parse()
                .ok()
                .filter(|n| *n >= 1)
                .ok_or_else(|| invalid("max-file", value, "expected a whole number of at least 1"))?;
        }
        let explicit = option("compress");
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

fn cache(options: &Options) -> Result<Option<FileConfig>> {
    let disabled = match options.get("cache-disabled") {
        None => false,
        Some(value) => {
            parse_bool(value).ok_or_else(|| invalid("cache-disabled", value, "expected true or false"))?
        }
    };
    let config = FileConfig::parse(FileConfig::LOCAL, options, "cache-")?;
    Ok((!disabled).then_some(config))
}

pub(crate) fn invalid(option: &'static str, value: &str, reason: &'static str) -> Error {
    Error::InvalidOption { option, value: value.to_owned(), reason }
}

impl Mode {
    fn parse(options: &Options) -> Result<Self> {
        let blocking = match options.get("mode").map(String::as_str) {
            None | Some("" | "blocking") => true,
            Some("non-blocking") => false,
            Some(value) => return Err(Error::UnknownMode(value.to_owned())),
        };
        match (blocking, options.get("max-buffer-size")) {
            (true, None) => Ok(Self::Blocking),
            (true, Some(_)) => Err(Error::BufferOfBlocking),
            (false, None) => Ok(Self::NonBlocking { buffer: RING }),
            (false, Some(value)) => match parse_memory(value) {
                Some(buffer) if buffer > 0 => Ok(Self::NonBlocking { buffer }),
                _ => Err(invalid("max-buffer-size", value, "expected a positive size such as 4m")),
            },
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(driver: &str, options: &[(&str, &str)]) -> Result<Config> {
        Config::parse(driver, &options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    fn file(driver: &str, options: &[(&str, &str)]) -> FileConfig {
        parse(driver, options).unwrap().file.unwrap()
    }

    #[test]
    fn defaults_are_dockers() {
        assert_eq!(file("", &[]), FileConfig::JSON);
        assert_eq!(file("local", &[]), FileConfig::LOCAL);
        assert!(!file("local", &[("max-file", "1")]).compress, "only an explicit compress is a conflict");
        assert_eq!(file("journald", &[]), FileConfig::LOCAL);
        assert_eq!(parse("syslog", &[("cache-disabled", "true")]).unwrap().file, None);
        assert_eq!(file("syslog", &[("cache-max-size", "1k"), ("cache-max-file", "2")]).max_size, Some(1000));
    }

    #[test]
    fn options_are_read_as_docker_reads_them() {
        let config = file("json-file", &[("max-size", "1.5k"), ("max-file", "3"), ("compress", "true")]);
        assert_eq!((config.max_size, config.max_files, config.compress), (Some(1500), 3, true));
        assert_eq!(file("json-file", &[("max-size", "-1")]).max_size, None);
        let none = parse("none", &[("max-size", "10m")]).unwrap();
        assert_eq!((none.driver, none.file, none.remote), (Driver::None, None, None));
        let mode = |options: &[(&str, &str)]| parse("local", options).unwrap().mode;
        assert_eq!(mode(&[("mode", "non-blocking")]), Mode::NonBlocking { buffer: 1_000_000 });
        let four = [("mode", "non-blocking"), ("max-buffer-size", "4m")];
        assert_eq!(mode(&four), Mode::NonBlocking { buffer: 4 << 20 });
    }

    #[test]
    fn bad_options_are_named() {
        let check = |driver, options: &[(&str, &str)], expect: &str| {
            assert_eq!(parse(driver, options).unwrap_err().to_string(), expect);
        };
        check("fluentd", &[], "logger: no log driver named 'fluentd' is registered");
        check("json-file", &[("colour", "red")], "unknown log opt 'colour' for json-file log driver");
        check("journald", &[("max-size", "1m")], "unknown log opt 'max-size' for journald log driver");
        check("local", &[("labels", "a")], "unknown log opt 'labels' for local log driver");
        check("local", &[("mode", "fast")], "logger: logging mode not supported: fast");
        check(
            "json-file",
            &[("max-buffer-size", "4m")],
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
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
