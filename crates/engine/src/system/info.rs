//! `docker info`: what this engine is, and what this host keeps it from doing.

use super::host;
use crate::{Config, Engine, Error, config::Cgroups, container::Status};
use api_types::{IndexInfo, Map, PluginsInfo, RegistryConfig, Runtime, SwarmInfo, SystemInfo};
use model::{Id, Timestamp};
use shim_proto::RuntimeChoice;

pub fn info(engine: &Engine) -> Result<SystemInfo, Error> {
    let counts = Counts::of(engine);
    let kernel = host::kernel();
    let (operating_system, os_version) = host::distribution();
    let config = &engine.config;
    let settings = config.settings.get();
    let environment =
        |name: &str| std::env::var(name).or_else(|_| std::env::var(name.to_lowercase())).unwrap_or_default();
    Ok(SystemInfo {
        id: identity(engine)?,
        containers: counts.all(),
        containers_running: counts.running,
        containers_paused: counts.paused,
        containers_stopped: counts.stopped,
        images: i64::try_from(engine.images.count()).unwrap_or(i64::MAX),
        driver: engine.snapshots.name().to_owned(),
        driver_status: engine.snapshots.status(),
        plugins: plugins(),
        memory_limit: config.cgroup.has("memory"),
        swap_limit: config.cgroup.has("memory"),
        cpu_cfs_period: config.cgroup.has("cpu"),
        cpu_cfs_quota: config.cgroup.has("cpu"),
        cpu_shares: config.cgroup.has("cpu"),
        cpu_set: config.cgroup.has("cpuset"),
        pids_limit: config.cgroup.has("pids"),
        ipv4_forwarding: host::forwards_ipv4(),
        debug: tracing::enabled!(tracing::Level::DEBUG),
        n_fd: host::descriptors(),
        n_goroutines: host::threads(),
        system_time: Timestamp::now().to_string(),
        logging_driver: config.default_log.driver.clone(),
        cgroup_driver: config.cgroup.driver().to_owned(),
        cgroup_version: host::cgroup_version().to_owned(),
        n_events_listener: i64::try_from(engine.events.listeners()).unwrap_or(i64::MAX),
        kernel_version: kernel.release,
        operating_system,
        os_version,
        os_type: "linux".to_owned(),
        architecture: kernel.machine,
        index_server_address: "https://index.docker.io/v1/".to_owned(),
        registry_config: registries(engine),
        n_cpu: host::processors(),
        mem_total: host::memory(),
        docker_root_dir: config.data.root().to_string_lossy().into_owned(),
        http_proxy: environment("HTTP_PROXY"),
        https_proxy: environment("HTTPS_PROXY"),
        no_proxy: environment("NO_PROXY"),
        name: kernel.name,
        server_version: env!("CARGO_PKG_VERSION").to_owned(),
        runtimes: settings.runtimes.iter().map(|(name, choice)| (name.clone(), runtime(choice))).collect(),
        default_runtime: settings.default_runtime.clone(),
        swarm: SwarmInfo { local_node_state: "inactive".to_owned(), ..SwarmInfo::default() },
        live_restore_enabled: settings.live_restore,
        labels: settings.labels.clone(),
        // The shim's program is bound into containers as their init.
        init_binary: "lichen-shim".to_owned(),
        security_options: security_options(config),
        warnings: warnings(engine),
        ..SystemInfo::default()
    })
}

struct Counts {
    running: i64,
    paused: i64,
    stopped: i64,
}

impl Counts {
    fn of(engine: &Engine) -> Self {
        let mut counts = Self { running: 0, paused: 0, stopped: 0 };
        for container in engine.containers.all() {
            match container.record().state.status() {
                Status::Running | Status::Restarting => counts.running += 1,
                Status::Paused => counts.paused += 1,
                _ => counts.stopped += 1,
            }
        }
        counts
    }

    fn all(&self) -> i64 {
        self.running + self.paused + self.stopped
    }
}

