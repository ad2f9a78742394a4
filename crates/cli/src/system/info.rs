//! `info`

use std::fmt::Write as _;

use api_types::SystemInfo;

use crate::args::{Action, Arity, Command, FORMAT_ONE, Parsed};
use crate::cli::{Cli, complain, print};
use crate::connect::Request;
use crate::error::Error;
use crate::format::units::bytes_size;
use crate::inspect::{optional, shape};
use crate::template::{Missing, Template, Value};

pub static COMMAND: Command = Command {
    usage: "[OPTIONS]",
    about: "Show what the engine is and has",
    arity: Arity::None,
    interspersed: true,
    flags: &[&[FORMAT_ONE]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let template = match args.non_empty("format") {
        Some("json") => Some(Template::parse("{{json .}}").map_err(Error::InspectTemplate)?),
        Some(source) => Some(Template::parse(source).map_err(Error::InspectTemplate)?),
        None => None,
    };
    let raw = cli.client()?.bytes(Request::get("/info")).await;
    let Some(template) = template else { return show(cli, raw).await };
    let raw = raw?;
    let path = || "/info".to_owned();
    let value: Value =
        serde_json::from_slice(&raw).map_err(|source| Error::Answer { path: path(), source })?;
    let mut fields = match value {
        Value::Map(fields) => fields.to_vec(),
        _ => Vec::new(),
    };
    fields.push(("ClientInfo".into(), client_info(cli)?));
    let text = template
        .execute(&shape("", Value::map(fields)), Missing::Known(optional))
        .map_err(Error::Template)?;
    print(text + "\n").map(|()| 0)
}

fn client_info(cli: &Cli) -> Result<Value, Error> {
    let field = |name: &str, value: Value| (name.to_owned(), value);
    Ok(Value::map(vec![
        field("Debug", Value::Bool(cli.globals.debug)),
        field("Version", env!("CARGO_PKG_VERSION").into()),
        field("Context", cli.context_name()?.into()),
        field("Plugins", Value::list(Vec::new())),
        field("Warnings", Value::Nil),
    ]))
}

async fn show(cli: &Cli, raw: Result<bytes::Bytes, Error>) -> Result<i32, Error> {
    print(format!(
        "Client:\n Version:    {}\n Context:    {}\n Debug Mode: {}\n\nServer:\n",
        env!("CARGO_PKG_VERSION"),
        cli.context_name()?,
        cli.globals.debug
    ))?;
    let raw = raw?;
    let info: SystemInfo =
        api_types::go::from_slice(&raw).map_err(|source| Error::Answer { path: "/info".into(), source })?;
    print(server(&info, cli.globals.debug) + "\n")?;
    info.warnings.iter().for_each(complain);
    Ok(0)
}

/// Collects lines of `name: value`.
struct Lines(String);

impl Lines {
    fn line(&mut self, name: &str, value: impl std::fmt::Display) {
        let _infallible = writeln!(self.0, "{name} {value}");
    }

    /// Nothing when there is no value.
    fn some(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.line(name, value);
        }
    }

    /// A heading and the items below it; nothing without items.
    fn list<T: std::fmt::Display>(&mut self, name: &str, items: impl IntoIterator<Item = T>) {
        let mut items = items.into_iter().peekable();
        if items.peek().is_some() {
            let _infallible = writeln!(self.0, "{name}");
        }
        for item in items {
            let _infallible = writeln!(self.0, "  {item}");
        }
    }
}

fn server(info: &SystemInfo, debug: bool) -> String {
    let mut out = Lines(String::new());
    counts(&mut out, info);
    plugins(&mut out, info);
    runtimes(&mut out, info);
    security(&mut out, &info.security_options);
    host(&mut out, info);
    if info.debug || debug {
        out.line("  File Descriptors:", info.n_fd);
        out.line("  Goroutines:", info.n_goroutines);
        out.line("  System Time:", &info.system_time);
        out.line("  EventsListeners:", info.n_events_listener);
    }
    out.some(" HTTP Proxy:", &info.http_proxy);
    out.some(" HTTPS Proxy:", &info.https_proxy);
    out.some(" No Proxy:", &info.no_proxy);
    out.list(" Labels:", &info.labels);
    out.line(" Experimental:", info.experimental_build);
    registries(&mut out, info);
    out.line(" Live Restore Enabled:", info.live_restore_enabled);
    out.some(" Product License:", &info.product_license);
    let pools = info.default_address_pools.iter();
    out.list(
        " Default Address Pools:",
        pools.map(|pool| format!(" Base: {}, Size: {}", pool.base, pool.size)),
    );
    if let Some(firewall) = &info.firewall_backend {
        out.line(" Firewall Backend:", &firewall.driver);
        out.0.extend(firewall.info.iter().map(|(name, value)| format!("  {name}: {value}\n")));
    }
    out.0
}

