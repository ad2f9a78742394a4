//! `network connect` and `network disconnect`

use api_types::{EndpointIpamConfig, EndpointSettings, NetworkConnectRequest, NetworkDisconnectRequest};

use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::Cli;
use crate::connect::Request;
use crate::error::Error;
use crate::opts::{self, hosts};

pub static CONNECT: Command = Command {
    usage: "[OPTIONS] NETWORK CONTAINER",
    about: "Connect a container to a network",
    arity: Arity::Exactly(2),
    interspersed: true,
    flags: &[&[
        Flag::strings("alias", "Another name of the container on this network"),
        Flag::strings("driver-opt", "Option of the network's driver"),
        Flag::int("gw-priority", "The network of highest priority gives the default gateway"),
        Flag::string("ip", "IPv4 address (\"172.30.100.104\")"),
        Flag::string("ip6", "IPv6 address (\"2001:db8::33\")"),
        Flag::list("link", "Link to another container").check(hosts::check_link),
        Flag::strings("link-local-ip", "Link-local address"),
    ]],
    action: Action::Run(|cli, args| Box::pin(connect(cli, args))),
};

pub static DISCONNECT: Command = Command {
    usage: "[OPTIONS] NETWORK CONTAINER",
    about: "Disconnect a container from a network",
    arity: Arity::Exactly(2),
    interspersed: true,
    flags: &[&[Flag::bool("force", "Disconnect even when it is not running").short('f')]],
    action: Action::Run(|cli, args| Box::pin(disconnect(cli, args))),
};

async fn connect(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let driver_opts = args.all("driver-opt");
    if driver_opts.iter().any(|option| !option.contains('=')) {
        return Err(Error::invalid("invalid key/value pair format in driver options"));
    }
    let ipam = EndpointIpamConfig {
        ipv4_address: args.text("ip"),
        ipv6_address: args.text("ip6"),
        link_local_ips: args.all("link-local-ip"),
    };
    let settings = EndpointSettings {
        ipam_config: (ipam != EndpointIpamConfig::default()).then_some(ipam),
        links: args.all("link"),
        aliases: args.all("alias"),
        driver_opts: opts::map(&driver_opts),
        gw_priority: args.int("gw-priority").unwrap_or(0),
        ..EndpointSettings::default()
    };
    let request = NetworkConnectRequest { container: args.args[1].clone(), endpoint_config: Some(settings) };
    cli.client()?.run(Request::post(super::path(&args.args[0], "/connect")).json(&request)?).await.map(|()| 0)
}

async fn disconnect(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let request = NetworkDisconnectRequest { container: args.args[1].clone(), force: args.bool("force") };
    cli.client()?
        .run(Request::post(super::path(&args.args[0], "/disconnect")).json(&request)?)
        .await
        .map(|()| 0)
}
