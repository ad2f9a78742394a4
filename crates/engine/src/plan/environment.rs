//! The environment of a container's processes. `HOME` is added by the shim, which knows the user's.

use crate::links::Link;
use api_types::ContainerConfig;

/// What a process finds when nobody sets `PATH` (moby `DefaultPathEnv`).
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Docker's own variables, those of links, then the configuration's, which replace or (a bare `NAME`) remove them.
pub(crate) fn environment(config: &ContainerConfig, links: &[Link]) -> Vec<String> {
    let mut env = vec![PATH.to_owned(), format!("HOSTNAME={}", config.hostname)];
    if config.tty {
        env.push("TERM=xterm".to_owned());
    }
    env.extend(links.iter().flat_map(|l| l.env.iter().cloned()));
    overlay(env, &config.env)
}

/// `base` changed by `changes`, each `NAME=value` or, to remove it, `NAME`.
pub(crate) fn overlay(mut base: Vec<String>, changes: &[String]) -> Vec<String> {
    for change in changes {
        let name = change.split_once('=').map_or(change.as_str(), |(name, _)| name);
        let place = base.iter().position(|e| e.strip_prefix(name).is_some_and(|rest| rest.starts_with('=')));
        match (place, change.contains('=')) {
            (Some(place), true) => change.clone_into(&mut base[place]),
            (Some(place), false) => drop(base.remove(place)),
            (None, true) => base.push(change.clone()),
            (None, false) => {}
        }
    }
    base
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_replaces_and_removes() {
        let config = ContainerConfig {
            hostname: "box".into(),
            tty: true,
            env: ["PATH=/mine", "A=1", "A=2", "TERM", "B"].map(str::to_owned).into(),
            ..ContainerConfig::default()
        };
        assert_eq!(environment(&config, &[]), ["PATH=/mine", "HOSTNAME=box", "A=2"]);
    }
}
