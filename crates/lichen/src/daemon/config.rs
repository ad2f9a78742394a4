//! Settings made into what the launcher and the engine use: defaults filled in, values checked.

use super::environment::{self, Rootless};
use super::error::{Error, Result};
use super::hosts::Host;
use super::objects::{AddressPool, Proxies, RuntimeEntry, Ulimit, typed};
use super::paths::{self, Places};
use super::remote::{self, Tls};
use super::settings::{self, CommandLine, Settings};
use model::{DataLayout, RunLayout};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How this engine is to run. Made by the launcher to check it, and again by the engine, from the same arguments.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    pub(crate) places: Places,
    pub(crate) data: DataLayout,
    pub(crate) run: RunLayout,
    pub(crate) pidfile: PathBuf,
    pub(crate) hosts: Vec<Host>,
    pub(crate) tls: Option<Tls>,
    pub(crate) log: Logging,
    pub(crate) rootless: Rootless,
    pub(crate) storage_driver: Option<String>,
    pub(crate) registry: Registry,
    pub(crate) network: Network,
    pub(crate) containers: Containers,
    pub(crate) cgroups: Cgroups,
    pub(crate) labels: Vec<String>,
    pub(crate) live_restore: bool,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) proxies: Proxies,
    /// Lines to log: settings without effect.
    pub(crate) remarks: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logging {
    pub(crate) level: tracing::level_filters::LevelFilter,
    pub(crate) json: bool,
    pub(crate) colour: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registry {
    pub(crate) insecure: Vec<String>,
    pub(crate) mirrors: Vec<String>,
    pub(crate) stores: Vec<PathBuf>,
    pub(crate) downloads: usize,
    pub(crate) uploads: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) bip: Option<String>,
    pub(crate) fixed_cidr: Option<String>,
    pub(crate) ipv6: bool,
    pub(crate) bip6: Option<String>,
    pub(crate) fixed_cidr_v6: Option<String>,
    pub(crate) mtu: Option<u32>,
    pub(crate) icc: bool,
    pub(crate) ip: Option<String>,
    pub(crate) pools: Vec<AddressPool>,
    pub(crate) dns: Vec<String>,
    pub(crate) dns_options: Vec<String>,
    pub(crate) dns_search: Vec<String>,
    pub(crate) host_gateways: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Containers {
    pub(crate) log_driver: String,
    pub(crate) log_options: BTreeMap<String, String>,
    pub(crate) ulimits: BTreeMap<String, Ulimit>,
    pub(crate) runtimes: BTreeMap<String, RuntimeEntry>,
    pub(crate) default_runtime: Option<String>,
    pub(crate) cgroupns_mode: Option<String>,
    pub(crate) ipc_mode: Option<String>,
    pub(crate) shm_size: Option<String>,
    /// Seconds; less than 0 is forever.
    pub(crate) stop_timeout: i64,
    pub(crate) init: bool,
    pub(crate) init_path: Option<PathBuf>,
    pub(crate) seccomp_profile: Option<String>,
    pub(crate) no_new_privileges: bool,
    /// `lichen-bypass4netns`.
    pub(crate) bypass: bool,
}

/// How limits are enforced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cgroups {
    /// What works here decides, unless this is set.
    pub(crate) driver: Option<CgroupDriver>,
    /// `cgroup-parent`: for containers that do not say otherwise. The driver says what it has to look like.
    pub(crate) parent: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CgroupDriver {
    None,
    Cgroupfs,
    Systemd,
}

/// From the command line, the file and the environment.
pub(crate) fn load(line: &CommandLine) -> Result<Config> {
    let places = paths::places()?;
    let default_file = places.config.join("docker/daemon.json");
    let config_file = line.config_file.clone().unwrap_or(default_file);
    let file = settings::read_file(&config_file, line.config_file.is_some())?;
    let merged = settings::merge(&line.settings, file, &config_file)?;
    resolve(&merged, places).map_err(|error| error.of_file(&line.settings, &merged, &config_file))
}

fn resolve(s: &Settings, places: Places) -> Result<Config> {
    let rootless = environment::read(s)?;
    let run = path(s, "exec-root")?
        .or_else(|| rootless.state_dir.clone())
        .unwrap_or_else(|| places.runtime.join("lichen"));
    paths::check_length(&run)?;
    let data = path(s, "data-root")?.unwrap_or_else(|| places.data.join("lichen"));
    let pidfile = path(s, "pidfile")?.unwrap_or_else(|| places.runtime.join("docker.pid"));
    let tls = remote::tls(s, &paths::certificates())?;
    let hosts = remote::hosts(s, &places.runtime.join("docker.sock"), tls.as_ref())?;
    let log = logging(s)?;
    let containers = containers(s)?;
    Ok(Config {
        data: DataLayout::new(data),
        run: RunLayout::new(run),
        pidfile,
        hosts,
        tls,
        log,
        storage_driver: s.text("storage-driver").filter(|d| !d.is_empty()).map(str::to_owned),
        registry: registry(s)?,
        network: network(s, &rootless)?,
        containers,
        cgroups: cgroups(s)?,
        labels: labels(s)?,
        live_restore: s.bool("live-restore").unwrap_or(false),
        shutdown_timeout: Duration::from_secs(
            u64::try_from(positive(s, "shutdown-timeout", 15)?).unwrap_or(15),
        ),
        proxies: proxies(s)?,
        remarks: s.remarks(),
        rootless,
        places,
    })
}

fn path(s: &Settings, key: &'static str) -> Result<Option<PathBuf>> {
    let Some(text) = s.text(key).filter(|t| !t.is_empty()) else { return Ok(None) };
    std::path::absolute(text).map(Some).map_err(|e| Error::invalid(key, text, e.to_string()))
}

fn positive(s: &Settings, key: &'static str, default: i64) -> Result<usize> {
    let number = s.number(key).unwrap_or(default);
    usize::try_from(number)
        .map_err(|_| Error::invalid(key, number.to_string(), "expected a number of at least 0"))
}

fn logging(s: &Settings) -> Result<Logging> {
    use tracing::level_filters::LevelFilter;
    let level = match s.text("log-level").unwrap_or("info") {
        "trace" => LevelFilter::TRACE,
        "debug" => LevelFilter::DEBUG,
        "" | "info" => LevelFilter::INFO,
        "warn" => LevelFilter::WARN,
        "error" | "fatal" | "panic" => LevelFilter::ERROR,
        other => {
            return Err(Error::invalid("log-level", other, "expected debug, info, warn, error or fatal"));
        }
    };
    let debug = s.bool("debug").unwrap_or(false);
    let json = match s.text("log-format").unwrap_or("text") {
        "" | "text" => false,
        "json" => true,
        other => return Err(Error::invalid("log-format", other, "expected text or json")),
    };
    let level = if debug { level.max(LevelFilter::DEBUG) } else { level };
    Ok(Logging { level, json, colour: !s.bool("raw-logs").unwrap_or(false) })
}

fn registry(s: &Settings) -> Result<Registry> {
    for mirror in s.list("registry-mirrors") {
        if !mirror.starts_with("http://") && !mirror.starts_with("https://") {
            return Err(Error::invalid("registry-mirror", mirror, "expected http:// or https://"));
        }
    }
    let stores = s.list("lichen-additional-image-stores");
    if let Some(relative) = stores.iter().find(|store| !Path::new(store).is_absolute()) {
        let expected = "expected the absolute path of a directory";
        return Err(Error::invalid("additional-image-store", relative.clone(), expected));
    }
    Ok(Registry {
        insecure: s.list("insecure-registries"),
        mirrors: s.list("registry-mirrors"),
        stores: stores.into_iter().map(PathBuf::from).collect(),
        downloads: positive(s, "max-concurrent-downloads", 3)?.max(1),
        uploads: positive(s, "max-concurrent-uploads", 5)?.max(1),
    })
}

fn network(s: &Settings, rootless: &Rootless) -> Result<Network> {
    let given = s.number("mtu");
    let mtu = given.map(|n| mtu("mtu", u32::try_from(n).ok(), n.to_string())).transpose()?;
    let text = |key| s.text(key).filter(|t| !t.is_empty()).map(str::to_owned);
    let dns = s.list("dns");
    if let Some(bad) = dns.iter().find(|d| d.parse::<std::net::IpAddr>().is_err()) {
        return Err(Error::invalid("dns", bad.clone(), "expected an IP address"));
    }
    let gateways = s.list("host-gateway-ips");
    if let Some(bad) = gateways.iter().find(|d| d.parse::<std::net::IpAddr>().is_err()) {
        return Err(Error::invalid("host-gateway-ip", bad.clone(), "expected an IP address"));
    }
    let ipv6 = s.bool("ipv6").unwrap_or(false);
    for key in ["bip6", "fixed-cidr-v6"] {
        if let Some(value) = text(key).filter(|_| !ipv6) {
            return Err(Error::invalid(key, value, "it needs --ipv6"));
        }
    }
    Ok(Network {
        bip: text("bip"),
        fixed_cidr: text("fixed-cidr"),
        ipv6,
        bip6: text("bip6"),
        fixed_cidr_v6: text("fixed-cidr-v6"),
        mtu: mtu.or(rootless.mtu),
        icc: s.bool("icc").unwrap_or(true),
        ip: text("ip"),
        pools: typed(s, "default-address-pools")?,
        dns,
        dns_options: s.list("dns-opts"),
        dns_search: s.list("dns-search"),
        host_gateways: gateways,
    })
}

/// `text` is how it was written, and `number` what that means.
pub(super) fn mtu(option: &'static str, number: Option<u32>, text: String) -> Result<u32> {
    let within = number.filter(|mtu| (68..=65_535).contains(mtu));
    within.ok_or_else(|| Error::invalid(option, text, "expected 68 to 65535"))
}

fn containers(s: &Settings) -> Result<Containers> {
    let one_of = |key: &'static str, allowed: &[&str]| match s.text(key).filter(|t| !t.is_empty()) {
        Some(value) if !allowed.contains(&value) => {
            Err(Error::invalid(key, value, format!("expected {}", allowed.join(" or "))))
        }
        value => Ok(value.map(str::to_owned)),
    };
    let text = |key| s.text(key).filter(|t| !t.is_empty()).map(str::to_owned);
    let log_driver = text("log-driver").unwrap_or_else(|| "json-file".to_owned());
    let log_options = s.map("log-opts");
    logs::Driver::parse(&log_driver).map_err(|e| Error::invalid("log-driver", &log_driver, e.to_string()))?;
    logs::Config::parse(&log_driver, &log_options).map_err(|e| {
        let given: Vec<String> = log_options.iter().map(|(key, value)| format!("{key}={value}")).collect();
        Error::invalid("log-opt", given.join(","), e.to_string())
    })?;
    Ok(Containers {
        log_driver,
        log_options,
        ulimits: typed(s, "default-ulimits")?,
        runtimes: typed(s, "runtimes")?,
        default_runtime: text("default-runtime"),
        cgroupns_mode: one_of("default-cgroupns-mode", &["private", "host"])?,
        ipc_mode: one_of("default-ipc-mode", &["private", "shareable"])?,
        shm_size: text("default-shm-size"),
        stop_timeout: s.number("default-stop-timeout").unwrap_or(10),
        init: s.bool("init").unwrap_or(false),
        init_path: path(s, "init-path")?,
        seccomp_profile: text("seccomp-profile"),
        no_new_privileges: s.bool("no-new-privileges").unwrap_or(false),
        bypass: s.bool("lichen-bypass4netns").unwrap_or(false),
    })
}

