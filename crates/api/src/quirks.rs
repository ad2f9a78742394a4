//! What differs between API versions: in requests, what an old client could not have meant; in answers, what it would
//! not find or not expect. moby keeps the same rules in its routes (`api/server/router`) and in `api/docs/CHANGELOG.md`.

mod create;
mod image_config;

pub(crate) use create::create;

use crate::{
    error::Error,
    version::{ApiVersion, since},
};
use api_types::{
    ContainerConfig, ContainerInspect, ContainerSummary, ContainerUpdateRequest, ExecCreateRequest,
    ExecStartRequest, ImageInspect, ImageSummary, SystemInfo,
};
use serde_json::{Value, json};

fn to_value<T: serde::Serialize>(value: &T) -> Result<Value, Error> {
    serde_json::to_value(value).map_err(Error::Encode)
}

/// `GET /containers/json`
pub(crate) fn container_list(list: &mut [ContainerSummary], version: ApiVersion) {
    if version < since(46) {
        list.iter_mut().for_each(|line| line.host_config.annotations.clear());
    }
}

/// `GET /containers/{id}/json`
pub(crate) fn container_inspect(mut inspect: ContainerInspect, version: ApiVersion) -> Result<Value, Error> {
    if version < since(44) {
        // The container-wide address, which 1.44 moved to the endpoints.
        mac_address(&mut inspect.config, &inspect.host_config.network_mode, &inspect.network_settings);
    }
    if version < since(43) {
        inspect.host_config.annotations.clear();
    }
    if version < since(45) {
        // Until then a container's short ID was among its aliases; now it is a DNS name only.
        let short = inspect.id.get(..12).unwrap_or_default().to_owned();
        for endpoint in inspect.network_settings.networks.values_mut() {
            if endpoint.dns_names.contains(&short) && !endpoint.aliases.contains(&short) {
                endpoint.aliases.push(short.clone());
            }
        }
    }
    let mut value = to_value(&inspect)?;
    if version < since(44) {
        without_endpoint_fields(&mut value, &["DNSNames"]);
    }
    if version < since(48) {
        without_endpoint_fields(&mut value, &["GwPriority"]);
    }
    Ok(value)
}

fn mac_address(config: &mut ContainerConfig, mode: &str, settings: &api_types::NetworkSettings) {
    let main = if matches!(mode, "" | "default") { "bridge" } else { mode };
    if let Some(endpoint) = settings.networks.get(main) {
        config.mac_address.clone_from(&endpoint.mac_address);
    }
}

fn without_endpoint_fields(inspect: &mut Value, fields: &[&str]) {
    let networks = inspect.pointer_mut("/NetworkSettings/Networks").and_then(Value::as_object_mut);
    for endpoint in
        networks.into_iter().flat_map(|networks| networks.values_mut()).filter_map(Value::as_object_mut)
    {
        endpoint.retain(|field, _| !fields.contains(&field.as_str()));
    }
}

/// `POST /containers/{id}/update`
pub(crate) fn update(update: &mut ContainerUpdateRequest) {
    // 0 and every negative number have always meant unlimited.
    if update.pids_limit.is_some_and(|limit| limit <= 0) {
        update.pids_limit = Some(0);
    }
}

/// `POST /containers/{id}/exec`
pub(crate) fn exec_create(exec: &mut ExecCreateRequest, version: ApiVersion) {
    if version < since(42) {
        exec.console_size = None;
    }
}

/// `POST /exec/{id}/start`
pub(crate) fn exec_start(exec: &mut ExecStartRequest, version: ApiVersion) {
    if version < since(42) || !exec.tty {
        exec.console_size = None;
    }
}

/// `GET /images/json`
pub(crate) fn image_list(list: &mut [ImageSummary], version: ApiVersion) {
    for image in list {
        if version < since(43) && image.repo_tags.is_empty() && image.repo_digests.is_empty() {
            image.repo_tags.push("<none>:<none>".to_owned());
            image.repo_digests.push("<none>@<none>".to_owned());
        }
        if version < since(44) {
            image.virtual_size = image.size;
        }
        if version < since(48) {
            image.descriptor = None;
        }
        if version < since(51) {
            image.containers = -1;
        }
    }
}

/// `GET /images/{name}/json`
pub(crate) fn image_inspect(mut inspect: ImageInspect, version: ApiVersion) -> Result<Value, Error> {
    if version < since(44) {
        inspect.virtual_size = inspect.size;
        if inspect.created.is_empty() {
            model::Timestamp::ZERO.to_string().clone_into(&mut inspect.created);
        }
    }
    if version < since(48) {
        inspect.descriptor = None;
    }
    let mut value = to_value(&inspect)?;
    image_config::complete(&mut value["Config"], version);
    Ok(value)
}

/// `GET /info`
pub(crate) fn info(mut info: SystemInfo, version: ApiVersion) -> Result<Value, Error> {
    if version < since(44) {
        info.runtimes.values_mut().for_each(|runtime| runtime.status.clear());
    }
    if version < since(49) {
        info.firewall_backend = None;
        for commit in [&mut info.containerd_commit, &mut info.runc_commit, &mut info.init_commit] {
            commit.expected.clone_from(&commit.id);
        }
    }
    let mut value = to_value(&info)?;
    if version < since(47) {
        value["RegistryConfig"]["AllowNondistributableArtifactsCIDRs"] = Value::Null;
        value["RegistryConfig"]["AllowNondistributableArtifactsHostnames"] = Value::Null;
    }
    if version < since(50) {
        value["BridgeNfIptables"] = json!(false);
        value["BridgeNfIp6tables"] = json!(false);
    }
    Ok(value)
}
