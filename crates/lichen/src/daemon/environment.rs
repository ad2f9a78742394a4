//! The `DOCKERD_ROOTLESS_ROOTLESSKIT_*` variables of dockerd-rootless.sh, so that an existing `override.conf` works.

use super::config;
use super::error::{Error, Result};
use super::settings::Settings;
use network::{OutwardChoice, PortDriver, Toggle};
use std::env;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

/// What RootlessKit's options say here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rootless {
    /// `--state-dir`: stands in for `--exec-root`.
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) net: OutwardChoice,
    pub(crate) mtu: Option<u32>,
    pub(crate) port_driver: PortDriver,
    pub(crate) slirp4netns_sandbox: Toggle,
    pub(crate) slirp4netns_seccomp: Toggle,
    pub(crate) disable_host_loopback: bool,
    /// The host's bridge that lxc-user-nic makes an interface on.
    pub(crate) lxc_bridge: String,
}

const PREFIX: &str = "DOCKERD_ROOTLESS_ROOTLESSKIT_";

/// The bridge of Debian's and LXC's own lxc-net.
const LXC_BRIDGE: &str = "lxcbr0";

/// From the environment; flags win over it.
pub(crate) fn read(settings: &Settings) -> Result<Rootless> {
    resolve(settings, |name| env::var(format!("{PREFIX}{name}")).ok().filter(|v| !v.is_empty()))
}

fn resolve(settings: &Settings, variable: impl Fn(&str) -> Option<String>) -> Result<Rootless> {
    let text = |key, name, default: &str| {
        settings.text(key).map(str::to_owned).or_else(|| variable(name)).unwrap_or_else(|| default.to_owned())
    };
    let disable = match settings.bool("lichen-disable-host-loopback") {
        Some(disable) => disable,
        None => match variable("DISABLE_HOST_LOOPBACK").as_deref() {
            None | Some("true" | "1") => true,
            Some("false" | "0") => false,
            Some(other) => {
                return Err(Error::invalid("disable-host-loopback", other, "expected true or false"));
            }
        },
    };
    let detach = text("lichen-detach-netns", "DETACH_NETNS", "auto");
    if !matches!(detach.as_str(), "auto" | "true" | "1") {
        return Err(Error::invalid("detach-netns", detach, "the network namespace is always detached here"));
    }
    let flags = flags(&variable("FLAGS").unwrap_or_default())?;
    let state_dir = variable("STATE_DIR").map(|dir| {
        std::path::absolute(&dir).map_err(|error| Error::invalid(STATE_DIR, dir, error.to_string()))
    });
    Ok(Rootless {
        state_dir: state_dir.transpose()?,
        net: parsed("net", text("lichen-net", "NET", "auto"))?,
        mtu: variable("MTU").map(|text| config::mtu(MTU, text.parse().ok(), text)).transpose()?,
        port_driver: parsed("port-driver", text("lichen-port-driver", "PORT_DRIVER", "auto"))?,
        slirp4netns_sandbox: parsed(
            "slirp4netns-sandbox",
            text("lichen-slirp4netns-sandbox", "SLIRP4NETNS_SANDBOX", "auto"),
        )?,
        slirp4netns_seccomp: parsed(
            "slirp4netns-seccomp",
            text("lichen-slirp4netns-seccomp", "SLIRP4NETNS_SECCOMP", "auto"),
        )?,
        disable_host_loopback: disable,
        lxc_bridge: settings
            .text("lichen-lxc-user-nic-bridge")
            .map(str::to_owned)
            .or(flags.lxc_bridge)
            .unwrap_or_else(|| LXC_BRIDGE.to_owned()),
    })
}

fn parsed<T: FromStr<Err: Display>>(option: &'static str, text: String) -> Result<T> {
    text.parse().map_err(|error: T::Err| Error::invalid(option, text, error.to_string()))
}

/// What RootlessKit's options in `FLAGS` mean here.
#[derive(Debug, Default)]
struct Flags {
    lxc_bridge: Option<String>,
}

const STATE_DIR: &str = "DOCKERD_ROOTLESS_ROOTLESSKIT_STATE_DIR";
const MTU: &str = "DOCKERD_ROOTLESS_ROOTLESSKIT_MTU";
const FLAGS: &str = "DOCKERD_ROOTLESS_ROOTLESSKIT_FLAGS";

/// `-p 0.0.0.0:2376:2376/tcp` makes RootlessKit publish a port of the engine. The engine is in the host's network
/// namespace here, so it is published by `-H` alone, and the flag only has to be well-formed.
fn flags(text: &str) -> Result<Flags> {
    let mut flags = Flags::default();
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        let bridge = match word {
            "--lxc-user-nic-bridge" => words.next(),
            _ => word.strip_prefix("--lxc-user-nic-bridge="),
        };
        match bridge {
            Some(bridge) => flags.lxc_bridge = Some(bridge.to_owned()),
            None => check_publish(word, &mut words)?,
        }
    }
    Ok(flags)
}

