//! Fields that the engine leaves out, or writes as `null`, when they hold nothing.
//!
//! Docker's client runs templates over Go structures, where such a field is nil and not missing: `{{if .State.Health}}`
//! must not fail. Templates here run over the JSON itself, so this table says which names may be absent, and what each
//! is then.

use crate::template::Value;

const LISTS: &[&str] = &[
    "Args",
    "Aliases",
    "Binds",
    "BlkioDeviceReadBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceWriteIOps",
    "BlkioWeightDevice",
    "CapAdd",
    "CapDrop",
    "Cmd",
    "Config",
    "DNSNames",
    "DeviceCgroupRules",
    "DeviceRequests",
    "Devices",
    "Dns",
    "DnsOptions",
    "DnsSearch",
    "Entrypoint",
    "Env",
    "ExecIDs",
    "ExtraHosts",
    "GroupAdd",
    "Layers",
    "LinkLocalIPs",
    "Links",
    "Log",
    "MaskedPaths",
    "Mounts",
    "OnBuild",
    "ReadonlyPaths",
    "RepoDigests",
    "RepoTags",
    "SecondaryIPAddresses",
    "SecondaryIPv6Addresses",
    "SecurityOpt",
    "Shell",
    "Test",
    "Ulimits",
    "VolumesFrom",
];

const MAPS: &[&str] = &[
    "Annotations",
    "Attributes",
    "Details",
    "IndexConfigs",
    "Runtimes",
    "AuxiliaryAddresses",
    "Containers",
    "Data",
    "DriverOpts",
    "ExposedPorts",
    "Labels",
    "Networks",
    "Options",
    "PortBindings",
    "Ports",
    "Status",
    "StorageOpt",
    "Sysctls",
    "Tmpfs",
    "Volumes",
];

const POINTERS: &[&str] = &[
    "BindOptions",
    "ClusterOptions",
    "ClusterVolume",
    "ConfigFrom",
    "Descriptor",
    "DriverConfig",
    "Health",
    "Healthcheck",
    "IPAMConfig",
    "ImageManifestDescriptor",
    "ImageOptions",
    "Init",
    "MemorySwappiness",
    "OomKillDisable",
    "PidsLimit",
    "SizeRootFs",
    "SizeRw",
    "StopTimeout",
    "TmpfsOptions",
    "UsageData",
    "VolumeOptions",
];

const TEXTS: &[&str] = &[
    "Author",
    "Comment",
    "Container",
    "DockerVersion",
    "MacAddress",
    "Name",
    "NetworkMode",
    "OsVersion",
    "Parent",
    "Propagation",
    "StopSignal",
    "Subpath",
    "Variant",
    "IPRange",
    "Gateway",
    "Subnet",
    "IPv4Address",
    "IPv6Address",
];

const NUMBERS: &[&str] =
    &["Interval", "Retries", "StartInterval", "StartPeriod", "Timeout", "VirtualSize", "GwPriority"];

const BOOLEANS: &[&str] =
    &["ArgsEscaped", "NetworkDisabled", "NoCopy", "NonRecursive", "CreateMountpoint", "ReadOnly"];

/// What a field of this name is when the JSON does not say.
pub fn optional(name: &str) -> Option<Value> {
    let has = |names: &[&str]| names.contains(&name);
    if has(LISTS) {
        Some(Value::list(Vec::new()))
    } else if has(MAPS) {
        Some(Value::map(Vec::new()))
    } else if has(POINTERS) {
        Some(Value::Nil)
    } else if has(TEXTS) {
        Some(Value::str(""))
    } else if has(NUMBERS) {
        Some(Value::Int(0))
    } else if has(BOOLEANS) {
        Some(Value::Bool(false))
    } else {
        None
    }
}

/// Tells Go's structures from its maps, by the names of the fields that hold them.
pub fn shape(name: &str, value: Value) -> Value {
    match value {
        Value::Map(fields) => {
            let texts = || fields.iter().all(|(_, value)| matches!(value, Value::Str(_)));
            let is_map = MAPS.contains(&name) || (name == "Config" && texts());
            let shaped = fields
                .iter()
                .map(|(key, value)| (key.clone(), shape(if is_map { "" } else { key }, value.clone())))
                .collect();
            if is_map { Value::map(shaped) } else { Value::Struct(std::rc::Rc::new(shaped)) }
        }
        Value::List(items) => Value::list(items.iter().map(|item| shape("", item.clone())).collect()),
        other => other,
    }
}
