//! From the flags of `create` and `run` to the body of `POST /containers/create`.

use api_types::{
    ContainerConfig, ContainerCreateRequest, HealthConfig, HostConfig, LogConfig, Map, NetworkingConfig,
};

use crate::args::Parsed;
use crate::error::Error;
use crate::format::units;
use crate::opts::network::{Attachment, First};
use crate::opts::ports::Ports;
use crate::opts::volume::Volume;
use crate::opts::{self, device, env, gpus, hosts, limits, mount, network, restart, security};

/// What to create, and under which name and platform.
pub struct CreateSpec {
    pub request: ContainerCreateRequest,
    pub name: String,
    pub platform: String,
}

fn invalid(message: String) -> Error {
    Error::Invalid(message)
}

/// Resolves the flags. `args` is the image, then the command.
pub fn resolve(args: &Parsed) -> Result<CreateSpec, Error> {
    let ports = ports(args)?;
    let volumes = volumes(args)?;
    let mut config = config(args)?;
    config.exposed_ports = ports.exposed.clone();
    config.volumes = api_types::container::set(volumes.anonymous.iter().cloned());
    let mut host = host_config(args)?;
    host.binds = volumes.binds;
    host.port_bindings = ports.bindings;
    let (mode, endpoints) = network::resolve(attachments(args)?, &first_network(args)).map_err(invalid)?;
    host.network_mode = mode;
    if host.auto_remove && !matches!(host.restart_policy.name.as_str(), "" | "no") {
        return Err(Error::invalid("conflicting options: cannot specify both --restart and --rm"));
    }
    if !host.userns_mode.is_empty() && host.userns_mode != "host" {
        return Err(Error::invalid("--userns: invalid USER mode"));
    }
    Ok(CreateSpec {
        request: ContainerCreateRequest {
            config,
            host_config: Some(host),
            networking_config: Some(NetworkingConfig { endpoints_config: endpoints }),
        },
        name: args.text("name"),
        platform: args.non_empty("platform").map_or_else(default_platform, str::to_owned),
    })
}

fn default_platform() -> String {
    std::env::var("DOCKER_DEFAULT_PLATFORM").unwrap_or_default()
}

fn config(args: &Parsed) -> Result<ContainerConfig, Error> {
    let attach: Vec<_> = args.all("attach").iter().map(|stream| stream.to_ascii_lowercase()).collect();
    let named = |stream: &str| attach.iter().any(|name| name == stream);
    let interactive = args.bool("interactive");
    let (image, command) = args.args.split_first().ok_or_else(|| Error::invalid("no image given"))?;
    let stdin = named("stdin") || (attach.is_empty() && interactive);
    Ok(ContainerConfig {
        hostname: args.text("hostname"),
        domainname: args.text("domainname"),
        user: args.text("user"),
        attach_stdin: stdin,
        attach_stdout: attach.is_empty() || named("stdout"),
        attach_stderr: attach.is_empty() || named("stderr"),
        tty: args.bool("tty"),
        open_stdin: interactive,
        stdin_once: false,
        env: env::environment(&args.all("env-file"), &args.all("env"))?,
        cmd: (!command.is_empty()).then(|| command.to_vec()),
        healthcheck: health(args)?,
        image: image.clone(),
        working_dir: args.text("workdir"),
        // An empty --entrypoint takes the image's away.
        entrypoint: args.get("entrypoint").map(|program| vec![program.to_owned()]),
        labels: env::labels(&args.all("label-file"), &args.all("label"))?,
        stop_signal: args.text("stop-signal"),
        stop_timeout: args.int("stop-timeout"),
        ..ContainerConfig::default()
    })
}

