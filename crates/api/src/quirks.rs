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
    ContainerConfig, ContainerInspect, ContainerSummary, ContainerUpdateRequest, DiskUsage,
    ExecCreateRequest, ExecStartRequest, ImageInspect, ImageSummary, SystemInfo,
};
use serde::Serialize;
use serde_json::{Value, json};

/// An answer, as the newest version has it (with its fields in Docker's order) or changed for an older one.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Answer<T> {
    Newest(T),
    Changed(Value),
}

impl<T: Serialize> Answer<T> {
    /// Changed by `change` when the client's version is older than 1.`minor`.
    fn changed_before(
        self,
        minor: u32,
        version: ApiVersion,
        change: impl FnOnce(&mut Value),
    ) -> Result<Self, Error> {
        if version >= since(minor) {
            return Ok(self);
        }
        let mut value = serde_json::to_value(&self).map_err(Error::Encode)?;
        change(&mut value);
        Ok(Self::Changed(value))
    }
}

/// `GET /containers/json`
pub(crate) fn container_list(list: &mut [ContainerSummary], version: ApiVersion) {
    if version < since(46) {
        list.iter_mut().for_each(|line| line.host_config.annotations.clear());
    }
}

/// `GET /containers/{id}/json`
pub(crate) fn container_inspect(
    mut inspect: ContainerInspect,
    version: ApiVersion,
) -> Result<Answer<ContainerInspect>, Error> {
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
    Answer::Newest(inspect)
        .changed_before(48, version, |answer| without_endpoint_field(answer, "GwPriority"))?
        .changed_before(44, version, |answer| without_endpoint_field(answer, "DNSNames"))
}

fn mac_address(config: &mut ContainerConfig, mode: &str, settings: &api_types::NetworkSettings) {
    let main = if matches!(mode, "" | "default") { "bridge" } else { mode };
    if let Some(endpoint) = settings.networks.get(main) {
        config.mac_address.clone_from(&endpoint.mac_address);
    }
}

fn without_endpoint_field(inspect: &mut Value, field: &str) {
    let networks = inspect.pointer_mut("/NetworkSettings/Networks").and_then(Value::as_object_mut);
    for endpoint in
        networks.into_iter().flat_map(|networks| networks.values_mut()).filter_map(Value::as_object_mut)
    {
        endpoint.remove(field);
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

/// `GET /system/df`, where containers have always been counted.
pub(crate) fn disk_usage(usage: &mut DiskUsage, version: ApiVersion) {
    if version < since(44) {
        usage.images.iter_mut().flatten().for_each(|image| image.virtual_size = image.size);
    }
}

/// `GET /images/{name}/json`
pub(crate) fn image_inspect(
    mut inspect: ImageInspect,
    version: ApiVersion,
) -> Result<Answer<ImageInspect>, Error> {
    if version < since(44) {
        inspect.virtual_size = inspect.size;
        if inspect.created.is_empty() {
            model::Timestamp::ZERO.to_string().clone_into(&mut inspect.created);
        }
    }
    if version < since(48) {
        inspect.descriptor = None;
    }
    Answer::Newest(inspect)
        .changed_before(50, version, |answer| image_config::complete(&mut answer["Config"]))
}

/// `GET /info`
pub(crate) fn info(mut info: SystemInfo, version: ApiVersion) -> Result<Answer<SystemInfo>, Error> {
    if version < since(44) {
        info.runtimes.values_mut().for_each(|runtime| runtime.status.clear());
    }
    if version < since(49) {
        info.firewall_backend = None;
        for commit in [&mut info.containerd_commit, &mut info.runc_commit, &mut info.init_commit] {
            commit.expected.clone_from(&commit.id);
        }
    }
    Answer::Newest(info)
        .changed_before(50, version, |answer| {
            answer["BridgeNfIptables"] = json!(false);
            answer["BridgeNfIp6tables"] = json!(false);
        })?
        .changed_before(47, version, |answer| {
            answer["RegistryConfig"]["AllowNondistributableArtifactsCIDRs"] = Value::Null;
            answer["RegistryConfig"]["AllowNondistributableArtifactsHostnames"] = Value::Null;
        })
}
