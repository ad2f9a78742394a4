//! From flags, file and environment to one [`Settings`].

use super::{
    environment::{self, Places},
    file, flags::Flags,
    options::{self, Use},
    values,
};
use crate::{logging, settings::Settings};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};

/// The settings, and what the user should know about them.
pub(super) struct Resolved {
    pub settings: Settings,
    pub warnings: Vec<String>,
}

pub(super) fn resolve(flags: &Flags) -> Result<Resolved> {
    let places = environment::places()?;
    let default = places.config.join("docker/daemon.json");
    let path = flags.file.as_ref().unwrap_or(&default);
    let in_file = file::read(path, flags.file.is_some())?;
    let (from_environment, mut warnings) = environment::rootlesskit()?;
    no_conflicts(&flags.options, &in_file)?;
    let failed = || format!("unable to configure the Docker daemon with file {}", path.display());
    let in_file = weigh(in_file, &mut warnings).with_context(failed)?;
    let given = weigh(flags.options.clone(), &mut warnings)?;

    // A flag outweighs the file, which outweighs the environment.
    let mut merged = from_environment;
    merged.extend(in_file);
    merged.extend(given);
    if let Some(Value::String(text)) = merged.get("default-shm-size") {
        let size = values::bytes(text).context("default-shm-size")?;
        merged.insert("default-shm-size".to_owned(), size.into());
    }
    let mut settings: Settings = typed(merged).with_context(failed)?;
    fill(&mut settings, &places, &mut warnings);
    validate(&settings)?;
    Ok(Resolved { settings, warnings })
}

/// serde's messages name the type but not the key; so each key is tried by itself first.
fn typed(merged: Map<String, Value>) -> Result<Settings> {
    for (key, value) in &merged {
        let alone = Map::from_iter([(key.clone(), value.clone())]);
        serde_json::from_value::<Settings>(alone.into()).with_context(|| format!("invalid value for {key}: {value}"))?;
    }
    Ok(serde_json::from_value(merged.into())?)
}

/// dockerd's rule: an option is said once.
fn no_conflicts(flags: &Map<String, Value>, file: &Map<String, Value>) -> Result<()> {
    let twice: Vec<String> = flags
        .iter()
        .filter_map(|(key, flag)| Some(format!("{key}: (from flag: {flag}, from file: {})", file.get(key)?)))
        .collect();
    ensure!(
        twice.is_empty(),
        "the following directives are specified both as a flag and in the configuration file: {}",
        twice.join(", ")
    );
    Ok(())
}

/// Keeps what is a setting, warns about what has no effect, refuses what cannot be.
fn weigh(given: Map<String, Value>, warnings: &mut Vec<String>) -> Result<Map<String, Value>> {
    let mut kept = Map::new();
    for (key, value) in given {
        match options::by_key(&key).map(|o| o.used) {
            Some(Use::Setting) => {
                kept.insert(key, value);
            }
            Some(Use::NoEffect(why)) => warnings.push(format!("{key} has no effect: {why}")),
            Some(Use::Refused(_)) if says_nothing(&value) => {}
            Some(Use::Refused(why)) => bail!("{key} cannot be used: {why}"),
            None => bail!("the following directives don't match any configuration option: {key}"),
        }
    }
    Ok(kept)
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(n) => n.as_i64() == Some(0),
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.is_empty(),
    }
}

fn fill(settings: &mut Settings, places: &Places, warnings: &mut Vec<String>) {
    if environment::is_below_tmp(&places.runtime) {
        warnings.push(format!(
            "XDG_RUNTIME_DIR {} is below /tmp, where another user may make it first",
            places.runtime.display()
        ));
    }
    let or = |given: &mut std::path::PathBuf, default: std::path::PathBuf| {
        if given.as_os_str().is_empty() {
            *given = default;
        }
    };
    or(&mut settings.data_root, places.data.join("lichen"));
    or(&mut settings.exec_root, places.runtime.join("lichen"));
    or(&mut settings.pidfile, places.runtime.join("docker.pid"));
    if settings.hosts.is_empty() {
        settings.hosts.push(format!("unix://{}", places.runtime.join("docker.sock").display()));
    }
    if settings.debug {
        settings.log_level = "debug".to_owned();
    }
}

fn validate(settings: &Settings) -> Result<()> {
    ensure!(
        logging::LEVELS.contains(&settings.log_level.as_str()),
        "invalid logging level: {}: expected one of {}",
        settings.log_level,
        logging::LEVELS.join(", ")
    );
    ensure!(
        matches!(settings.log_format.as_str(), "text" | "json"),
        "invalid log format: {}: expected text or json",
        settings.log_format
    );
    for dir in [&settings.data_root, &settings.exec_root] {
        ensure!(dir.is_absolute(), "{} needs to be an absolute path", dir.display());
    }
    ensure!(
        matches!(settings.port_driver.as_str(), "lichen" | "builtin"),
        "port driver {:?} is not there yet: Lichen publishes ports itself (\"lichen\"; \"builtin\" means the same)",
        settings.port_driver
    );
    ensure!(
        matches!(settings.bridge.as_deref(), None | Some("" | "none" | "docker0")),
        "bridge {:?}: the engine's bridges are its own; \"none\" disables the default one",
        settings.bridge.as_deref().unwrap_or_default()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn said_twice_is_dockerds_error() {
        let error = no_conflicts(&map(json!({"debug": true})), &map(json!({"debug": false}))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the following directives are specified both as a flag and in the configuration file: debug: (from flag: true, from file: false)"
        );
    }

    #[test]
    fn every_setting_is_an_option_and_the_other_way_round() {
        let fields = serde_json::to_value(Settings::default()).unwrap();
        for option in options::OPTIONS {
            assert_eq!(option.used == Use::Setting, fields.get(option.key).is_some(), "{}", option.key);
        }
        for field in map(fields).keys() {
            assert!(options::by_key(field).is_some(), "{field}");
        }
    }

    #[test]
    fn a_wrong_type_names_its_key() {
        let error = format!("{:#}", typed(map(json!({"debug": "yes"}))).unwrap_err());
        assert!(error.starts_with("invalid value for debug: \"yes\": invalid type"), "{error}");
    }

    #[test]
    fn what_cannot_be_is_refused_unless_it_says_nothing() {
        let mut warnings = vec![];
        assert!(weigh(map(json!({"selinux-enabled": false, "iptables": true})), &mut warnings).unwrap().is_empty());
        assert_eq!(warnings.len(), 1);
        assert!(weigh(map(json!({"selinux-enabled": true})), &mut warnings).is_err());
    }
}
