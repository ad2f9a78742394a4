//! Settings for the networks.

use crate::settings::Settings;
use anyhow::{Context, Result};
use model::RunLayout;
use network::{AddressPool, Config, DefaultBridge, OutwardConfig, Program};
use std::os::fd::{AsRawFd, OwnedFd};

pub(super) fn config(settings: &Settings, run: &RunLayout, shim: &OwnedFd) -> Result<Config> {
    let pool = |pool: &crate::settings::AddressPool| -> Result<AddressPool> {
        let base = pool.base.parse().with_context(|| format!("invalid address pool {:?}", pool.base))?;
        Ok(AddressPool { base, size: pool.size })
    };
    Ok(Config {
        run: run.clone(),
        router: run.router_netns(),
        bridge: bridge(settings)?,
        address_pools: settings.default_address_pools.iter().map(pool).collect::<Result<_>>()?,
        outward: OutwardConfig {
            driver: settings.net.parse()?,
            mtu: settings.net_mtu,
            disable_host_loopback: settings.disable_host_loopback,
            slirp4netns_sandbox: settings.slirp4netns_sandbox.parse()?,
            slirp4netns_seccomp: settings.slirp4netns_seccomp.parse()?,
            ..OutwardConfig::default()
        },
        netd: Program {
            // By this process's number, not /proc/self: the descriptor stays closed to whatever else is started.
            path: format!("/proc/{}/fd/{}", std::process::id(), shim.as_raw_fd()).into(),
            args: vec!["netd".into()],
        },
        inherited: vec![],
    })
}

fn bridge(settings: &Settings) -> Result<DefaultBridge> {
    let net = |name: &str, text: &Option<String>| {
        text.as_deref().filter(|t| !t.is_empty()).map(|t| t.parse().with_context(|| format!("invalid {name} {t:?}"))).transpose()
    };
    let default = DefaultBridge::default();
    Ok(DefaultBridge {
        enabled: settings.bridge.as_deref() != Some("none"),
        bip: net("bip", &settings.bip)?,
        fixed_cidr: net("fixed-cidr", &settings.fixed_cidr)?,
        default_gateway: settings.default_gateway,
        mtu: settings.mtu.filter(|m| *m != 0).unwrap_or(default.mtu),
        icc: settings.icc,
        host_ip: settings.ip,
    })
}