fn check_publish<'a>(word: &'a str, words: &mut impl Iterator<Item = &'a str>) -> Result<()> {
    let value = match word {
        "-p" | "--publish" => words.next(),
        _ => word.strip_prefix("-p=").or_else(|| word.strip_prefix("--publish=")).or_else(|| {
            word.strip_prefix("-p").filter(|v| v.starts_with(|c: char| c.is_ascii_digit() || c == '['))
        }),
    };
    let reason = "only -p [IP:]PORT:PORT/PROTOCOL and --lxc-user-nic-bridge=BRIDGE are known";
    let spec = value.ok_or_else(|| Error::invalid(FLAGS, word, reason))?;
    let (ports, protocol) = spec.rsplit_once('/').unwrap_or((spec, "tcp"));
    let numbers: Vec<_> = ports.rsplit(':').take(2).map(str::parse::<u16>).collect();
    let well_formed = numbers.len() == 2 && numbers.iter().all(Result::is_ok);
    if !well_formed || !protocol.starts_with("tcp") {
        return Err(Error::invalid(FLAGS, spec, reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::settings;
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Rootless> {
        with_flags(&[], variables)
    }

    fn with_flags(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Rootless> {
        let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        let find = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        resolve(&settings::parse(&arguments)?.settings, find)
    }

    #[test]
    fn each_variable_has_a_flag_that_says_the_same_and_wins() {
        for (variable, value, other, flag) in [
            ("NET", "slirp4netns", "pasta", "net"),
            ("PORT_DRIVER", "slirp4netns", "implicit", "port-driver"),
            ("SLIRP4NETNS_SANDBOX", "true", "false", "slirp4netns-sandbox"),
            ("SLIRP4NETNS_SECCOMP", "false", "true", "slirp4netns-seccomp"),
            ("DISABLE_HOST_LOOPBACK", "false", "true", "disable-host-loopback"),
            ("DETACH_NETNS", "true", "false", "detach-netns"),
            ("FLAGS", "--lxc-user-nic-bridge=br7", "--lxc-user-nic-bridge=br8", "lxc-user-nic-bridge"),
        ] {
            let flag = format!("--{flag}={}", value.rsplit('=').next().unwrap_or(value));
            let by_variable = with(&[(variable, value)]).unwrap();
            assert_eq!(by_variable, with_flags(&[&flag], &[]).unwrap(), "{flag}");
            assert_eq!(by_variable, with_flags(&[&flag], &[(variable, other)]).unwrap(), "{flag}");
        }
        // --exec-root and --mtu are dockerd's own; the configuration puts them before these.
        let rootless = with(&[("STATE_DIR", "/run/x"), ("MTU", "1400")]).unwrap();
        assert_eq!((rootless.state_dir, rootless.mtu), (Some("/run/x".into()), Some(1400)));
        assert!(with(&[("STATE_DIR", "x")]).unwrap().state_dir.unwrap().is_absolute());
    }

    #[test]
    fn an_existing_override_is_understood() {
        let rootless = with(&[
            ("NET", "pasta"),
            ("PORT_DRIVER", "implicit"),
            ("MTU", "1500"),
            ("DISABLE_HOST_LOOPBACK", "false"),
            ("FLAGS", "-p 0.0.0.0:2376:2376/tcp --publish=127.0.0.1:80:80/tcp"),
        ])
        .unwrap();
        assert_eq!(
            (rootless.net, rootless.port_driver, rootless.mtu, rootless.disable_host_loopback),
            (OutwardChoice::Pasta, PortDriver::Implicit, Some(1500), false)
        );
        assert_eq!(rootless.lxc_bridge, "lxcbr0");
        let chosen = with(&[("FLAGS", "-p 80:80 --lxc-user-nic-bridge=br7")]).unwrap();
        assert_eq!(chosen.lxc_bridge, "br7");
        assert!(with(&[]).unwrap().disable_host_loopback);
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for (name, value) in [
            ("DETACH_NETNS", "false"),
            ("MTU", "big"),
            ("MTU", "20"),
            ("NET", "vde"),
            ("PORT_DRIVER", "pesto"),
            ("SLIRP4NETNS_SANDBOX", "maybe"),
            ("SLIRP4NETNS_SECCOMP", "maybe"),
            ("FLAGS", "--debug"),
            ("FLAGS", "-p 80"),
            ("DISABLE_HOST_LOOPBACK", "x"),
        ] {
            assert!(with(&[(name, value)]).is_err(), "{name}={value}");
        }
    }
}
