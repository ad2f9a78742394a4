//! `POST /containers/create`, whose body changed with nearly every version.

use crate::{
    error::{BadRequest, Error},
    version::{ApiVersion, since},
};
use api_types::{ContainerCreateRequest, EndpointSettings, HostConfig, Mount, NetworkingConfig};

const INTERFACE_SYSCTLS: &str = "com.docker.network.endpoint.sysctls";

/// Brings a request of any version to the form of the newest; what the client should know comes back as warnings.
pub(crate) fn create(
    request: &mut ContainerCreateRequest,
    version: ApiVersion,
) -> Result<Vec<String>, Error> {
    let host = request.host_config.get_or_insert_default();
    let networking = request.networking_config.get_or_insert_default();
    default_network(host, networking);
    if version < since(41) && host.cgroupns_mode.is_empty() && !unified_cgroups() {
        "host".clone_into(&mut host.cgroupns_mode);
    }
    if version < since(42) {
        host.console_size = [0, 0];
    } else {
        host.kernel_memory = 0;
    }
    if version < since(43) {
        host.annotations.clear();
    }
    host.mounts.iter_mut().try_for_each(|mount| check_mount(mount, version))?;
    if version < since(44) {
        if let Some(check) = &mut request.config.healthcheck {
            check.start_interval = 0;
        }
        if networking.endpoints_config.len() > 1 {
            let names: Vec<_> = networking.endpoints_config.keys().cloned().collect();
            return Err(BadRequest::ManyEndpoints(names.join(", ")).into());
        }
    }
    if version < since(48) {
        networking.endpoints_config.values_mut().for_each(|endpoint| endpoint.gw_priority = 0);
    }
    let mut warnings = Vec::new();
    warnings.extend(volume_driver(host, version));
    let mac_address = std::mem::take(&mut request.config.mac_address);
    warnings.extend(container_mac_address(mac_address, host, networking, version)?);
    warnings.extend(interface_sysctls(host, networking, version)?);
    if host.pids_limit.is_some_and(|limit| limit <= 0) {
        host.pids_limit = None;
    }
    Ok(warnings)
}

/// `default` is whatever the platform's default is: here the bridge.
fn default_network(host: &mut HostConfig, networking: &mut NetworkingConfig) {
    if matches!(host.network_mode.as_str(), "" | "default") {
        "bridge".clone_into(&mut host.network_mode);
        if let Some(settings) = networking.endpoints_config.remove("default") {
            networking.endpoints_config.insert("bridge".to_owned(), settings);
        }
    }
}

