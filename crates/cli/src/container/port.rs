//! `port`

use api_types::{ContainerInspect, PortBinding};

use crate::args::{Action, Arity, Command, Parsed};
use crate::cli::{Cli, print};
use crate::connect::Request;
use crate::error::Error;

pub static COMMAND: Command = Command {
    usage: "CONTAINER [PRIVATE_PORT[/PROTO]]",
    about: "List published ports, or where one is published",
    arity: Arity::Between(1, 2),
    interspersed: true,
    flags: &[],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

fn address(binding: &PortBinding) -> String {
    match binding.host_ip.contains(':') {
        true => format!("[{}]:{}", binding.host_ip, binding.host_port),
        false => format!("{}:{}", binding.host_ip, binding.host_port),
    }
}

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let container: ContainerInspect =
        cli.client()?.json(Request::get(super::path(&args.args[0], "/json"))).await?;
    let ports = &container.network_settings.ports;
    let mut lines = Vec::new();
    if let Some(asked) = args.args.get(1) {
        let (port, protocol) = asked.split_once('/').unwrap_or((asked, "tcp"));
        if port.parse::<u16>().is_err() {
            return Err(Error::invalid(format!("invalid port '{port}': invalid syntax")));
        }
        match ports.get(&format!("{port}/{protocol}")) {
            Some(bindings) if !bindings.is_empty() => lines.extend(bindings.iter().map(address)),
            _ => {
                return Err(Error::invalid(format!(
                    "Error: No public port '{asked}' published for {}",
                    args.args[0]
                )));
            }
        }
    } else {
        for (port, bindings) in ports {
            lines.extend(bindings.iter().map(|binding| format!("{port} -> {}", address(binding))));
        }
        let number = |line: &String| line.split('/').next().and_then(|port| port.parse::<u16>().ok());
        lines.sort_by_key(number);
    }
    let text: String = lines.into_iter().map(|line| line + "\n").collect();
    print(text).map(|()| 0)
}
