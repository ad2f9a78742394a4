//! `network create`

use std::net::IpAddr;

use api_types::{ConfigReference, Ipam, IpamConfig, NetworkCreateRequest, NetworkCreateResponse};

use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::{Cli, complain, println};
use crate::connect::Request;
use crate::error::Error;
use crate::opts;

pub static COMMAND: Command = Command {
    usage: "[OPTIONS] NETWORK",
    about: "Create a network",
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[&[
        Flag::bool("attachable", "Let containers be attached by hand"),
        Flag::map("aux-address", "Address that containers shall not get (name=address)").default("map[]"),
        Flag::string("config-from", "Network whose configuration to copy"),
        Flag::bool("config-only", "Create a configuration for others to copy"),
        Flag::string("driver", "Driver of the network").short('d').default("\"bridge\""),
        Flag::strings("gateway", "Gateway of a subnet"),
        Flag::bool("ingress", "Create the network that routes into a swarm"),
        Flag::bool("internal", "Keep the network from reaching the outside"),
        Flag::strings("ip-range", "Part of a subnet from which containers get addresses"),
        Flag::string("ipam-driver", "Driver that hands out addresses").default("\"default\""),
        Flag::map("ipam-opt", "Option of that driver").default("map[]"),
        Flag::bool("ipv4", "Whether containers get IPv4 addresses").default("true"),
        Flag::bool("ipv6", "Whether containers get IPv6 addresses"),
        Flag::list("label", "Set a label").check(opts::env::check_label),
        Flag::map("opt", "Option of the driver").short('o').default("map[]"),
        Flag::string("scope", "Scope of the network"),
        Flag::strings("subnet", "Subnet of the network, in CIDR form"),
    ]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

/// An address range, `address/bits`.
#[derive(Clone, Copy)]
struct Cidr {
    base: u128,
    bits: u32,
    width: u32,
}

impl Cidr {
    fn parse(text: &str) -> Result<Self, String> {
        let invalid = || format!("invalid CIDR address: {text}");
        let (address, bits) = text.split_once('/').ok_or_else(invalid)?;
        let (base, width) = number(address).ok_or_else(invalid)?;
        let bits: u32 = bits.parse().map_err(|_| invalid())?;
        if bits > width {
            return Err(invalid());
        }
        Ok(Self { base, bits, width })
    }

    fn contains(self, address: &str) -> bool {
        let host_bits = self.width - self.bits;
        number(address).is_some_and(|(value, width)| {
            width == self.width
                && value.checked_shr(host_bits).unwrap_or(0) == self.base.checked_shr(host_bits).unwrap_or(0)
        })
    }
}

fn number(address: &str) -> Option<(u128, u32)> {
    match address.parse().ok()? {
        IpAddr::V4(v4) => Some((u32::from(v4).into(), 32)),
        IpAddr::V6(v6) => Some((u128::from(v6), 128)),
    }
}

/// Puts each gateway, range and reserved address with the subnet it lies in.
fn ipam_config(args: &Parsed) -> Result<Vec<IpamConfig>, String> {
    let subnets = args.all("subnet");
    if subnets.is_empty() && ["gateway", "ip-range", "aux-address"].iter().any(|flag| args.given(flag)) {
        return Err("every ip-range or gateway must have a corresponding subnet".into());
    }
    let mut configs = Vec::new();
    for subnet in &subnets {
        let cidr = Cidr::parse(subnet)?;
        for (other, _) in &configs {
            let other: &Cidr = other;
            let (narrow, wide) = if other.bits > cidr.bits { (other, &cidr) } else { (&cidr, other) };
            let shift = wide.width - wide.bits;
            if narrow.width == wide.width && narrow.base.checked_shr(shift) == wide.base.checked_shr(shift) {
                return Err("multiple overlapping subnet configuration is not supported".into());
            }
        }
        configs.push((cidr, IpamConfig { subnet: subnet.clone(), ..IpamConfig::default() }));
    }
    let mut find = |address: &str, put: &dyn Fn(&mut IpamConfig) -> Result<(), String>, complaint: String| {
        let found = configs.iter_mut().find(|(cidr, _)| cidr.contains(address));
        found.map_or(Err(complaint), |(_, config)| put(config))
    };
    for range in args.all("ip-range") {
        let address = range.split('/').next().unwrap_or_default().to_owned();
        let put = |config: &mut IpamConfig| once(&mut config.ip_range, &range, "ranges", &config.subnet);
        find(&address, &put, format!("no matching subnet for range {range}"))?;
    }
    for gateway in args.all("gateway") {
        let put = |config: &mut IpamConfig| once(&mut config.gateway, &gateway, "gateways", &config.subnet);
        find(&gateway, &put, format!("no matching subnet for gateway {gateway}"))?;
    }
    for (name, address) in opts::map(&args.all("aux-address")) {
        let put = |config: &mut IpamConfig| {
            config.auxiliary_addresses.insert(name.clone(), address.clone());
            Ok(())
        };
        find(&address, &put, format!("no matching subnet for aux-address {address}"))?;
    }
    Ok(configs.into_iter().map(|(_, config)| config).collect())
}

fn once(slot: &mut String, value: &str, what: &str, subnet: &str) -> Result<(), String> {
    if !slot.is_empty() {
        return Err(format!(
            "cannot configure multiple {what} ({slot}, {value}) on the same subnet ({subnet})"
        ));
    }
    value.clone_into(slot);
    Ok(())
}

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let ipam = Ipam {
        driver: args.get("ipam-driver").unwrap_or("default").to_owned(),
        options: opts::map(&args.all("ipam-opt")),
        config: ipam_config(args).map_err(Error::Invalid)?,
    };
    let switch = |flag: &str| args.given(flag).then(|| args.bool(flag));
    let request = NetworkCreateRequest {
        name: args.args[0].clone(),
        driver: args.get("driver").unwrap_or("bridge").to_owned(),
        scope: args.text("scope"),
        enable_ipv4: switch("ipv4"),
        enable_ipv6: switch("ipv6"),
        ipam: Some(ipam),
        internal: args.bool("internal"),
        attachable: args.bool("attachable"),
        ingress: args.bool("ingress"),
        config_only: args.bool("config-only"),
        config_from: args
            .non_empty("config-from")
            .map(|network| ConfigReference { network: network.to_owned() }),
        options: opts::map(&args.all("opt")),
        labels: opts::map(&args.all("label")),
        ..NetworkCreateRequest::default()
    };
    let created: NetworkCreateResponse =
        cli.client()?.json(Request::post("/networks/create").json(&request)?).await?;
    if !created.warning.is_empty() {
        complain(format!("WARNING: {}", created.warning));
    }
    println(created.id).map(|()| 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::parse::parse;

    fn config(words: &str) -> Result<Vec<IpamConfig>, String> {
        let words: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
        ipam_config(&parse(&COMMAND, "docker network create", &words).unwrap())
    }

    #[test]
    fn addresses_go_to_their_subnets() {
        let found = config("--subnet 10.0.0.0/24 --subnet fd00::/64 --gateway fd00::1 --gateway 10.0.0.1 --ip-range 10.0.0.128/25 --aux-address a=10.0.0.5 n").unwrap();
        assert_eq!((found[0].gateway.as_str(), found[0].ip_range.as_str()), ("10.0.0.1", "10.0.0.128/25"));
        assert_eq!(found[0].auxiliary_addresses["a"], "10.0.0.5");
        assert_eq!(found[1].gateway, "fd00::1");
    }

    #[test]
    fn refusals() {
        for (words, message) in [
            ("--gateway 10.0.0.1 n", "every ip-range or gateway must have a corresponding subnet"),
            ("--subnet x n", "invalid CIDR address: x"),
            ("--subnet 10.0.0.0/24 --gateway 10.1.0.1 n", "no matching subnet for gateway 10.1.0.1"),
            (
                "--subnet 10.0.0.0/8 --subnet 10.1.0.0/16 n",
                "multiple overlapping subnet configuration is not supported",
            ),
        ] {
            assert_eq!(config(words).unwrap_err(), message);
        }
    }
}