fn unified_cgroups() -> bool {
    std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

fn check_mount(mount: &mut Mount, version: ApiVersion) -> Result<(), Error> {
    let kind = mount.r#type.clone();
    if version < since(42) {
        if let Some(options) = &mut mount.bind_options {
            options.create_mountpoint = false;
        }
        // Not checked then, and so sent by clients.
        mount.volume_options.take_if(|_| kind != "volume");
        mount.tmpfs_options.take_if(|_| kind != "tmpfs");
    } else {
        let given = [
            ("VolumeOptions", mount.volume_options.is_some() && kind != "volume"),
            ("BindOptions", mount.bind_options.is_some() && kind != "bind"),
            ("TmpfsOptions", mount.tmpfs_options.is_some() && kind != "tmpfs"),
        ];
        if let Some((option, _)) = given.into_iter().find(|(_, misplaced)| *misplaced) {
            return Err(BadRequest::MountOption { option, mount_type: kind }.into());
        }
    }
    if version < since(44) && kind == "bind" {
        let options = mount.bind_options.get_or_insert_default();
        if options.read_only_force_recursive {
            let what = "BindOptions.ReadOnlyForceRecursive";
            return Err(BadRequest::NeedsVersion { what, needed: since(44) }.into());
        }
        // Until then a read-only mount left what is mounted below it writable.
        options.read_only_non_recursive |= mount.read_only;
    }
    if version < since(45) && mount.volume_options.as_ref().is_some_and(|options| !options.subpath.is_empty())
    {
        return Err(BadRequest::NeedsVersion { what: "VolumeOptions.Subpath", needed: since(45) }.into());
    }
    if version < since(48) && kind == "image" {
        return Err(BadRequest::NeedsVersion { what: "Mount type \"Image\"", needed: since(48) }.into());
    }
    Ok(())
}

/// The command line said this itself until 1.48.
fn volume_driver(host: &HostConfig, version: ApiVersion) -> Option<String> {
    let undecided = |mount: &Mount| {
        let driver = mount.volume_options.as_ref().and_then(|options| options.driver_config.as_ref());
        mount.r#type == "volume" && driver.is_none_or(|driver| driver.name.is_empty())
    };
    let ignored = version >= since(48) && !host.volume_driver.is_empty() && host.mounts.iter().any(undecided);
    ignored.then(|| {
        "WARNING: the container-wide volume-driver configuration is ignored for volumes specified via 'mount'. Use '--mount type=volume,volume-driver=...' instead".to_owned()
    })
}

/// Moves the container-wide MAC address, which 1.44 deprecated, to the endpoint it is for.
fn container_mac_address(
    address: String,
    host: &HostConfig,
    networking: &mut NetworkingConfig,
    version: ApiVersion,
) -> Result<Option<String>, Error> {
    let has_endpoint =
        !matches!(host.network_mode.as_str(), "host" | "none") && !host.network_mode.contains(':');
    if address.is_empty() {
        if version < since(44) {
            networking.endpoints_config.values_mut().for_each(|endpoint| endpoint.mac_address.clear());
        }
        return Ok(None);
    }
    if version < since(44) && !has_endpoint {
        return Err(BadRequest::MacAddressMode.into());
    }
    if has_endpoint {
        let endpoint = main_endpoint(host, networking, version)?;
        if version < since(44) || endpoint.mac_address.is_empty() {
            endpoint.mac_address = address;
        } else if endpoint.mac_address != address {
            return Err(BadRequest::MacAddressMatch.into());
        }
    }
    let deprecated = "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.";
    Ok((version >= since(44)).then(|| deprecated.to_owned()))
}

/// The endpoint on the network that the mode names, made when there is none at all.
fn main_endpoint<'a>(
    host: &HostConfig,
    networking: &'a mut NetworkingConfig,
    version: ApiVersion,
) -> Result<&'a mut EndpointSettings, Error> {
    let endpoints = &mut networking.endpoints_config;
    if endpoints.is_empty() {
        return Ok(endpoints.entry(host.network_mode.clone()).or_default());
    }
    let name =
        if version < since(44) { endpoints.keys().next().cloned() } else { Some(host.network_mode.clone()) };
    let endpoint = name.and_then(|name| endpoints.get_mut(&name));
    endpoint.ok_or_else(|| BadRequest::NetworkModeMatch.into())
}

