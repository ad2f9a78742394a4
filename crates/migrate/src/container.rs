//! Containers: their definitions, in this engine's words. What they wrote outside volumes is not copied.

use crate::engines::Engines;
use crate::error::{Error, step};
use crate::network::is_own;
use crate::plan::{Fate, Item};
use api_types::{
    ContainerConfig, ContainerCreateRequest, ContainerInspect, EndpointSettings, HostConfig, Map,
    NetworkingConfig,
};
use cli::connect::client::segment;
use cli::connect::{Query, Request};

/// What is created.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) request: ContainerCreateRequest,
    /// It runs in the other engine.
    pub(crate) runs: bool,
}

/// What definitions are translated by.
struct Context<'a> {
    originals: &'a [ContainerInspect],
    podman: bool,
    log_drivers: &'a [String],
    runtimes: Vec<&'a str>,
}

pub(crate) async fn plan(
    engines: &Engines,
    originals: &[ContainerInspect],
) -> Result<Vec<Item<Definition>>, Error> {
    let here = engines.to.containers().await?;
    let info = &engines.to.info;
    let context = Context {
        originals,
        podman: engines.from.is_podman,
        log_drivers: &info.plugins.log,
        runtimes: info.runtimes.keys().map(String::as_str).collect(),
    };
    let mut items = Vec::new();
    for original in in_order(originals) {
        let name = name_of(original).to_owned();
        let mut remarks = Vec::new();
        let request = translate(original, &context, &mut remarks);
        let fate = match here.iter().find(|c| name_of(c) == name) {
            Some(same) => compare(&request, same),
            None => Fate::Make,
        };
        let runs = original.state.running && !original.state.restarting;
        items.push(Item { name, fate, remarks, what: Definition { request, runs } });
    }
    Ok(items)
}

pub(crate) fn name_of(container: &ContainerInspect) -> &str {
    container.name.trim_start_matches('/')
}

/// Those that others refer to come first.
fn in_order(originals: &[ContainerInspect]) -> Vec<&ContainerInspect> {
    let mut left: Vec<&ContainerInspect> = originals.iter().collect();
    left.sort_by(|a, b| a.created.cmp(&b.created));
    let mut ordered: Vec<&ContainerInspect> = Vec::new();
    while !left.is_empty() {
        let free = |c: &&&ContainerInspect| {
            references(c).all(|r| !left.iter().any(|other| other.id != c.id && is_called(other, r)))
        };
        // A circle has no beginning; the engine says what is missing.
        let next = left.iter().position(|c| free(&c)).unwrap_or(0);
        ordered.push(left.remove(next));
    }
    ordered
}

fn is_called(container: &ContainerInspect, reference: &str) -> bool {
    name_of(container) == reference.trim_start_matches('/')
        || (reference.len() >= 12 && container.id.starts_with(reference))
}

fn references(container: &ContainerInspect) -> impl Iterator<Item = &str> {
    let host = &container.host_config;
    let modes = [&host.network_mode, &host.ipc_mode, &host.pid_mode];
    let joined = modes.into_iter().filter_map(|mode| mode.strip_prefix("container:"));
    let first = |text: &'static str| move |entry: &'_ String| entry.split(text).next().map(str::len);
    let volumes = host.volumes_from.iter().filter_map(move |v| Some(&v[..first(":")(v)?]));
    let links = host.links.iter().filter_map(move |l| Some(&l[..first(":")(l)?]));
    joined.chain(volumes).chain(links)
}

fn translate(
    original: &ContainerInspect,
    context: &Context<'_>,
    remarks: &mut Vec<String>,
) -> ContainerCreateRequest {
    let mut host = original.host_config.clone();
    modes(&mut host, context, remarks);
    settings(&mut host, context, remarks);
    mounts(&mut host, original, remarks);
    let endpoints = endpoints(&mut host, original);
    ports(&host, remarks);
    ContainerCreateRequest {
        config: config(original, context),
        host_config: Some(host),
        networking_config: Some(NetworkingConfig { endpoints_config: endpoints }),
    }
}

fn config(original: &ContainerInspect, context: &Context<'_>) -> ContainerConfig {
    let mut config = original.config.clone();
    // Given by the engine, not by anybody: the copy gets its own.
    if original.id.starts_with(&config.hostname) {
        config.hostname.clear();
    }
    if context.podman {
        config.env.retain(|e| e != "container=podman");
    }
    config
}

