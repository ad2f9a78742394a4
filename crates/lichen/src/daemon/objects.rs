//! Options whose values have a shape of their own: flags into what the file would say, and back out as types.

use super::error::{Error, Result};
use super::options::Opt;
use super::settings::Settings;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// `default-ulimits`, one entry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    rename_all = "PascalCase",
    expecting = "an object such as {\"Name\": \"nofile\", \"Soft\": 1024, \"Hard\": 4096}"
)]
pub(crate) struct Ulimit {
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) soft: i64,
    pub(crate) hard: i64,
}

/// `runtimes`, one entry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "an object such as {\"path\": \"/usr/bin/crun\"}"
)]
pub(crate) struct RuntimeEntry {
    #[serde(default)]
    pub(crate) path: PathBuf,
    #[serde(default)]
    pub(crate) runtime_args: Vec<String>,
}

/// `default-address-pools`, one entry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object such as {\"base\": \"10.10.0.0/16\", \"size\": 24}")]
pub(crate) struct AddressPool {
    pub(crate) base: String,
    pub(crate) size: u8,
}

/// `proxies`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Proxies {
    pub(crate) http_proxy: String,
    pub(crate) https_proxy: String,
    pub(crate) no_proxy: String,
}

/// `--add-runtime crun=/usr/bin/crun`, `--default-ulimit nofile=64:64`, `--default-address-pool base=…,size=…`,
/// `--feature name=true`.
pub(super) fn from_flag(option: &'static Opt, text: &str, settings: &mut Settings) -> Result<()> {
    let invalid = |reason: &str| Error::invalid(option.flag, text, reason);
    match option.flag {
        "add-runtime" => {
            let (name, path) = text.split_once('=').ok_or_else(|| invalid("expected NAME=PATH"))?;
            settings.insert(option, name, json!({ "path": path }))
        }
        "default-ulimit" => {
            let (name, limits) = text.split_once('=').ok_or_else(|| invalid("expected NAME=SOFT[:HARD]"))?;
            let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
            let number = |t: &str| t.parse::<i64>().map_err(|_| invalid("expected whole numbers"));
            settings.insert(
                option,
                name,
                json!({ "Name": name, "Soft": number(soft)?, "Hard": number(hard)? }),
            )
        }
        "default-address-pool" => {
            let fields: BTreeMap<&str, &str> = text.split(',').filter_map(|f| f.split_once('=')).collect();
            let (Some(base), Some(size)) =
                (fields.get("base"), fields.get("size").and_then(|s| s.parse::<u8>().ok()))
            else {
                return Err(invalid("expected base=NETWORK,size=BITS"));
            };
            settings.push(option, json!({ "base": base, "size": size }))
        }
        "feature" => {
            let (name, value) = text.split_once('=').unwrap_or((text, "true"));
            let value = value.parse::<bool>().map_err(|_| invalid("expected NAME=true or NAME=false"))?;
            settings.insert(option, name, json!(value))
        }
        // Unsupported ones, refused by `insert` with their own reason.
        _ => settings.insert(option, text, Value::Null),
    }
}

/// The value of `key` as its type; its default when it was not set.
pub(crate) fn typed<T: Default + for<'a> Deserialize<'a>>(
    settings: &Settings,
    key: &'static str,
) -> Result<T> {
    match settings.value(key) {
        None => Ok(T::default()),
        Some(value) => {
            T::deserialize(value).map_err(|e| Error::invalid(key, value.to_string(), e.to_string()))
        }
    }
}
