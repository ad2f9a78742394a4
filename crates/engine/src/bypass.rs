//! Connections by sockets of the host's: which containers make them, by the annotations that nerdctl(1) has for
//! bypass4netns.

use crate::{Config, Engine, Error, container::Record, create::Invalid, network_plan::Mode};
use api_types::HostConfig;
use ipnet::IpNet;
use shim_proto::RuntimeChoice;
use spec::oci::{LinuxSeccompAction, Spec};
use std::path::PathBuf;

/// nerdctl, `pkg/annotations`: whether; a JSON array of further subnets that are left alone; whether listening sockets are.
const ENABLE: &str = "nerdctl/bypass4netns";
const SUBNETS: &str = "nerdctl/bypass4netns-ignore-subnets";
const BIND: &str = "nerdctl/bypass4netns-ignore-bind";

/// What a container is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Reached the ordinary way besides what always is.
    pub(crate) excepted: Vec<IpNet>,
    /// Asked for by the container itself, so that not having it is an error.
    own: bool,
}

/// From the annotations, or else the daemon's option.
pub(crate) fn wish(host: &HostConfig, config: &Config) -> Result<Option<Wish>, Invalid> {
    let own = host.annotations.get(ENABLE).map(|value| boolean(ENABLE, value)).transpose()?;
    let excepted = host.annotations.get(SUBNETS).map_or(Ok(Vec::new()), |value| subnets(value))?;
    if let Some(value) = host.annotations.get(BIND)
        && !boolean(BIND, value)?
    {
        let expected = "true: listening sockets stay the container's own";
        return Err(Invalid::Annotation { name: BIND, value: value.clone(), expected });
    }
    let wanted = own.unwrap_or(config.bypass);
    Ok(wanted.then_some(Wish { excepted, own: own.is_some() }))
}

/// As Go's `strconv.ParseBool` reads it.
fn boolean(name: &'static str, value: &str) -> Result<bool, Invalid> {
    match value {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(Invalid::Annotation { name, value: value.to_owned(), expected: "true or false" }),
    }
}

fn subnets(value: &str) -> Result<Vec<IpNet>, Invalid> {
    serde_json::from_str(value).map_err(|_| Invalid::Annotation {
        name: SUBNETS,
        value: value.to_owned(),
        expected: "a JSON array of subnets, such as [\"192.0.2.0/24\"]",
    })
}

/// What can be known at creation.
pub(crate) fn check(host: &HostConfig, config: &Config) -> Result<(), Error> {
    let Some(wish) = wish(host, config)? else { return Ok(()) };
    if wish.own && is_external(host, config) {
        return Err(Error::Unsupported { what: format!("bypass4netns with the runtime {}", host.runtime) });
    }
    Ok(())
}

fn is_external(host: &HostConfig, config: &Config) -> bool {
    let settings = config.settings.get();
    matches!(settings.runtimes.get(&host.runtime), Some(RuntimeChoice::External { .. }))
}

/// The file that says where the container may connect to; none when it makes its connections by itself: without a network
/// of its own, or when the daemon's option cannot be had together with what the container asks for.
pub(crate) fn policy(
    engine: &Engine,
    record: &Record,
    wish: Option<&Wish>,
    spec: &Spec,
) -> Result<Option<PathBuf>, Error> {
    let host = &record.host_config;
    let Some(wish) = wish else { return Ok(None) };
    if !wish.own && (is_external(host, &engine.config) || notifies(spec)) {
        return Ok(None);
    }
    Ok(match Mode::of(host) {
        Mode::Host => None,
        Mode::Own => engine
            .networks
            .sandbox(&record.id)
            .filter(|sandbox| !sandbox.endpoints.is_empty())
            .map(|_| engine.config.run.bypass(&record.id)),
        Mode::Container(other) => Some(engine.config.run.bypass(engine.containers.find(other)?.id())),
    })
}

/// Whether the container's own filter has somebody told of system calls, of whom there can be only one.
fn notifies(spec: &Spec) -> bool {
    let rules = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
    let rules = rules.into_iter().flat_map(|rules| rules.syscalls().iter().flatten());
    rules.into_iter().any(|rule| rule.action() == LinuxSeccompAction::ScmpActNotify)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::config;

    fn of(annotations: &[(&str, &str)], by_default: bool) -> Result<Option<Wish>, String> {
        let host = HostConfig {
            annotations: annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..HostConfig::default()
        };
        wish(&host, &Config { bypass: by_default, ..config() }).map_err(|e| e.to_string())
    }

    #[test]
    fn annotations_are_nerdctls_and_win_over_the_daemon() {
        let wished = |own| Ok(Some(Wish { excepted: Vec::new(), own }));
        assert_eq!(of(&[], false), Ok(None));
        assert_eq!(of(&[], true), wished(false));
        assert_eq!(of(&[(ENABLE, "true")], false), wished(true));
        assert_eq!(of(&[(ENABLE, "1"), (BIND, "true")], false), wished(true));
        assert_eq!(of(&[(ENABLE, "false")], true), Ok(None));
        let excepted = of(&[(ENABLE, "true"), (SUBNETS, r#"["10.0.0.0/8", "fd00::/8"]"#)], false);
        assert_eq!(excepted.unwrap().unwrap().excepted.len(), 2);
    }

    #[test]
    fn what_is_not_understood_or_not_there_is_refused() {
        for (name, value, words) in [
            (ENABLE, "yes", "expected true or false"),
            (SUBNETS, "10.0.0.0/8", "expected a JSON array of subnets"),
            (SUBNETS, r#"["ten"]"#, "expected a JSON array of subnets"),
            (BIND, "false", "listening sockets stay the container's own"),
        ] {
            let error = of(&[(name, value)], true).unwrap_err();
            assert!(error.starts_with(&format!("invalid annotation {name}={value}: ")), "{error}");
            assert!(error.contains(words), "{error}");
        }
    }
}