fn modes(host: &mut HostConfig, context: &Context<'_>, remarks: &mut Vec<String>) {
    for mode in [&mut host.network_mode, &mut host.ipc_mode, &mut host.pid_mode] {
        if let Some(reference) = mode.strip_prefix("container:") {
            let other = context.originals.iter().find(|c| is_called(c, reference));
            if let Some(other) = other {
                *mode = format!("container:{}", name_of(other));
            }
        }
    }
    // Podman's words for the defaults.
    for mode in [&mut host.pid_mode, &mut host.uts_mode] {
        if mode == "private" {
            mode.clear();
        }
    }
    if !matches!(host.userns_mode.as_str(), "" | "host") {
        remarks.push(format!("user namespace mode {} is left out", host.userns_mode));
        host.userns_mode.clear();
    }
}

fn settings(host: &mut HostConfig, context: &Context<'_>, remarks: &mut Vec<String>) {
    let driver = host.log_config.r#type.clone();
    // Podman shows its default as if it had been asked for.
    let chosen = !(context.podman && matches!(driver.as_str(), "journald" | "k8s-file"));
    if !driver.is_empty() && (!chosen || !context.log_drivers.contains(&driver)) {
        remarks.push(format!("log driver {driver} becomes this engine's default"));
        host.log_config = api_types::LogConfig::default();
    }
    if !context.runtimes.contains(&host.runtime.as_str()) {
        if !matches!(host.runtime.as_str(), "" | "oci" | "crun" | "runc" | "io.containerd.runc.v2") {
            remarks.push(format!("runtime {} is not known here and becomes the default", host.runtime));
        }
        host.runtime.clear();
    }
    if !std::mem::take(&mut host.cgroup_parent).is_empty() {
        remarks.push("its parent cgroup is left out: the other's tree is not here".to_owned());
    }
    // Podman shows -1 or 0 where nothing was asked for.
    host.memory_swappiness = host.memory_swappiness.filter(|n| *n >= 0 && !context.podman);
    if context.podman {
        let default = |u: &api_types::Ulimit| {
            matches!(
                (u.name.as_str(), u.soft),
                ("RLIMIT_NOFILE", 1_048_576) | ("RLIMIT_NPROC", 32_768 | 4_194_304)
            )
        };
        host.ulimits.retain(|u| !default(u));
        for ulimit in &mut host.ulimits {
            ulimit.name = ulimit.name.trim_start_matches("RLIMIT_").to_ascii_lowercase();
        }
    }
    if host.privileged {
        remarks.push("privileged means all that this user may do, not what root may".to_owned());
    }
}

fn mounts(host: &mut HostConfig, original: &ContainerInspect, remarks: &mut Vec<String>) {
    for bind in &mut host.binds {
        *bind = bind_options(bind);
    }
    // "/db:/web/alias" is what "db:alias" becomes when it is shown.
    for link in &mut host.links {
        if let Some((other, alias)) = link.split_once(':') {
            let alias = alias.rsplit('/').next().unwrap_or(alias);
            *link = format!("{}:{alias}", other.trim_start_matches('/'));
        }
    }
    // Volumes that nobody named are known by where they are mounted; the copy has to get the copied one.
    for mount in original.mounts.iter().filter(|m| m.r#type == "volume" && !m.name.is_empty()) {
        let named = host.binds.iter().any(|b| b.split(':').nth(1) == Some(mount.destination.as_str()))
            || host.mounts.iter().any(|m| m.target == mount.destination && !m.source.is_empty());
        if !named {
            host.mounts.retain(|m| m.target != mount.destination);
            let mode = if mount.rw { "" } else { ":ro" };
            host.binds.push(format!("{}:{}{mode}", mount.name, mount.destination));
        }
    }
    for bind in &host.binds {
        let source = bind.split(':').next().unwrap_or_default();
        if source.starts_with('/') && !std::path::Path::new(source).exists() {
            remarks.push(format!("{source} of the host is bound, which this user does not find"));
        }
        if source.ends_with("docker.sock") || source.ends_with("podman.sock") {
            remarks.push(format!("{source} is bound: it is the other engine's"));
        }
    }
}

/// Without the options that podman shows and Docker does not take.
fn bind_options(bind: &str) -> String {
    let mut parts = bind.splitn(3, ':');
    let (Some(source), Some(target), Some(options)) = (parts.next(), parts.next(), parts.next()) else {
        return bind.to_owned();
    };
    let is_path = source.starts_with('/');
    let known = |option: &&str| match *option {
        "ro" | "z" | "Z" | "nocopy" => true,
        // The default, where nothing else is said.
        "rw" | "rprivate" => false,
        "private" | "shared" | "rshared" | "slave" | "rslave" => is_path,
        _ => false,
    };
    let options: Vec<&str> = options.split(',').filter(known).collect();
    if options.is_empty() {
        format!("{source}:{target}")
    } else {
        format!("{source}:{target}:{}", options.join(","))
    }
}