fn health(args: &Parsed) -> Result<Option<HealthConfig>, Error> {
    let flags = [
        "health-cmd",
        "health-interval",
        "health-timeout",
        "health-retries",
        "health-start-period",
        "health-start-interval",
    ];
    let any = flags.iter().any(|flag| args.given(flag));
    if args.bool("no-healthcheck") {
        if any {
            return Err(Error::invalid("--no-healthcheck conflicts with --health-* options"));
        }
        return Ok(Some(HealthConfig { test: vec!["NONE".into()], ..HealthConfig::default() }));
    }
    if !any {
        return Ok(None);
    }
    let time = |flag: &str| -> Result<i64, Error> {
        let nanos = units::parse_duration(args.get(flag).unwrap_or("0")).map_err(invalid)?;
        match nanos < 0 {
            true => Err(invalid(format!("--{flag} cannot be negative"))),
            false => Ok(nanos),
        }
    };
    let retries = args.int("health-retries").unwrap_or(0);
    if retries < 0 {
        return Err(Error::invalid("--health-retries cannot be negative"));
    }
    Ok(Some(HealthConfig {
        test: args
            .non_empty("health-cmd")
            .map(|cmd| vec!["CMD-SHELL".into(), cmd.into()])
            .unwrap_or_default(),
        interval: time("health-interval")?,
        timeout: time("health-timeout")?,
        start_period: time("health-start-period")?,
        start_interval: time("health-start-interval")?,
        retries,
    }))
}

fn ports(args: &Parsed) -> Result<Ports, Error> {
    let mut ports = Ports::default();
    for text in args.all("publish") {
        ports.publish(&text).map_err(invalid)?;
    }
    for text in args.all("expose") {
        ports.expose(&text).map_err(invalid)?;
    }
    Ok(ports)
}

#[derive(Default)]
struct Volumes {
    binds: Vec<String>,
    anonymous: Vec<String>,
}

fn volumes(args: &Parsed) -> Result<Volumes, Error> {
    let mut volumes = Volumes::default();
    for text in args.all("volume") {
        match opts::volume::parse(&text).map_err(invalid)? {
            Volume::Bind(bind) => volumes.binds.push(bind),
            Volume::Anonymous(path) => volumes.anonymous.push(path),
        }
    }
    Ok(volumes)
}

/// `--network` and its old spelling `--net`.
fn attachments(args: &Parsed) -> Result<Vec<Attachment>, Error> {
    let texts = args.all("network").into_iter().chain(args.all("net"));
    texts.map(|text| network::parse(&text).map_err(invalid)).collect()
}

fn first_network(args: &Parsed) -> First {
    First {
        aliases: args.all("network-alias").into_iter().chain(args.all("net-alias")).collect(),
        links: args.all("link"),
        ipv4: args.text("ip"),
        ipv6: args.text("ip6"),
        link_local: args.all("link-local-ip"),
        mac: args.text("mac-address"),
    }
}

/// Everything that belongs to the host; ports, binds and network mode are added by the caller.
fn host_config(args: &Parsed) -> Result<HostConfig, Error> {
    let security = security::parse(&args.all("security-opt"))?;
    let nothing = || security.system_paths_unconfined.then(Vec::new);
    let caps = opts::caps::resolve(&args.all("cap-add"), &args.all("cap-drop"));
    let mut host = HostConfig {
        container_id_file: args.text("cidfile"),
        log_config: log_config(args)?,
        restart_policy: restart_policy(args)?,
        auto_remove: args.bool("rm"),
        volume_driver: args.text("volume-driver"),
        volumes_from: args.all("volumes-from"),
        annotations: opts::map(&args.all("annotation")),
        cap_add: caps.add,
        cap_drop: caps.drop,
        cgroupns_mode: choice(args, "cgroupns", &["", "host", "private"], "invalid CGROUP mode")?,
        dns: args.all("dns"),
        dns_options: args.all("dns-option").into_iter().chain(args.all("dns-opt")).collect(),
        dns_search: args.all("dns-search"),
        extra_hosts: args.all("add-host").iter().map(|text| hosts::host(text)).collect(),
        group_add: args.all("group-add"),
        ipc_mode: args.text("ipc"),
        links: args.all("link"),
        oom_score_adj: args.int("oom-score-adj").unwrap_or(0),
        pid_mode: pid_mode(args)?,
        privileged: args.bool("privileged"),
        publish_all_ports: args.bool("publish-all"),
        readonly_rootfs: args.bool("read-only"),
        masked_paths: nothing(),
        readonly_paths: nothing(),
        security_opt: security.options,
        storage_opt: storage_options(args)?,
        tmpfs: tmpfs(args),
        uts_mode: choice(args, "uts", &["", "host"], "invalid UTS mode")?,
        userns_mode: args.text("userns"),
        shm_size: bytes(args, "shm-size")?,
        sysctls: opts::map(&args.all("sysctl")),
        runtime: args.text("runtime"),
        isolation: args.text("isolation"),
        mounts: args
            .all("mount")
            .iter()
            .map(|text| mount::parse(text).map_err(invalid))
            .collect::<Result<_, _>>()?,
        init: args.given("init").then(|| args.bool("init")),
        ..HostConfig::default()
    };
    resources(args, &mut host)?;
    devices(args, &mut host)?;
    Ok(host)
}

