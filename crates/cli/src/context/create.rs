//! `context create` and `context update`

use std::path::Path;

use api_types::Map;

use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::{Cli, complain, println};
use crate::config::contexts::{Context, Contexts, DEFAULT, Endpoint, check_name};
use crate::connect::endpoint;
use crate::connect::host::Host;
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

/// Names and contents of TLS files.
type TlsFiles = Vec<(&'static str, Vec<u8>)>;

/// The endpoint that `--docker` describes, and the TLS files to keep for it.
fn endpoint_of(cli: &Cli, contexts: &Contexts, text: &str) -> Result<(Endpoint, TlsFiles), Error> {
    let settings = settings(text)?;
    let mut endpoint = match settings.get("from").map(String::as_str) {
        None => Endpoint::default(),
        Some(DEFAULT) => default_endpoint(cli)?,
        Some(name) => contexts.get(name)?.docker(),
    };
    if let Some(host) = settings.get("host") {
        Host::parse(host)?;
        endpoint.host.clone_from(host);
    }
    if let Some(skip) = settings.get("skip-tls-verify") {
        endpoint.skip_tls_verify =
            skip.parse().map_err(|_| Error::invalid(format!("invalid value for skip-tls-verify: {skip}")))?;
    }
    let mut files = Vec::new();
    for (key, name) in [("ca", "ca.pem"), ("cert", "cert.pem"), ("key", "key.pem")] {
        if let Some(path) = settings.get(key).filter(|path| !path.is_empty()) {
            files.push((name, std::fs::read(path).map_err(Error::file("open", Path::new(path)))?));
        }
    }
    Ok((endpoint, files))
}

/// The default context as an endpoint.
pub fn default_endpoint(cli: &Cli) -> Result<Endpoint, Error> {
    let mut globals = cli.globals.clone();
    globals.context = Some(DEFAULT.into());
    globals.hosts.clear();
    let resolved = endpoint::resolve(&globals, cli.config()?)?;
    Ok(Endpoint { host: resolved.host.display(), ..Endpoint::default() })
}

async fn create(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let name = args.args[0].as_str();
    check_name(name)?;
    let contexts = Contexts::new(&cli.config()?.dir);
    if contexts.get(name).is_ok() {
        return Err(Error::invalid(format!("context \"{name}\" already exists")));
    }
    let (mut context, mut files) = (Context::default(), Vec::new());
    match (args.get("docker"), args.non_empty("from")) {
        (Some(_), Some(_)) => {
            return Err(Error::invalid("cannot use --docker flag when --from is set"));
        }
        (Some(text), None) => {
            let (endpoint, tls) = endpoint_of(cli, &contexts, text)?;
            files = tls;
            context.endpoints.insert("docker".into(), endpoint);
        }
        (None, Some(from)) if from != DEFAULT => context = contexts.get(from)?,
        (None, Some(_)) => drop(context.endpoints.insert("docker".into(), default_endpoint(cli)?)),
        (None, None) => {
            let current = cli.context_name()?;
            if current == DEFAULT {
                context.endpoints.insert("docker".into(), default_endpoint(cli)?);
            } else {
                context = contexts.get(&current)?;
            }
        }
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
    let mut files = Vec::new();
    if args.given("description") {
        context.metadata.description = args.text("description");
    }
    if let Some(text) = args.get("docker") {
        let (endpoint, tls) = endpoint_of(cli, &contexts, text)?;
        files = tls;
        context.endpoints.insert("docker".into(), endpoint);
    }
    save(&contexts, &context, &files)?;
    println(name)?;
    complain(format!("Successfully updated context \"{name}\""));
    Ok(0)
}

fn save(contexts: &Contexts, context: &Context, files: &[(&str, Vec<u8>)]) -> Result<(), Error> {
    for (file, data) in files {
        contexts.save_tls(&context.name, file, data)?;
    }
    Ok(contexts.save(context)?)
}
