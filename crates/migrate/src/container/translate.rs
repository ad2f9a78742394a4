//! A container's definition there, in this engine's words.

use super::{is_called, name_of};
use crate::image::Origins;
use crate::network::is_own;
use api_types::{
    ContainerConfig, ContainerCreateRequest, ContainerInspect, EndpointSettings, HostConfig, Map,
    NetworkingConfig,
};

/// What definitions are translated by.
pub(super) struct Context<'a> {
    pub(super) originals: &'a [ContainerInspect],
    pub(super) origins: &'a Origins,
    pub(super) podman: bool,
    pub(super) log_drivers: &'a [String],
    pub(super) runtimes: Vec<&'a str>,
}

/// What Podman gives every container, and so an image that is made of one.
pub(super) const OF_PODMAN: &str = "container=podman";

pub(super) fn translate(
    original: &ContainerInspect,
    context: &Context<'_>,
    remarks: &mut Vec<String>,
) -> ContainerCreateRequest {
    let mut host = original.host_config.clone();
    modes(&mut host, context, remarks);
    settings(&mut host, context, remarks);
    mounts(&mut host, original, remarks);
    let endpoints = endpoints(&mut host, original);
    let mut config = config(original, context, remarks);
    if host.network_mode.starts_with("container:") {
        joined(&mut config, &mut host);
    }
    ports(&host, remarks);
    ContainerCreateRequest {
        config,
        host_config: Some(host),
        networking_config: Some(NetworkingConfig { endpoints_config: endpoints }),
    }
}

fn config(original: &ContainerInspect, context: &Context<'_>, remarks: &mut Vec<String>) -> ContainerConfig {
    let mut config = original.config.clone();
    // Given by the engine, not by anybody: the copy gets its own.
    if original.id.starts_with(&config.hostname) {
        config.hostname.clear();
    }
    if context.podman {
        config.env.retain(|e| e != OF_PODMAN);
    }
    let image = context.origins.image_of(original);
    if context.origins.has_lost(original) {
        remarks.push(format!(
            "{} is not its image there any more: it gets the one it was made of",
            config.image
        ));
    }
    image.clone_into(&mut config.image);
    config
}

/// What belongs to the container that is joined, and is refused beside it. Docker shows its names here since the start
/// (moby `initializeNetworking`), and an image's ports as if they had been asked for.
fn joined(config: &mut ContainerConfig, host: &mut HostConfig) {
    config.hostname.clear();
    config.domainname.clear();
    config.exposed_ports.clear();
    host.port_bindings.clear();
    host.publish_all_ports = false;
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
pub(super) fn bind_options(bind: &str) -> String {
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
        let context = Context {
            originals: &originals,
            origins: &Origins::default(),
            podman,
            log_drivers: &["local".into()],
            runtimes: vec!["runc"],
        };
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
    fn who_joins_a_container_has_its_names_and_no_ports() {
        let mut container = original("side");
        (container.config.hostname, container.config.domainname) = ("web".into(), "example.com".into());
        container.config.exposed_ports.insert("80/tcp".into(), Default::default());
        container.host_config.network_mode = "bridge".into();
        let (config, ..) = translated(&container, false);
        assert_eq!((config.hostname.as_str(), config.exposed_ports.len()), ("web", 1));
        container.host_config.network_mode = "container:fedcba987654".into();
        let (config, ..) = translated(&container, false);
        assert_eq!((config.hostname.as_str(), config.domainname.as_str()), ("", ""));
        assert_eq!(config.exposed_ports.len(), 0);
    }
}
