//! Dockerfile instructions that `import` and `commit` take as changes of the configuration.

mod words;

use crate::{
    ContainerConfig,
    config::{Empty, Healthcheck},
};
use words::{duration, json_list, pairs, words};

/// Why a change cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidChange {
    /// Docker's words.
    #[error("{0} is not a valid change command")]
    NotAllowed(String),
    #[error("{instruction} requires at least one argument")]
    NoArgument { instruction: String },
    #[error("{instruction} requires exactly one argument")]
    NotOneArgument { instruction: String },
    #[error("Syntax error - can't find = in {word:?}. Must be of the form: name=value")]
    NotAPair { word: String },
    #[error("unterminated quote in {text:?}")]
    Quote { text: String },
    #[error("invalid containerPort: {0}")]
    Port(String),
    #[error("Unknown type {0:?} in HEALTHCHECK (try CMD)")]
    HealthcheckKind(String),
    #[error("invalid value {value:?} for flag --{flag} of HEALTHCHECK")]
    HealthcheckFlag { flag: String, value: String },
    #[error("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")]
    ChainedOnBuild,
    #[error("{0} isn't allowed as an ONBUILD trigger")]
    OnBuildTrigger(String),
    #[error("VOLUME specified can not be an empty string")]
    EmptyVolume,
}

type Result<T, E = InvalidChange> = std::result::Result<T, E>;

/// Applies instructions in order.
pub fn apply(config: &mut ContainerConfig, changes: &[String]) -> Result<()> {
    let mut cmd_is_new = false;
    for line in changes.iter().flat_map(|change| change.lines()).map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (keyword, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        one(config, keyword, rest.trim(), &mut cmd_is_new)?;
    }
    Ok(())
}

fn one(config: &mut ContainerConfig, keyword: &str, rest: &str, cmd_is_new: &mut bool) -> Result<()> {
    const ALLOWED: [&str; 11] = [
        "CMD",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "HEALTHCHECK",
        "LABEL",
        "ONBUILD",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
    ];
    let instruction = keyword.to_uppercase();
    if !ALLOWED.contains(&instruction.as_str()) {
        // As it was written.
        return Err(InvalidChange::NotAllowed(keyword.to_owned()));
    }
    match instruction.as_str() {
        "STOPSIGNAL" | "USER" | "WORKDIR" if rest.is_empty() => {
            return Err(InvalidChange::NotOneArgument { instruction });
        }
        "CMD" | "ENTRYPOINT" => {}
        _ if rest.is_empty() => return Err(InvalidChange::NoArgument { instruction }),
        _ => {}
    }
    match instruction.as_str() {
        "CMD" => {
            config.cmd = command(config, rest);
            *cmd_is_new = true;
        }
        "ENTRYPOINT" => {
            config.entrypoint = command(config, rest);
            // A command meant for another entrypoint would be nonsense as arguments of this one.
            if !*cmd_is_new {
                config.cmd = None;
            }
        }
        "ENV" => pairs(rest)?.into_iter().for_each(|(key, value)| set_env(&mut config.env, &key, &value)),
        "LABEL" => config.labels.extend(pairs(rest)?),
        "EXPOSE" => {
            for word in words(rest)? {
                config.exposed_ports.extend(ports(&word)?.into_iter().map(|port| (port, Empty {})));
            }
        }
        "HEALTHCHECK" => config.healthcheck = Some(healthcheck(rest)?),
        "ONBUILD" => config.on_build.push(on_build(rest)?),
        "STOPSIGNAL" => config.stop_signal = single(&instruction, rest)?,
        "USER" => config.user = single(&instruction, rest)?,
        "WORKDIR" => config.working_dir = workdir(&config.working_dir, &single(&instruction, rest)?),
        _ => {
            for path in json_list(rest).map_or_else(|| words(rest), Ok)? {
                if path.trim().is_empty() {
                    return Err(InvalidChange::EmptyVolume);
                }
                config.volumes.insert(path.trim().to_owned(), Empty {});
            }
        }
    }
    Ok(())
}

/// The JSON form as it is; anything else is a command line for the shell. An empty list resets.
fn command(config: &ContainerConfig, rest: &str) -> Option<Vec<String>> {
    match json_list(rest) {
        Some(list) => (!list.is_empty()).then_some(list),
        None if rest.is_empty() => None,
        None => {
            let shell = || vec!["/bin/sh".to_owned(), "-c".to_owned()];
            let mut words = config.shell.clone().unwrap_or_else(shell);
            words.push(rest.to_owned());
            Some(words)
        }
    }
}

fn single(instruction: &str, rest: &str) -> Result<String> {
    let mut words = words(rest)?;
    match words.len() {
        1 => Ok(words.remove(0)),
        _ => Err(InvalidChange::NotOneArgument { instruction: instruction.to_owned() }),
    }
}

/// Replaces the variable, or adds it.
fn set_env(env: &mut Vec<String>, key: &str, value: &str) {
    let line = format!("{key}={value}");
    match env.iter_mut().find(|old| old.split('=').next() == Some(key)) {
        Some(old) => *old = line,
        None => env.push(line),
    }
}

/// `80`, `80/udp`, `8000-8002/tcp`.
fn ports(word: &str) -> Result<Vec<String>> {
    let bad = || InvalidChange::Port(word.to_owned());
    let (range, protocol) = word.split_once('/').unwrap_or((word, "tcp"));
    let protocol = protocol.to_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(bad());
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let parse = |text: &str| text.parse::<u16>().map_err(|_| bad());
    let (first, last) = (parse(first)?, parse(last)?);
    if first > last {
        return Err(bad());
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn healthcheck(rest: &str) -> Result<Healthcheck> {
    let mut check = Healthcheck::default();
    let mut rest = rest;
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
        let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
        let bad = || InvalidChange::HealthcheckFlag { flag: name.to_owned(), value: value.to_owned() };
        let target = match name {
            "interval" => &mut check.interval,
            "timeout" => &mut check.timeout,
            "start-period" => &mut check.start_period,
            "start-interval" => &mut check.start_interval,
            "retries" => &mut check.retries,
            _ => return Err(bad()),
        };
        let parsed = if name == "retries" { value.parse().ok().filter(|n| *n >= 0) } else { duration(value) };
        *target = parsed.ok_or_else(bad)?;
        rest = after.trim_start();
    }
    let (kind, arguments) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let arguments = arguments.trim();
    check.test = match kind.to_uppercase().as_str() {
        "NONE" => vec!["NONE".to_owned()],
        "CMD" if arguments.is_empty() => {
            return Err(InvalidChange::NoArgument { instruction: "HEALTHCHECK CMD".to_owned() });
        }
        "CMD" => match json_list(arguments) {
            Some(list) => std::iter::once("CMD".to_owned()).chain(list).collect(),
            None => vec!["CMD-SHELL".to_owned(), arguments.to_owned()],
        },
        _ => return Err(InvalidChange::HealthcheckKind(kind.to_owned())),
    };
    Ok(check)
}

fn on_build(rest: &str) -> Result<String> {
    match rest.split_whitespace().next().unwrap_or_default().to_uppercase().as_str() {
        "ONBUILD" => Err(InvalidChange::ChainedOnBuild),
        trigger @ ("MAINTAINER" | "FROM") => Err(InvalidChange::OnBuildTrigger(trigger.to_owned())),
        _ => Ok(rest.to_owned()),
    }
}

/// A relative directory is below the one before.
fn workdir(before: &str, path: &str) -> String {
    let base = if path.starts_with('/') { "" } else { before };
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests;
