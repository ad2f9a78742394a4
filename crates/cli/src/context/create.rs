//! `context create` and `context update`

use std::path::Path;

use api_types::Map;

use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::{Cli, complain, println};
use crate::config::contexts::{Context, Contexts, DEFAULT, Endpoint, TlsFile, check_name};
use crate::connect::host::Host;
use crate::connect::{endpoint, tls};
use crate::error::Error;
use crate::opts::csv;

const DOCKER: Flag = Flag::string(
    "docker",
    "How to reach the engine: host=ADDRESS, ca=, cert= and key= for TLS files, skip-tls-verify=, or from=CONTEXT",
);

pub static CREATE: Command = Command {
    usage: "[OPTIONS] CONTEXT",
    about: "Create a context",
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[&[
        Flag::string("description", "What the context is for"),
        DOCKER,
        Flag::string("from", "Context to copy"),
    ]],
    action: Action::Run(|cli, args| Box::pin(create(cli, args))),
};

pub static UPDATE: Command = Command {
    usage: "[OPTIONS] CONTEXT",
    about: "Update a context",
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[&[Flag::string("description", "What the context is for"), DOCKER]],
    action: Action::Run(|cli, args| Box::pin(update(cli, args))),
};

/// The keys of `--docker`.
fn settings(text: &str) -> Result<Map<String>, Error> {
    let mut settings = Map::new();
    for (key, value) in csv::pairs(text).map_err(Error::Invalid)? {
        if !["from", "host", "ca", "cert", "key", "skip-tls-verify"].contains(&key.as_str()) {
            return Err(Error::invalid(format!("unrecognized config key: {key}")));
        }
        settings.insert(key, value.unwrap_or_default());
    }
    Ok(settings)
}

/// The endpoint that `--docker` describes, and the TLS files to keep for it.
fn endpoint_of(cli: &Cli, contexts: &Contexts, text: &str) -> Result<(Endpoint, Vec<TlsFile>), Error> {
    let settings = settings(text)?;
    let (mut endpoint, mut files) = match settings.get("from").map(String::as_str) {
        None => (Endpoint::default(), Vec::new()),
        Some(DEFAULT) => default_endpoint(cli)?,
        Some(name) => (contexts.get(name)?.docker(), docker_files(contexts.tls(name)?)),
    };
    if let Some(host) = settings.get("host") {
        Host::parse(host)?;
        endpoint.host.clone_from(host);
    }
    if let Some(skip) = settings.get("skip-tls-verify") {
        endpoint.skip_tls_verify =
            skip.parse().map_err(|_| Error::invalid(format!("invalid value for skip-tls-verify: {skip}")))?;
    }
    for (key, name) in [("ca", "ca.pem"), ("cert", "cert.pem"), ("key", "key.pem")] {
        if let Some(path) = settings.get(key).filter(|path| !path.is_empty()) {
            let data = std::fs::read(path).map_err(Error::file("open", Path::new(path)))?;
            files.retain(|file| file.name != name);
            files.push(TlsFile { endpoint: ENDPOINT.into(), name: name.into(), data });
        }
    }
    tls::check(&files)?;
    Ok((endpoint, files))
}

/// The only kind of endpoint there is.
const ENDPOINT: &str = "docker";

fn docker_files(files: Vec<TlsFile>) -> Vec<TlsFile> {
    files.into_iter().filter(|file| file.endpoint == ENDPOINT).collect()
}

/// The default context as an endpoint, with the TLS files that flags and environment name.
pub fn default_endpoint(cli: &Cli) -> Result<(Endpoint, Vec<TlsFile>), Error> {
    let mut globals = cli.globals.clone();
    globals.context = Some(DEFAULT.into());
    let hosts = std::mem::take(&mut globals.hosts);
    if !hosts.is_empty() {
        // `-H` and `--context default` together would be refused.
        (globals.hosts, globals.context) = (hosts, None);
    }
    let resolved = endpoint::resolve(&globals, cli.config()?)?;
    let mut endpoint = Endpoint { host: resolved.host.display(), ..Endpoint::default() };
    let mut files = Vec::new();
    if let Some(tls) = resolved.tls {
        endpoint.skip_tls_verify = !tls.verify;
        for (path, name) in [(tls.ca, "ca.pem"), (tls.cert, "cert.pem"), (tls.key, "key.pem")] {
            let Some(path) = path else { continue };
            let data = std::fs::read(&path).map_err(Error::file("open", path))?;
            files.push(TlsFile { endpoint: ENDPOINT.into(), name: name.into(), data });
        }
    }
    Ok((endpoint, files))
}

/// A context as it is stored, or the default one as it would be.
pub fn load(cli: &Cli, contexts: &Contexts, name: &str) -> Result<(Context, Vec<TlsFile>), Error> {
    if name != DEFAULT {
        return Ok((contexts.get(name)?, contexts.tls(name)?));
    }
    let (endpoint, files) = default_endpoint(cli)?;
    let mut context = Context { name: DEFAULT.into(), ..Context::default() };
    context.endpoints.insert(ENDPOINT.into(), endpoint);
    Ok((context, files))
}

/// docker's.
pub const DEFAULT_DESCRIPTION: &str = "Current DOCKER_HOST based configuration";

async fn create(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let name = args.args[0].as_str();
    check_name(name)?;
    let contexts = Contexts::new(&cli.config()?.dir);
    if contexts.get(name).is_ok() {
        return Err(Error::invalid(format!("context \"{name}\" already exists")));
    }
    let (mut context, files) = match (args.get("docker"), args.non_empty("from")) {
        (Some(_), Some(_)) => {
            return Err(Error::invalid("cannot use --docker flag when --from is set"));
        }
        (Some(text), None) => {
            let (endpoint, files) = endpoint_of(cli, &contexts, text)?;
            let endpoints = [(ENDPOINT.to_owned(), endpoint)].into();
            (Context { endpoints, ..Context::default() }, files)
        }
        (None, Some(from)) => load(cli, &contexts, from)?,
        (None, None) => load(cli, &contexts, &cli.context_name()?)?,
    };
    if context.name == DEFAULT {
        context.metadata.description = DEFAULT_DESCRIPTION.into();
    }
    context.name = name.into();
    if args.given("description") {
        context.metadata.description = args.text("description");
    }
    save(&contexts, &context, &files)?;
    println(name)?;
    complain(format!("Successfully created context \"{name}\""));
    Ok(0)
}

async fn update(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let name = args.args[0].as_str();
    check_name(name)?;
    let contexts = Contexts::new(&cli.config()?.dir);
    let mut context = contexts.get(name)?;
    let mut files = contexts.tls(name)?;
    if args.given("description") {
        context.metadata.description = args.text("description");
    }
    if let Some(text) = args.get("docker") {
        let (endpoint, tls) = endpoint_of(cli, &contexts, text)?;
        context.endpoints.insert(ENDPOINT.into(), endpoint);
        // Another engine's keys are of no use, and docker drops them too.
        files.retain(|file| file.endpoint != ENDPOINT);
        files.extend(tls);
    }
    save(&contexts, &context, &files)?;
    println(name)?;
    complain(format!("Successfully updated context \"{name}\""));
    Ok(0)
}

/// Keys first: a context that names an engine is not to be found without them.
pub fn save(contexts: &Contexts, context: &Context, files: &[TlsFile]) -> Result<(), Error> {
    contexts.replace_tls(&context.name, files)?;
    Ok(contexts.save(context)?)
}
