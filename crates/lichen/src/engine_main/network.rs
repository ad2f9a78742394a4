//! What the networks are told.

use super::launcher::Service;
use crate::daemon::config::Config;
use anyhow::{Context, Result};
use network::{AddressPool, DefaultBridge, DefaultBridgeV6, OutwardConfig, Program};
use std::{
    os::fd::{AsRawFd, OwnedFd},
    sync::Arc,
};

pub(super) fn config(
    config: &Config,
    shim: &OwnedFd,
    ports: Vec<OwnedFd>,
    service: Service,
) -> Result<network::Config> {
    let pool = |pool: &crate::daemon::objects::AddressPool| -> Result<AddressPool> {
        let base = pool.base.parse().with_context(|| format!("invalid address pool {:?}", pool.base))?;
        Ok(AddressPool { base, size: pool.size })
    };
    let rootless = &config.rootless;
    let own = |verb: &str| Program {
        // By this process's number, not /proc/self: the descriptor stays closed to whatever else is started.
        path: format!("/proc/{}/fd/{}", std::process::id(), shim.as_raw_fd()).into(),
        args: vec![verb.into()],
    };
    Ok(network::Config {
        run: config.run.clone(),
        router: config.run.router_netns(),
        bridge: bridge(config)?,
        address_pools: config.network.pools.iter().map(pool).collect::<Result<_>>()?,
        outward: OutwardConfig {
            driver: rootless.net.parse()?,
            mtu: rootless.mtu,
            disable_host_loopback: rootless.disable_host_loopback,
            slirp4netns_sandbox: rootless.slirp4netns_sandbox.parse()?,
            slirp4netns_seccomp: rootless.slirp4netns_seccomp.parse()?,
            port_driver: rootless.port_driver.parse()?,
            ..OutwardConfig::default()
        },
        netd: own("netd"),
        uplink: own("uplink"),
        inherited: ports,
        launcher: Some(Arc::new(service)),
    })
}

fn bridge(config: &Config) -> Result<DefaultBridge> {
    let network = &config.network;
    let net = |name: &str, text: &Option<String>| {
        text.as_deref().map(|t| t.parse().with_context(|| format!("invalid {name} {t:?}"))).transpose()
    };
    let net6 = |name: &str, text: &Option<String>| {
        text.as_deref().map(|t| t.parse().with_context(|| format!("invalid {name} {t:?}"))).transpose()
    };
    let v6 = DefaultBridgeV6 {
        bip: net6("bip6", &network.bip6)?,
        fixed_cidr: net6("fixed-cidr-v6", &network.fixed_cidr_v6)?,
    };
    let default = DefaultBridge::default();
    Ok(DefaultBridge {
        bip: net("bip", &network.bip)?,
        fixed_cidr: net("fixed-cidr", &network.fixed_cidr)?,
        ipv6: network.ipv6.then_some(v6),
        mtu: network.mtu.unwrap_or(default.mtu),
        icc: network.icc,
        host_ip: network.ip.as_deref().map(str::parse).transpose().context("invalid ip")?,
        ..default
    })
}
