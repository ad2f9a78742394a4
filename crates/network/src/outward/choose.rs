//! Who leads out: the driver that was asked for, or the first that can be used.

use super::{AnyDriver, LICHEN, gvisor, lxc_user_nic, pasta, slirp4netns, vpnkit};
use crate::{
    config::{OutwardChoice, OutwardConfig},
    error::{Error, OutwardError, Result},
    port_driver::PortDriver,
    router::Router,
};
use netd::outward::Settings;

type Probe = fn() -> Result<AnyDriver, OutwardError>;

const DRIVERS: [(OutwardChoice, Probe); 5] = [
    (OutwardChoice::Slirp4netns, slirp4netns::probe),
    (OutwardChoice::Pasta, pasta::probe),
    (OutwardChoice::Vpnkit, vpnkit::probe),
    (OutwardChoice::Gvisor, gvisor::probe),
    (OutwardChoice::LxcUserNic, lxc_user_nic::probe),
];

/// How many of them are tried unasked.
const TRIED: usize = 3;

/// Who leads out, and what to tell the user about it.
#[derive(Default)]
pub(super) struct Choice {
    pub by_forwarder: Option<Settings>,
    pub driver: Option<AnyDriver>,
    pub warnings: Vec<String>,
}

/// A driver whose own port forwarding is chosen is to be chosen by name: with a fallback to another one ports would
/// lead nowhere.
fn check_port_driver(config: &OutwardConfig) -> Result<()> {
    let needed = match config.port_driver {
        PortDriver::Lichen => return Ok(()),
        PortDriver::Slirp4netns => OutwardChoice::Slirp4netns,
        PortDriver::Implicit => OutwardChoice::Pasta,
    };
    if config.driver == needed {
        return Ok(());
    }
    let (port_driver, needed) = (config.port_driver.as_str(), needed.as_str());
    Err(Error::PortDriver { port_driver, needed, net: config.driver.as_str() })
}

fn publishes(driver: AnyDriver, config: &OutwardConfig) -> Result<AnyDriver, OutwardError> {
    if config.port_driver != PortDriver::Lichen {
        driver.can_publish()?;
    }
    Ok(driver)
}

/// The driver asked for, or the first that can be used.
pub(super) fn choose(config: &OutwardConfig, router: &Router) -> Result<Choice> {
    check_port_driver(config)?;
    let choice = config.driver;
    if choice == OutwardChoice::None {
        return Ok(Choice::default());
    }
    let mut reasons = Vec::new();
    if choice.may_be_lichen() {
        match &router.cannot_catch {
            None => {
                let settings = Settings { host_loopback: !config.disable_host_loopback };
                return Ok(Choice { by_forwarder: Some(settings), ..Choice::default() });
            }
            Some(reason) if choice == OutwardChoice::Lichen => {
                let reason = OutwardError::Kernel { reason: reason.clone() };
                return Err(Error::Outward { driver: LICHEN, reason });
            }
            Some(reason) => reasons.push(format!("{LICHEN}: {reason}")),
        }
    }
    let tried = DRIVERS.iter().take(TRIED).filter(|_| choice == OutwardChoice::Auto);
    for (known, probe) in tried.chain(DRIVERS.iter().filter(|(known, _)| *known == choice)) {
        match probe().and_then(|driver| publishes(driver, config)) {
            Ok(driver) => {
                let slower = |reason: &String| {
                    format!("{} leads out, more slowly than Lichen can: {reason}", driver.name())
                };
                let warnings = reasons.first().map(slower).into_iter().collect();
                return Ok(Choice { driver: Some(driver), warnings, by_forwarder: None });
            }
            Err(reason) if choice == *known => {
                return Err(Error::Outward { driver: known.as_str(), reason });
            }
            Err(reason) => reasons.push(format!("{}: {reason}", known.as_str())),
        }
    }
    let warning = format!(
        "containers on bridge networks cannot reach the outside (published ports and --network host work): no network \
         driver can be used ({})",
        reasons.join("; ")
    );
    Ok(Choice { warnings: vec![warning], ..Choice::default() })
}
