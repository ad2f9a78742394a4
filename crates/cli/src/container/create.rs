//! `create`, and what `run` shares with it: pulling a missing image, the ID file.

use std::io::Write as _;
use std::path::PathBuf;

use api_types::{ContainerCreateResponse, Map};

use super::flags::CREATE;
use super::request::{self, CreateSpec};
use crate::args::{Action, Arity, Command, Parsed};
use crate::cli::{Cli, complain, println};
use crate::config::Proxy;
use crate::connect::client::newer;
use crate::connect::{Client, Query, Request};
use crate::error::Error;
use crate::image::{pull, reference};

pub static COMMAND: Command = Command {
    usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    about: "Create a new container",
    arity: Arity::AtLeast(1),
    interspersed: false,
    flags: &[CREATE],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

/// Unlike `run`, it says how to get help, and exits with 125, only when the command line is what is wrong.
async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let resolved = policy(args.get("pull")).and_then(|_| request::resolve(args));
    let mut spec = resolved.map_err(|error| failed(cli, args, &error))?;
    let config = &mut spec.request.config;
    config.stdin_once = config.open_stdin && config.attach_stdin;
    println(create_container(cli, args, spec).await?.id).map(|()| 0)
}

/// Prints an error the way `run` and `create` do; what is left is the exit code.
pub fn failed(cli: &Cli, args: &Parsed, error: &Error) -> Error {
    if let Error::Printed(code) = error {
        return Error::Printed(*code);
    }
    complain(format!("{}: {error}\n\nRun '{} --help' for more information", cli.program, args.path));
    Error::Printed(exit_code(error))
}

/// 127 when the program was not found, 126 when it cannot be run, 125 for all else.
pub fn exit_code(error: &Error) -> i32 {
    let text = error.to_string();
    let has = |part: &str| text.contains(part);
    match error.status() {
        None => 125,
        Some(_) if !(has("failed to create task") || has("OCI runtime") || has("failed to start")) => 125,
        Some(_) if has("executable file not found") || has("no such file or directory") => 127,
        Some(_) if has("permission denied") || has("is a directory") => 126,
        Some(_) => 125,
    }
}

/// The pull policies of `--pull`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PullPolicy {
    Always,
    Missing,
    Never,
}

fn policy(text: Option<&str>) -> Result<PullPolicy, Error> {
    match text.unwrap_or("missing") {
        "always" => Ok(PullPolicy::Always),
        "missing" | "" => Ok(PullPolicy::Missing),
        "never" => Ok(PullPolicy::Never),
        other => Err(Error::invalid(format!(
            "invalid pull option: '{other}': must be one of \"always\", \"missing\" or \"never\""
        ))),
    }
}

/// Creates the container, pulling its image first when that is missing or wanted.
pub async fn create_container(
    cli: &Cli,
    args: &Parsed,
    mut spec: CreateSpec,
) -> Result<ContainerCreateResponse, Error> {
    let policy = policy(args.get("pull"))?;
    let mut id_file = IdFile::new(args.non_empty("cidfile"))?;
    add_proxies(cli, &mut spec)?;
    if args.bool("use-api-socket") {
        share_socket(cli, &mut spec)?;
    }
    let client = cli.client()?;
    if newer("1.44", client.api_version().await?) {
        // Older engines know the address of the first network only as the container's own.
        spec.request.config.mac_address = args.text("mac-address");
    }
    let quiet = args.bool("quiet");
    let image = spec.request.config.image.clone();
    reference::check_any(&image)?;
    if policy == PullPolicy::Always {
        pull::pull_for_run(cli, &image, &spec.platform, quiet).await?;
    }
    let created = match post(client, &spec).await {
        Err(error) if policy == PullPolicy::Missing && is_missing_image(&error) => {
            if !quiet {
                complain(format!("Unable to find image '{}' locally", pull::with_tag(&image)));
            }
            pull::pull_for_run(cli, &image, &spec.platform, quiet).await?;
            post(client, &spec).await?
        }
        other => other?,
    };
    for warning in &created.warnings {
        complain(format!("WARNING: {warning}"));
    }
    id_file.write(&created.id)?;
    Ok(created)
}

