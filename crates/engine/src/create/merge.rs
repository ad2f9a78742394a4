//! The request's configuration over the image's (moby `merge` in `daemon/commit.go`).

use super::Invalid;
use api_types::{ContainerConfig, HealthConfig};
use std::collections::BTreeMap;

/// What the request leaves open is taken from `image`.
///
/// # Errors
/// [`Invalid::NoCommand`] when neither says what to run.
pub fn merge(
    mut config: ContainerConfig,
    image: Option<&image::ContainerConfig>,
) -> Result<ContainerConfig, Invalid> {
    if let Some(image) = image {
        inherit(&mut config, image);
    }
    // `--entrypoint ""` arrives as [""] and means none.
    if config.entrypoint.as_deref() == Some(&[String::new()]) {
        config.entrypoint = None;
    }
    let empty = |list: &Option<Vec<String>>| list.as_ref().is_none_or(Vec::is_empty);
    if empty(&config.entrypoint) && empty(&config.cmd) { Err(Invalid::NoCommand) } else { Ok(config) }
}

fn inherit(config: &mut ContainerConfig, image: &image::ContainerConfig) {
    or(&mut config.user, &image.user);
    or(&mut config.working_dir, &image.working_dir);
    or(&mut config.stop_signal, &image.stop_signal);
    for port in image.exposed_ports.keys() {
        config.exposed_ports.entry(port.clone()).or_default();
    }
    for volume in image.volumes.keys() {
        config.volumes.entry(volume.clone()).or_default();
    }
    for (key, value) in &image.labels {
        config.labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    inherit_env(&mut config.env, &image.env);
    inherit_command(config, image);
    if let Some(image) = &image.healthcheck {
        inherit_health(config.healthcheck.get_or_insert_default(), image);
    }
    if config.stop_timeout.is_none() {
        config.stop_timeout = image.stop_timeout;
    }
    if config.shell.is_empty() {
        config.shell = image.shell.clone().unwrap_or_default();
    }
}

fn or(own: &mut String, inherited: &str) {
    if own.is_empty() {
        inherited.clone_into(own);
    }
}

/// The image's variables come after the request's, as Docker puts them.
fn inherit_env(env: &mut Vec<String>, inherited: &[String]) {
    let key = |entry: &str| entry.split_once('=').map_or(entry, |(key, _)| key).to_owned();
    let own: BTreeMap<String, ()> = env.iter().map(|e| (key(e), ())).collect();
    env.extend(inherited.iter().filter(|e| !own.contains_key(&key(e))).cloned());
}

/// An entry point of the request's own drops the image's command.
fn inherit_command(config: &mut ContainerConfig, image: &image::ContainerConfig) {
    if config.entrypoint.as_ref().is_some_and(|e| !e.is_empty()) {
        return;
    }
    if config.cmd.as_ref().is_none_or(Vec::is_empty) {
        config.cmd.clone_from(&image.cmd);
    }
    if config.entrypoint.is_none() {
        config.entrypoint.clone_from(&image.entrypoint);
    }
}

fn inherit_health(own: &mut HealthConfig, image: &image::config::Healthcheck) {
    if own.test.is_empty() {
        own.test.clone_from(&image.test);
    }
    for (own, inherited) in [
        (&mut own.interval, image.interval),
        (&mut own.timeout, image.timeout),
        (&mut own.start_period, image.start_period),
        (&mut own.start_interval, image.start_interval),
        (&mut own.retries, image.retries),
    ] {
        if *own == 0 {
            *own = inherited;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|s| (*s).to_owned()).collect()
    }

    fn image() -> image::ContainerConfig {
        image::ContainerConfig {
            user: "app".into(),
            env: strings(&["PATH=/bin", "A=image"]),
            entrypoint: Some(strings(&["/entry"])),
            cmd: Some(strings(&["serve"])),
            working_dir: "/srv".into(),
            labels: [("k".into(), "image".into()), ("only".into(), "image".into())].into(),
            healthcheck: Some(image::config::Healthcheck {
                test: strings(&["CMD", "check"]),
                interval: 7,
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[track_caller]
    fn commands(
        entrypoint: Option<&[&str]>,
        cmd: Option<&[&str]>,
        expected: (Option<&[&str]>, Option<&[&str]>),
    ) {
        let config = ContainerConfig {
            entrypoint: entrypoint.map(strings),
            cmd: cmd.map(strings),
            ..ContainerConfig::default()
        };
        let merged = merge(config, Some(&image())).unwrap();
        assert_eq!((merged.entrypoint, merged.cmd), (expected.0.map(strings), expected.1.map(strings)));
    }

    #[test]
    fn entry_point_and_command_are_inherited_as_docker_does() {
        commands(None, None, (Some(&["/entry"]), Some(&["serve"])));
        commands(None, Some(&["other"]), (Some(&["/entry"]), Some(&["other"])));
        commands(Some(&["/mine"]), None, (Some(&["/mine"]), None));
        commands(Some(&["/mine"]), Some(&["x"]), (Some(&["/mine"]), Some(&["x"])));
        // An empty entry point resets the image's, and keeps its command.
        commands(Some(&[]), None, (Some(&[]), Some(&["serve"])));
        commands(Some(&[""]), Some(&["sh"]), (None, Some(&["sh"])));
    }

    #[test]
    fn the_request_wins_and_the_image_fills_in() {
        let config = ContainerConfig {
            env: strings(&["A=mine", "B"]),
            labels: [("k".into(), "mine".into())].into(),
            healthcheck: Some(HealthConfig { retries: 2, ..HealthConfig::default() }),
            ..ContainerConfig::default()
        };
        let merged = merge(config, Some(&image())).unwrap();
        assert_eq!(merged.env, ["A=mine", "B", "PATH=/bin"]);
        assert_eq!((merged.user.as_str(), merged.working_dir.as_str()), ("app", "/srv"));
        assert_eq!((merged.labels["k"].as_str(), merged.labels["only"].as_str()), ("mine", "image"));
        let health = merged.healthcheck.unwrap();
        assert_eq!((health.test.len(), health.interval, health.retries), (2, 7, 2));
    }

    #[test]
    fn something_must_be_run() {
        let text = merge(ContainerConfig::default(), None).unwrap_err().to_string();
        assert_eq!(text, "no command specified");
    }
}