/// Moves sysctls that name the interface eth0 to the endpoint that will be eth0, since only it knows when it is there.
fn interface_sysctls(
    host: &mut HostConfig,
    networking: &mut NetworkingConfig,
    version: ApiVersion,
) -> Result<Option<String>, Error> {
    if host.network_mode == "host" || host.network_mode.starts_with("container:") {
        return Ok(None);
    }
    let interface = |key: &str| -> Option<(String, String)> {
        let parts: Vec<&str> = key.splitn(5, '.').collect();
        let ["net", family, group, interface, rest] = parts[..] else { return None };
        interface
            .starts_with("eth")
            .then(|| (interface.to_owned(), format!("net.{family}.{group}.IFNAME.{rest}")))
    };
    let named: Vec<_> = host.sysctls.keys().filter_map(|key| Some((key.clone(), interface(key)?))).collect();
    let Some((first, _)) = named.first() else { return Ok(None) };
    if version >= since(48) {
        return Err(BadRequest::InterfaceSysctl { key: first.clone() }.into());
    }
    if let Some((key, _)) = named.iter().find(|(_, (interface, _))| interface != "eth0") {
        return Err(BadRequest::UnknownInterfaceSysctl { key: key.clone() }.into());
    }
    let endpoint = main_endpoint(host, networking, version)?;
    let mut moved = Vec::new();
    for (key, (_, option)) in &named {
        moved.push(format!("{option}={}", host.sysctls.get(key).map_or("", String::as_str)));
    }
    let keys: Vec<_> = named.iter().map(|(key, _)| key.as_str()).collect();
    let moved = moved.join(",");
    let warning =
        format!("Migrated sysctl {:?} to DriverOpts{{{INTERFACE_SYSCTLS:?}:{moved:?}}}.", keys.join(","));
    let own = endpoint.driver_opts.get(INTERFACE_SYSCTLS).map(|own| format!(",{own}")).unwrap_or_default();
    endpoint.driver_opts.insert(INTERFACE_SYSCTLS.to_owned(), format!("{moved}{own}"));
    host.sysctls.retain(|key, _| !named.iter().any(|(gone, _)| gone == key));
    Ok(Some(warning))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn apply(body: serde_json::Value, minor: u32) -> Result<(ContainerCreateRequest, Vec<String>), String> {
        let mut request: ContainerCreateRequest = api_types::go::from_value(body).unwrap();
        let warnings = create(&mut request, since(minor)).map_err(|e| e.to_string())?;
        Ok((request, warnings))
    }

    fn endpoints(request: &ContainerCreateRequest) -> &api_types::Map<EndpointSettings> {
        &request.networking_config.as_ref().unwrap().endpoints_config
    }

    #[test]
    fn the_default_network_is_the_bridge() {
        let body = json!({"NetworkingConfig": {"EndpointsConfig": {"default": {"Aliases": ["a"]}}}});
        let (request, _) = apply(body, 51).unwrap();
        assert_eq!(request.host_config.as_ref().unwrap().network_mode, "bridge");
        assert_eq!(endpoints(&request)["bridge"].aliases, ["a"]);
    }

    #[test]
    fn a_container_wide_mac_address_moves_to_its_endpoint() {
        let body = json!({"MacAddress": "02:42:ac:11:00:02"});
        let (old, warnings) = apply(body.clone(), 43).unwrap();
        assert_eq!(endpoints(&old)["bridge"].mac_address, "02:42:ac:11:00:02");
        assert!(warnings.is_empty() && old.config.mac_address.is_empty());
        let (new, warnings) = apply(body, 44).unwrap();
        assert_eq!(endpoints(&new)["bridge"].mac_address, "02:42:ac:11:00:02");
        assert!(warnings[0].contains("now deprecated"));

        let clash = json!({"MacAddress": "02:42:ac:11:00:02", "NetworkingConfig": {"EndpointsConfig": {"bridge": {"MacAddress": "02:42:ac:11:00:03"}}}});
        assert!(apply(clash, 44).unwrap_err().starts_with("the container-wide MAC address must match"));
        let host = json!({"MacAddress": "02:42:ac:11:00:02", "HostConfig": {"NetworkMode": "host"}});
        assert_eq!(apply(host, 43).unwrap_err(), "conflicting options: mac-address and the network mode");
    }

    #[test]
    fn several_endpoints_need_1_44() {
        let body = json!({"NetworkingConfig": {"EndpointsConfig": {"a": {}, "b": null}}});
        let text = apply(body.clone(), 43).unwrap_err();
        assert_eq!(text, "Container cannot be created with multiple network endpoints: a, b");
        assert_eq!(endpoints(&apply(body, 44).unwrap().0).len(), 2);
    }

    #[test]
    fn mount_options_are_checked_since_1_42() {
        let body = json!({"HostConfig": {"Mounts": [{"Type": "bind", "Source": "/a", "Target": "/b", "VolumeOptions": {}}]}});
        let mounts =
            |minor| apply(body.clone(), minor).map(|(request, _)| request.host_config.unwrap().mounts);
        assert_eq!(mounts(41).unwrap()[0].volume_options, None);
        assert_eq!(mounts(42).unwrap_err(), "VolumeOptions must not be specified on mount type \"bind\"");
    }

    #[test]
    fn options_of_later_versions_are_refused_by_name() {
        let mount = |mount| json!({"HostConfig": {"Mounts": [mount]}});
        let image = mount(json!({"Type": "image", "Source": "x", "Target": "/x"}));
        assert_eq!(apply(image, 47).unwrap_err(), "Mount type \"Image\" needs API v1.48 or newer");
        let subpath = mount(json!({"Type": "volume", "VolumeOptions": {"Subpath": "a"}}));
        assert_eq!(apply(subpath, 44).unwrap_err(), "VolumeOptions.Subpath needs API v1.45 or newer");
    }

    #[test]
    fn sysctls_of_eth0_move_to_its_endpoint() {
        let body = json!({"HostConfig": {"Sysctls": {"net.ipv4.conf.eth0.forwarding": "1", "net.core.somaxconn": "5"}}});
        let (request, warnings) = apply(body.clone(), 47).unwrap();
        let option = &endpoints(&request)["bridge"].driver_opts[INTERFACE_SYSCTLS];
        assert_eq!(option, "net.ipv4.conf.IFNAME.forwarding=1");
        assert_eq!(request.host_config.unwrap().sysctls.len(), 1);
        assert_eq!(warnings.len(), 1);
        assert!(apply(body, 48).unwrap_err().starts_with("interface specific sysctl setting"));
    }

    #[test]
    fn pid_limits_of_zero_and_less_are_none() {
        for limit in [0, -1, -5] {
            let (request, _) = apply(json!({"HostConfig": {"PidsLimit": limit}}), 51).unwrap();
            assert_eq!(request.host_config.unwrap().pids_limit, None);
        }
    }
}