fn is_missing_image(error: &Error) -> bool {
    let Error::Api { status: 404, message } = error else { return false };
    message.contains("No such image") || message.contains("does not provide the specified platform")
}

async fn post(client: &Client, spec: &CreateSpec) -> Result<ContainerCreateResponse, Error> {
    let query = Query::new().non_empty("name", &spec.name).non_empty("platform", &spec.platform);
    client.json(Request::post("/containers/create").query(query).json(&spec.request)?).await
}

/// Proxy variables of config.json, unless the command line sets them.
fn add_proxies(cli: &Cli, spec: &mut CreateSpec) -> Result<(), Error> {
    let config = cli.config()?;
    if config.file.proxies.is_empty() {
        return Ok(());
    }
    let host = cli.client()?.endpoint.host.display();
    let proxies = &config.file.proxies;
    let Some(proxy) = proxies.get(&host).or_else(|| proxies.get("default")) else { return Ok(()) };
    let env = &mut spec.request.config.env;
    for (name, value) in proxy_variables(proxy) {
        let prefix = format!("{name}=");
        if !env.iter().any(|variable| variable.starts_with(&prefix) || *variable == name) {
            env.push(format!("{prefix}{value}"));
        }
    }
    Ok(())
}

fn proxy_variables(proxy: &Proxy) -> Map<String> {
    let settings = [
        ("HTTP_PROXY", &proxy.http_proxy),
        ("HTTPS_PROXY", &proxy.https_proxy),
        ("NO_PROXY", &proxy.no_proxy),
        ("FTP_PROXY", &proxy.ftp_proxy),
        ("ALL_PROXY", &proxy.all_proxy),
    ];
    let set = settings.into_iter().filter(|(_, value)| !value.is_empty());
    set.flat_map(|(name, value)| [(name.to_owned(), value.clone()), (name.to_lowercase(), value.clone())])
        .collect()
}

/// `--use-api-socket`: the engine's socket, as /var/run/docker.sock. Credentials would have to be copied into the
/// container's filesystem in the clear, so they are only when they are in config.json to begin with.
fn share_socket(cli: &Cli, spec: &mut CreateSpec) -> Result<(), Error> {
    let crate::connect::host::Host::Unix(socket) = &cli.client()?.endpoint.host else {
        return Err(Error::invalid("flag --use-api-socket can only be used with an engine on a unix socket"));
    };
    let host = spec.request.host_config.get_or_insert_default();
    let target = "/var/run/docker.sock";
    host.binds.push(format!("{}:{target}", socket.display()));
    spec.request.config.env.push(format!("DOCKER_HOST=unix://{target}"));
    let credentials = cli.config()?.dir.join("config.json");
    if credentials.exists() {
        host.binds.push(format!("{}:/run/secrets/docker/config.json:ro", credentials.display()));
        spec.request.config.env.push("DOCKER_CONFIG=/run/secrets/docker".into());
    }
    Ok(())
}

/// `--cidfile`: must not exist; removed again when no container comes to be.
struct IdFile {
    file: Option<(PathBuf, std::fs::File)>,
    written: bool,
}

impl IdFile {
    fn new(path: Option<&str>) -> Result<Self, Error> {
        let Some(path) = path else { return Ok(Self { file: None, written: true }) };
        let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path).map_err(|error| {
            match error.kind() {
                std::io::ErrorKind::AlreadyExists => Error::invalid(format!(
                    "container ID file found, make sure the other container isn't running or delete {path}"
                )),
                _ => Error::invalid(format!("failed to create the container ID file: open {path}: {error}")),
            }
        })?;
        Ok(Self { file: Some((path.into(), file)), written: false })
    }

    fn write(&mut self, id: &str) -> Result<(), Error> {
        if let Some((path, file)) = &mut self.file {
            file.write_all(id.as_bytes()).map_err(Error::file("write the container ID file", &*path))?;
            self.written = true;
        }
        Ok(())
    }
}

impl Drop for IdFile {
    fn drop(&mut self) {
        if let (Some((path, _)), false) = (&self.file, self.written) {
            // The failure that brought us here is the one to report.
            drop(std::fs::remove_file(path));
        }
    }
}