fn counts(out: &mut Lines, info: &SystemInfo) {
    out.line(" Containers:", info.containers);
    out.line("  Running:", info.containers_running);
    out.line("  Paused:", info.containers_paused);
    out.line("  Stopped:", info.containers_stopped);
    out.line(" Images:", info.images);
    out.some(" Server Version:", &info.server_version);
    out.some(" Storage Driver:", &info.driver);
    out.0.extend(info.driver_status.iter().map(|(name, value)| format!("  {name}: {value}\n")));
    out.some(" Logging Driver:", &info.logging_driver);
    out.some(" Cgroup Driver:", &info.cgroup_driver);
    out.some(" Cgroup Version:", &info.cgroup_version);
}

fn plugins(out: &mut Lines, info: &SystemInfo) {
    out.0.push_str(" Plugins:\n");
    out.line("  Volume:", info.plugins.volume.join(" "));
    out.line("  Network:", info.plugins.network.join(" "));
    out.some("  Authorization:", &info.plugins.authorization.join(" "));
    out.line("  Log:", info.plugins.log.join(" "));
    out.list(" CDI spec directories:", &info.cdi_spec_dirs);
    out.line(" Swarm:", &info.swarm.local_node_state);
}

fn runtimes(out: &mut Lines, info: &SystemInfo) {
    if !info.runtimes.is_empty() {
        out.line(" Runtimes:", info.runtimes.keys().map(String::as_str).collect::<Vec<_>>().join(" "));
        out.line(" Default Runtime:", &info.default_runtime);
    }
    if info.os_type == "linux" {
        out.line(" Init Binary:", &info.init_binary);
        out.line(" containerd version:", &info.containerd_commit.id);
        out.line(" runc version:", &info.runc_commit.id);
        out.line(" init version:", &info.init_commit.id);
    }
}

/// Options are `name=seccomp,profile=builtin`, or a name alone.
fn security(out: &mut Lines, options: &[String]) {
    let mut lines = Vec::new();
    for option in options {
        let pairs = || option.split(',').map(|part| part.split_once('=').unwrap_or(("name", part)));
        lines.extend(pairs().filter(|(key, _)| *key == "name").map(|(_, name)| name.to_owned()));
        lines.extend(
            pairs().filter(|(key, _)| *key == "profile").map(|(_, name)| format!(" Profile: {name}")),
        );
    }
    out.list(" Security Options:", lines);
}

fn host(out: &mut Lines, info: &SystemInfo) {
    out.some(" Kernel Version:", &info.kernel_version);
    out.some(" Operating System:", &info.operating_system);
    out.some(" OSType:", &info.os_type);
    out.some(" Architecture:", &info.architecture);
    out.line(" CPUs:", info.n_cpu);
    out.line(" Total Memory:", bytes_size(info.mem_total as f64));
    out.some(" Name:", &info.name);
    out.some(" ID:", &info.id);
    out.line(" Docker Root Dir:", &info.docker_root_dir);
    out.line(" Debug Mode:", info.debug);
}

fn registries(out: &mut Lines, info: &SystemInfo) {
    let config = &info.registry_config;
    let insecure = config.index_configs.values().filter(|index| !index.secure).map(|index| &index.name);
    if !config.index_configs.is_empty() || !config.insecure_registry_cidrs.is_empty() {
        out.list(" Insecure Registries:", insecure.chain(&config.insecure_registry_cidrs));
    }
    out.list(" Registry Mirrors:", &config.mirrors);
}