/// A random name for this engine's data, made when it is first asked for.
pub(crate) fn identity(engine: &Engine) -> Result<String, Error> {
    let identities = engine.store.collection::<Id>("identity");
    identities.insert("engine", &Id::random())?;
    let id = identities.get("engine")?.unwrap_or_else(Id::random);
    let hex = id.as_str();
    Ok(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32]))
}

fn plugins() -> PluginsInfo {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    PluginsInfo {
        volume: names(&["local"]),
        network: names(&["bridge", "host", "ipvlan", "macvlan", "null"]),
        authorization: Vec::new(),
        log: names(&["journald", "json-file", "local", "none", "syslog"]),
    }
}

fn runtime(choice: &RuntimeChoice) -> Runtime {
    match choice {
        RuntimeChoice::Builtin => Runtime { path: "lichen-shim".to_owned(), ..Runtime::default() },
        RuntimeChoice::External { path, args } => Runtime {
            path: path.to_string_lossy().into_owned(),
            runtime_args: args.clone(),
            status: Map::new(),
        },
    }
}

fn registries(engine: &Engine) -> RegistryConfig {
    let config = engine.images.registries();
    let hub = IndexInfo {
        name: "docker.io".to_owned(),
        mirrors: config.mirrors.clone(),
        secure: true,
        official: true,
    };
    let (cidrs, hosts): (Vec<_>, Vec<_>) =
        config.insecure.iter().cloned().partition(|entry| entry.contains('/'));
    let insecure = |name: String| {
        let info = IndexInfo { name: name.clone(), mirrors: Vec::new(), secure: false, official: false };
        (name, info)
    };
    RegistryConfig {
        // Loopback is insecure without being told (moby `registry/config.go`).
        insecure_registry_cidrs: ["::1/128".to_owned(), "127.0.0.0/8".to_owned()]
            .into_iter()
            .chain(cidrs)
            .collect(),
        index_configs: hosts.into_iter().map(insecure).chain([("docker.io".to_owned(), hub)]).collect(),
        mirrors: config.mirrors.clone(),
    }
}

fn security_options(config: &Config) -> Vec<String> {
    let profile = if config.seccomp_profile.is_some() { "custom" } else { "builtin" };
    let mut options = vec![format!("name=seccomp,profile={profile}"), "name=rootless".to_owned()];
    if config.settings.get().cgroupns_mode == "private" {
        options.push("name=cgroupns".to_owned());
    }
    if config.no_new_privileges {
        options.push("name=no-new-privileges".to_owned());
    }
    options
}

/// What the host withholds, in Docker's words where Docker has them (moby `daemon/info_unix.go`).
fn warnings(engine: &Engine) -> Vec<String> {
    let mut warnings = engine.config.warnings.clone();
    match &engine.config.cgroup {
        Cgroups::None if host::cgroup_version() == "2" => warnings.push(
            "WARNING: Running in rootless-mode without cgroups. Systemd is required to enable cgroups in rootless-mode."
                .to_owned(),
        ),
        Cgroups::None => warnings.push(
            "WARNING: Running in rootless-mode without cgroups. To enable cgroups in rootless-mode, you need to boot the system in cgroup v2 mode."
                .to_owned(),
        ),
        cgroups => warnings.extend(missing_controllers(cgroups)),
    }
    let network = engine.networks.outward().warnings.into_iter().chain(engine.networks.troubles());
    warnings.extend(network.map(|text| format!("WARNING: {text}")));
    warnings
}

fn missing_controllers(cgroups: &Cgroups) -> Vec<String> {
    let consequences: &[(&str, &[&str])] = &[
        ("memory", &["No memory limit support", "No swap limit support"]),
        ("cpu", &["No cpu cfs quota support", "No cpu cfs period support", "No cpu shares support"]),
        ("cpuset", &["No cpuset support"]),
        (
            "io",
            &[
                "No io.weight support",
                "No io.max (rbps) support",
                "No io.max (wbps) support",
                "No io.max (riops) support",
                "No io.max (wiops) support",
            ],
        ),
        ("pids", &["No pids limit support"]),
    ];
    let missing = consequences.iter().filter(|(controller, _)| !cgroups.has(controller));
    missing.flat_map(|(_, texts)| texts.iter().map(|text| format!("WARNING: {text}"))).collect()
}