fn choice(args: &Parsed, flag: &str, known: &[&str], complaint: &str) -> Result<String, Error> {
    let value = args.text(flag);
    match known.contains(&value.as_str()) {
        true => Ok(value),
        false => Err(invalid(format!("--{flag}: {complaint}"))),
    }
}

fn pid_mode(args: &Parsed) -> Result<String, Error> {
    let mode = args.text("pid");
    match mode.is_empty()
        || mode == "host"
        || mode.strip_prefix("container:").is_some_and(|name| !name.is_empty())
    {
        true => Ok(mode),
        false => Err(Error::invalid("--pid: invalid PID mode")),
    }
}

fn bytes(args: &Parsed, flag: &str) -> Result<i64, Error> {
    args.get(flag).map_or(Ok(0), |text| units::parse_bytes(text).map_err(invalid))
}

/// `--restart`, by docker's default `no`.
fn restart_policy(args: &Parsed) -> Result<api_types::RestartPolicy, Error> {
    restart::parse(args.get("restart").unwrap_or("no")).map_err(invalid)
}

fn log_config(args: &Parsed) -> Result<LogConfig, Error> {
    let (driver, options) = (args.text("log-driver"), args.all("log-opt"));
    if driver == "none" && !options.is_empty() {
        return Err(invalid(format!("invalid logging opts for driver {driver}")));
    }
    Ok(LogConfig { r#type: driver, config: opts::map(&options) })
}

fn storage_options(args: &Parsed) -> Result<Map<String>, Error> {
    let options = args.all("storage-opt");
    match options.iter().all(|option| option.contains('=')) {
        true => Ok(opts::map(&options)),
        false => Err(Error::invalid("invalid storage option")),
    }
}

fn tmpfs(args: &Parsed) -> Map<String> {
    let split = |text: String| match text.split_once(':') {
        Some((path, options)) => (path.to_owned(), options.to_owned()),
        None => (text, String::new()),
    };
    args.all("tmpfs").into_iter().map(split).collect()
}

fn resources(args: &Parsed, host: &mut HostConfig) -> Result<(), Error> {
    let number = |flag: &str| args.int(flag).unwrap_or(0);
    host.cpu_shares = number("cpu-shares");
    host.cpu_period = number("cpu-period");
    host.cpu_quota = number("cpu-quota");
    host.cpu_realtime_period = number("cpu-rt-period");
    host.cpu_realtime_runtime = number("cpu-rt-runtime");
    host.cpu_count = number("cpu-count");
    host.cpu_percent = number("cpu-percent");
    host.cpuset_cpus = args.text("cpuset-cpus");
    host.cpuset_mems = args.text("cpuset-mems");
    host.cgroup_parent = args.text("cgroup-parent");
    host.nano_cpus = args.get("cpus").map_or(Ok(0), |text| limits::nano_cpus(text).map_err(invalid))?;
    host.memory = bytes(args, "memory")?;
    host.memory_reservation = bytes(args, "memory-reservation")?;
    host.memory_swap = args.get("memory-swap").map_or(Ok(0), |text| limits::swap(text).map_err(invalid))?;
    host.kernel_memory = bytes(args, "kernel-memory")?;
    host.memory_swappiness = swappiness(args)?;
    host.oom_kill_disable = Some(args.bool("oom-kill-disable"));
    host.pids_limit = Some(number("pids-limit"));
    host.blkio_weight = u16::try_from(number("blkio-weight")).unwrap_or(0);
    host.io_maximum_iops = u64::try_from(number("io-maxiops")).unwrap_or(0);
    host.io_maximum_bandwidth = u64::try_from(bytes(args, "io-maxbandwidth")?).unwrap_or(0);
    host.ulimits = each(args, "ulimit", limits::ulimit)?;
    host.ulimits.sort_by(|a, b| a.name.cmp(&b.name));
    host.blkio_weight_device = each(args, "blkio-weight-device", device::weight)?;
    host.blkio_device_read_bps = each(args, "device-read-bps", device::bps)?;
    host.blkio_device_write_bps = each(args, "device-write-bps", device::bps)?;
    host.blkio_device_read_iops = each(args, "device-read-iops", device::iops)?;
    host.blkio_device_write_iops = each(args, "device-write-iops", device::iops)?;
    Ok(())
}

fn each<T>(args: &Parsed, flag: &str, parse: fn(&str) -> Result<T, String>) -> Result<Vec<T>, Error> {
    args.all(flag).iter().map(|text| parse(text).map_err(invalid)).collect()
}

fn swappiness(args: &Parsed) -> Result<Option<i64>, Error> {
    match args.int("memory-swappiness").unwrap_or(-1) {
        value @ -1..=100 => Ok(Some(value)),
        value => Err(invalid(format!("invalid value: {value}. Valid memory swappiness range is 0-100"))),
    }
}

fn devices(args: &Parsed, host: &mut HostConfig) -> Result<(), Error> {
    let mut cdi = Vec::new();
    for text in args.all("device") {
        match device::parse(&text).map_err(invalid)? {
            device::Device::Host(mapping) => host.devices.push(mapping),
            device::Device::Cdi(name) => cdi.push(name),
        }
    }
    host.device_cgroup_rules = args.all("device-cgroup-rule");
    host.device_requests = each(args, "gpus", gpus::parse)?;
    if !cdi.is_empty() {
        host.device_requests.push(device::cdi_request(cdi));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::parse::parse;
    use crate::container::create::COMMAND;

    fn spec(words: &str) -> Result<CreateSpec, Error> {
        let words: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
        let parsed = parse(&COMMAND, "docker create", &words)?;
        resolve(&parsed)
    }

    #[test]
    fn a_bit_of_everything() {
        let spec = spec("--name n -it --rm -e A=1 -v /a:/b -v /c -p 80:8080 --memory 1g --cpus 2 --user u --init \
                         --network net --network-alias al --add-host h=1.2.3.4 --label l=1 --restart no img cmd -x")
        .unwrap();
        let (config, host) = (&spec.request.config, spec.request.host_config.as_ref().unwrap());
        assert_eq!(spec.name, "n");
        assert!(config.tty && config.open_stdin && config.attach_stdin && host.auto_remove);
        assert_eq!(config.cmd.as_deref(), Some(&["cmd".to_owned(), "-x".to_owned()][..]));
        assert_eq!(host.binds, ["/a:/b"]);
        assert!(config.volumes.contains_key("/c") && config.exposed_ports.contains_key("8080/tcp"));
        assert_eq!((host.memory, host.nano_cpus, host.init), (1 << 30, 2_000_000_000, Some(true)));
        assert_eq!(host.network_mode, "net");
        let networks = &spec.request.networking_config.as_ref().unwrap().endpoints_config;
        assert_eq!(networks["net"].aliases, ["al"]);
        assert_eq!(host.extra_hosts, ["h:1.2.3.4"]);
    }

    #[test]
    fn refusals() {
        for (words, message) in [
            ("--rm --restart always i", "conflicting options: cannot specify both --restart and --rm"),
            ("--no-healthcheck --health-cmd x i", "--no-healthcheck conflicts with --health-* options"),
            ("--pid x i", "--pid: invalid PID mode"),
            ("--memory-swappiness 101 i", "invalid value: 101. Valid memory swappiness range is 0-100"),
            ("--log-driver none --log-opt a=b i", "invalid logging opts for driver none"),
        ] {
            let error = spec(words).err().map(|error| error.to_string());
            assert_eq!(error.as_deref(), Some(message));
        }
    }
}