fn labels(s: &Settings) -> Result<Vec<String>> {
    let labels = s.list("labels");
    match labels.iter().find(|l| !l.contains('=')) {
        Some(bad) => Err(Error::invalid("label", bad.clone(), "bad attribute format: expected KEY=VALUE")),
        None => Ok(labels),
    }
}

/// `native.cgroupdriver` is the only option of this kind that dockerd knows on Linux.
fn cgroups(s: &Settings) -> Result<Cgroups> {
    let mut driver = None;
    for option in s.list("exec-opts") {
        driver = Some(match option.split_once('=') {
            Some(("native.cgroupdriver", "cgroupfs")) => CgroupDriver::Cgroupfs,
            Some(("native.cgroupdriver", "systemd")) => CgroupDriver::Systemd,
            Some(("native.cgroupdriver", "none")) => CgroupDriver::None,
            _ => {
                let expected = "expected native.cgroupdriver=systemd, cgroupfs or none";
                return Err(Error::invalid("exec-opt", option, expected));
            }
        });
    }
    let parent = s.text("cgroup-parent").filter(|p| !p.is_empty()).map(str::to_owned);
    Ok(Cgroups { driver, parent })
}

fn proxies(s: &Settings) -> Result<Proxies> {
    let mut proxies: Proxies = typed(s, "proxies")?;
    for (key, slot) in [
        ("http-proxy", &mut proxies.http_proxy),
        ("https-proxy", &mut proxies.https_proxy),
        ("no-proxy", &mut proxies.no_proxy),
    ] {
        if let Some(value) = s.text(key) {
            *slot = value.to_owned();
        }
    }
    Ok(proxies)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::path::Path;

    pub(crate) fn config(arguments: &[&str]) -> Result<Config> {
        let line = settings::parse(&arguments.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>())?;
        let places = Places {
            runtime: "/run/user/1".into(),
            data: "/h/.local/share".into(),
            config: "/h/.config".into(),
        };
        resolve(&line.settings, places)
    }

    #[test]
    fn defaults_follow_the_users_directories() {
        let config = config(&[]).unwrap();
        assert_eq!(config.run.root(), Path::new("/run/user/1/lichen"));
        assert_eq!(config.data.root(), Path::new("/h/.local/share/lichen"));
        assert_eq!(config.pidfile, Path::new("/run/user/1/docker.pid"));
        assert_eq!(config.hosts, [Host::Unix("/run/user/1/docker.sock".into())]);
        assert_eq!((config.containers.log_driver.as_str(), config.live_restore), ("json-file", false));
    }

    #[test]
    fn values_reach_their_places() {
        let config = config(&[
            "--default-ulimit=nofile=64:128",
            "--add-runtime=x=/bin/x",
            "-D",
            "--default-address-pool=base=10.0.0.0/8,size=24",
            "--mtu=1400",
            "--log-opt=max-size=1m",
            "--registry-mirror=http://127.0.0.1:5000",
            "--additional-image-store=/srv/images",
            "--default-stop-timeout=-1",
        ])
        .unwrap();
        assert_eq!(config.containers.stop_timeout, -1);
        assert_eq!((config.containers.ulimits["nofile"].hard, config.network.mtu), (128, Some(1400)));
        assert_eq!(config.containers.runtimes["x"].path, Path::new("/bin/x"));
        assert_eq!(
            (config.network.pools[0].size, config.log.level),
            (24, tracing::level_filters::LevelFilter::DEBUG)
        );
        assert_eq!(config.registry.mirrors, ["http://127.0.0.1:5000"]);
        assert_eq!(config.registry.stores, [Path::new("/srv/images")]);
    }

    #[test]
    fn bad_values_are_named() {
        let check = |argument: &str, expect: &str| {
            let error = config(&[argument]).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(expect), "{argument}: {error}");
        };
        check("--dns=nonsense", "invalid argument \"nonsense\" for \"dns\": expected an IP address");
        check("--log-level=loud", "invalid argument \"loud\" for \"log-level\"");
        check("--additional-image-store=images", "expected the absolute path of a directory");
        check("--label=x", "bad attribute format");
        check("--host=npipe://x", "expected unix://, tcp:// or fd://");
        check("--log-driver=fluentd", "no log driver named 'fluentd'");
        check("--log-opt=colour=red", "unknown log opt 'colour' for json-file log driver");
        check("--exec-opt=native.cgroupdriver=x", "expected native.cgroupdriver=systemd, cgroupfs or none");
        check("--registry-mirror=127.0.0.1", "expected http:// or https://");
        check("--mtu=5", "expected 68 to 65535");
        check(&format!("--exec-root=/{}", "x".repeat(100)), "too long for the sockets below it");
    }
}
