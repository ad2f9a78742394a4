//! What the networks are told.

use super::launcher::Service;
use crate::daemon::config::Config;
use anyhow::{Context, Result, bail};
use network::{AddressPool, DefaultBridge, DefaultBridgeV6, OutwardConfig, Program};
use std::{
    error::Error,
    os::fd::{AsRawFd, OwnedFd},
    str::FromStr,
    sync::Arc,
};

pub(super) fn config(
    config: &Config,
    shim: &OwnedFd,
    ports: Vec<OwnedFd>,
    service: Service,
) -> Result<network::Config> {
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
        address_pools: address_pools(config)?,
        outward: OutwardConfig {
            driver: rootless.net,
            mtu: rootless.mtu,
            disable_host_loopback: rootless.disable_host_loopback,
            slirp4netns_sandbox: rootless.slirp4netns_sandbox,
            slirp4netns_seccomp: rootless.slirp4netns_seccomp,
            port_driver: rootless.port_driver,
            ..OutwardConfig::default()
        },
        netd: own("netd"),
        uplink: own("uplink"),
        inherited: ports,
        launcher: Some(Arc::new(service)),
    })
}

/// Whether the addresses that are named are addresses.
pub(super) fn check(config: &Config) -> Result<()> {
    address_pools(config)?;
    bridge(config).map(drop)
}

fn address_pools(config: &Config) -> Result<Vec<AddressPool>> {
    let pool = |pool: &crate::daemon::objects::AddressPool| -> Result<AddressPool> {
        let base = pool.base.parse().with_context(|| {
            format!("invalid default-address-pool {:?}: expected one such as 10.10.0.0/16", pool.base)
        })?;
        let pool = AddressPool { base, size: pool.size };
        // Others would never be cut out of it, and be missed only when another network is made.
        let (least, most) = (pool.base.prefix_len(), pool.base.max_prefix_len());
        if !(least..=most).contains(&pool.size) {
            let AddressPool { base, size } = pool;
            bail!(
                "invalid default-address-pool {base}: size {size}: expected a prefix length of {least} to {most}"
            );
        }
        Ok(pool)
    };
    config.network.pools.iter().map(pool).collect()
}

/// An address with the length of its prefix, of the IP version that `N` is of.
fn subnet<N>(name: &str, text: &Option<String>, example: &str) -> Result<Option<N>>
where
    N: FromStr<Err: Error + Send + Sync + 'static>,
{
    let parse = |text: &str| {
        text.parse().with_context(|| format!("invalid {name} {text:?}: expected one such as {example}"))
    };
    text.as_deref().map(parse).transpose()
}

fn host_ip(text: &str) -> Result<std::net::IpAddr> {
    text.parse().with_context(|| format!("invalid ip {text:?}: expected an address of this host"))
}

fn bridge(config: &Config) -> Result<DefaultBridge> {
    const V4: &str = "192.168.5.1/24";
    const V6: &str = "2001:db8::1/64";
    let network = &config.network;
    let v6 = DefaultBridgeV6 {
        bip: subnet("bip6", &network.bip6, V6)?,
        fixed_cidr: subnet("fixed-cidr-v6", &network.fixed_cidr_v6, V6)?,
    };
    let default = DefaultBridge::default();
    Ok(DefaultBridge {
        bip: subnet("bip", &network.bip, V4)?,
        fixed_cidr: subnet("fixed-cidr", &network.fixed_cidr, V4)?,
        ipv6: network.ipv6.then_some(v6),
        mtu: network.mtu.unwrap_or(default.mtu),
        icc: network.icc,
        host_ip: network.ip.as_deref().map(host_ip).transpose()?,
        ..default
    })
}

#[cfg(test)]
mod tests {
    use crate::daemon::config::tests::config;

    #[test]
    fn networks_are_not_larger_than_their_pool_nor_smaller_than_an_address() {
        let checked =
            |pool: &str| super::check(&config(&[&format!("--default-address-pool={pool}")]).unwrap());
        checked("base=10.10.0.0/16,size=16").unwrap();
        checked("base=fd00::/48,size=64").unwrap();
        for (pool, expected) in [
            ("base=10.10.0.0/16,size=8", "size 8: expected a prefix length of 16 to 32"),
            ("base=10.10.0.0/16,size=40", "size 40: expected a prefix length of 16 to 32"),
            ("base=fd00::/48,size=32", "size 32: expected a prefix length of 48 to 128"),
        ] {
            let refused = checked(pool).unwrap_err().to_string();
            assert!(refused.ends_with(expected), "{pool}: {refused}");
        }
    }
}