/// Places in user-defined networks, with what was asked for there and without what came of it.
fn endpoints(host: &mut HostConfig, original: &ContainerInspect) -> Map<EndpointSettings> {
    let joined = &original.network_settings.networks;
    // Some clients ask for a network by its ID.
    if let Some((name, _)) =
        joined.iter().find(|(_, e)| !e.network_id.is_empty() && e.network_id == host.network_mode)
    {
        host.network_mode.clone_from(name);
    }
    if matches!(host.network_mode.as_str(), "" | "default" | "podman" | "slirp4netns" | "pasta" | "private") {
        "bridge".clone_into(&mut host.network_mode);
    }
    let own: Vec<_> = joined.iter().filter(|(name, _)| !is_own(name)).collect();
    // Podman calls every bridge by its driver.
    if host.network_mode == "bridge"
        && !joined.contains_key("bridge")
        && let Some((first, _)) = own.first()
    {
        host.network_mode.clone_from(first);
    }
    let settings = |endpoint: &EndpointSettings| EndpointSettings {
        ipam_config: endpoint.ipam_config.clone(),
        links: endpoint.links.clone(),
        aliases: endpoint.aliases.iter().filter(|a| !original.id.starts_with(a.as_str())).cloned().collect(),
        driver_opts: endpoint.driver_opts.clone(),
        gw_priority: endpoint.gw_priority,
        ..EndpointSettings::default()
    };
    own.into_iter().map(|(name, endpoint)| (name.clone(), settings(endpoint))).collect()
}

fn ports(host: &HostConfig, remarks: &mut Vec<String>) {
    let published = host.port_bindings.values().flatten().filter_map(|b| b.host_port.parse::<u16>().ok());
    for port in published.filter(|port| (1..1024).contains(port)) {
        remarks.push(format!(
            "publishes port {port}, for which net.ipv4.ip_unprivileged_port_start has to be {port} or lower"
        ));
    }
}

/// Whether a container that is here is one that was made from this definition.
fn compare(request: &ContainerCreateRequest, here: &ContainerInspect) -> Fate {
    let (Some(wanted), found) = (&request.host_config, &here.host_config) else { return Fate::Make };
    let sorted = |list: &[String]| {
        let mut list = list.to_vec();
        list.sort();
        list
    };
    let binds = |host: &HostConfig| sorted(&host.binds.iter().map(|b| bind_options(b)).collect::<Vec<_>>());
    let policy = |host: &HostConfig| match host.restart_policy.name.as_str() {
        "" => "no".to_owned(),
        name => name.to_owned(),
    };
    let command = |c: &ContainerConfig| {
        [c.entrypoint.clone().unwrap_or_default(), c.cmd.clone().unwrap_or_default()].concat()
    };
    let different = [
        ("image", request.config.image != here.config.image),
        ("command", command(&request.config) != command(&here.config)),
        ("environment", sorted(&request.config.env) != sorted(&here.config.env)),
        ("labels", request.config.labels != here.config.labels),
        ("mounts", binds(wanted) != binds(found)),
        ("published ports", wanted.port_bindings != found.port_bindings),
        ("restart policy", policy(wanted) != policy(found)),
        // What cannot be enforced here is discarded at creation.
        ("memory limit", found.memory != 0 && wanted.memory != found.memory),
    ];
    let different: Vec<&str> =
        different.into_iter().filter(|(_, differs)| *differs).map(|(what, _)| what).collect();
    match different.is_empty() {
        true => Fate::Same,
        false => Fate::Differs(format!("{} not the same", different.join(", "))),
    }
}

/// What the engine warns of.
pub(crate) async fn create(
    engines: &Engines,
    name: &str,
    definition: &Definition,
) -> Result<Vec<String>, Error> {
    let request = Request::post("/containers/create").query(Query::new().with("name", name));
    let request = request.json(&definition.request).map_err(step(format!("describe container {name}")))?;
    let made: api_types::ContainerCreateResponse =
        engines.to.client.json(request).await.map_err(step(format!("create container {name}")))?;
    Ok(made.warnings)
}

pub(crate) async fn start(engines: &Engines, name: &str) -> Result<(), Error> {
    let request = Request::post(format!("/containers/{}/start", segment(name)));
    engines.to.client.run(request).await.map_err(step(format!("start container {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::{MountPoint, PortBinding, Ulimit};

    fn original(name: &str) -> ContainerInspect {
        let mut container = ContainerInspect {
            id: "0123456789abcdef".into(),
            name: format!("/{name}"),
            ..Default::default()
        };
        container.config.hostname = "0123456789ab".into();
        container
    }

    fn translated(
        original: &ContainerInspect,
        podman: bool,
    ) -> (ContainerConfig, HostConfig, Vec<String>, Vec<String>) {
        let originals = [original.clone()];
        let context =
            Context { originals: &originals, podman, log_drivers: &["local".into()], runtimes: vec!["runc"] };
        let mut remarks = Vec::new();
        let request = translate(original, &context, &mut remarks);
        let networks = request.networking_config.unwrap().endpoints_config.into_keys().collect();
        (request.config, request.host_config.unwrap(), networks, remarks)
    }

    #[test]
    fn what_podman_shows_becomes_what_docker_takes() {
        let mut container = original("web");
        container.config.env = vec!["container=podman".into(), "A=1".into()];
        let host = &mut container.host_config;
        host.binds =
            vec!["data:/srv:rw,rprivate,nosuid,nodev,rbind".into(), "/:/host:ro,rslave,rbind".into()];
        (host.network_mode, host.pid_mode, host.uts_mode) =
            ("bridge".into(), "private".into(), "private".into());
        host.runtime = "oci".into();
        host.log_config.r#type = "k8s-file".into();
        host.memory_swappiness = Some(-1);
        let ulimit = |name: &str, n| Ulimit { name: name.into(), hard: n, soft: n };
        host.ulimits = vec![ulimit("RLIMIT_NOFILE", 1_048_576), ulimit("RLIMIT_CORE", 0)];
        container.network_settings.networks.insert("front".into(), EndpointSettings::default());
        let (config, host, networks, remarks) = translated(&container, true);
        assert_eq!((config.hostname.as_str(), config.env), ("", vec!["A=1".to_owned()]));
        assert_eq!(host.binds, ["data:/srv", "/:/host:ro,rslave"]);
        assert_eq!((host.network_mode.as_str(), networks), ("front", vec!["front".to_owned()]));
        assert_eq!((host.pid_mode.as_str(), host.uts_mode.as_str(), host.runtime.as_str()), ("", "", ""));
        assert_eq!((host.memory_swappiness, host.ulimits), (None, vec![ulimit("core", 0)]));
        assert_eq!(remarks, ["log driver k8s-file becomes this engine's default"]);
    }

    #[test]
    fn unnamed_volumes_keep_their_contents_and_links_are_written_as_asked() {
        let mut container = original("web");
        let volume = "f".repeat(64);
        container.mounts = vec![MountPoint {
            r#type: "volume".into(),
            name: volume.clone(),
            destination: "/data".into(),
            rw: true,
            ..MountPoint::default()
        }];
        container.host_config.links = vec!["/db:/web/store".into()];
        let binding = PortBinding { host_ip: String::new(), host_port: "80".into() };
        container.host_config.port_bindings.insert("80/tcp".into(), vec![binding]);
        let (_, host, networks, remarks) = translated(&container, false);
        assert_eq!(host.binds, [format!("{volume}:/data")]);
        assert_eq!((host.links, networks.len()), (vec!["db:store".to_owned()], 0));
        assert!(remarks.len() == 1 && remarks[0].starts_with("publishes port 80"), "{remarks:?}");
    }

    #[test]
    fn whoever_is_joined_comes_first() {
        let mut first = original("app");
        first.host_config.network_mode = "container:bbbbbbbbbbbb".into();
        let second = ContainerInspect { id: "b".repeat(64), created: "9".into(), ..original("proxy") };
        let all = [first, second];
        assert_eq!(in_order(&all).iter().map(|c| name_of(c)).collect::<Vec<_>>(), ["proxy", "app"]);
    }

    #[test]
    fn a_copy_is_known_again_and_what_is_different_is_named() {
        let container = original("web");
        let originals = [container.clone()];
        let context =
            Context { originals: &originals, podman: false, log_drivers: &[], runtimes: Vec::new() };
        let request = translate(&container, &context, &mut Vec::new());
        let mut here = container;
        here.host_config.restart_policy.name = "no".into();
        assert_eq!(compare(&request, &here), Fate::Same);
        here.config.env.push("B=2".into());
        here.host_config.memory = 5;
        assert_eq!(compare(&request, &here), Fate::Differs("environment, memory limit not the same".into()));
    }
}
