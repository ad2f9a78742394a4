//! `context show`, `context use` and `context inspect`

use std::collections::BTreeMap;

use serde_json::json;

use crate::args::{Action, Arity, Command, FORMAT_ONE, Parsed};
use crate::cli::{Cli, complain, println};
use crate::config::contexts::{Context, Contexts, DEFAULT, TlsFile};
use crate::error::Error;
use crate::inspect::inspect;

pub static SHOW: Command = Command {
    usage: "",
    about: "Print the name of the current context",
    arity: Arity::None,
    interspersed: true,
    flags: &[],
    action: Action::Run(|cli, args| Box::pin(show(cli, args))),
};

pub static USE: Command = Command {
    usage: "CONTEXT",
    about: "Set the current context",
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[],
    action: Action::Run(|cli, args| Box::pin(select(cli, args))),
};

pub static INSPECT: Command = Command {
    usage: "[OPTIONS] [CONTEXT] [CONTEXT...]",
    about: "Show everything known of contexts",
    arity: Arity::AtLeast(0),
    interspersed: true,
    flags: &[&[FORMAT_ONE]],
    action: Action::Run(|cli, args| Box::pin(run_inspect(cli, args))),
};

async fn show(cli: &Cli, _args: &Parsed) -> Result<i32, Error> {
    println(cli.context_name()?).map(|()| 0)
}

async fn select(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let name = args.args[0].as_str();
    let mut config = cli.config_copy()?;
    if name == DEFAULT {
        config.file.current_context.clear();
    } else {
        Contexts::new(&config.dir).get(name)?;
        name.clone_into(&mut config.file.current_context);
    }
    config.save()?;
    println(name)?;
    complain(format!("Current context is now \"{name}\""));
    if name != DEFAULT && std::env::var_os("DOCKER_HOST").is_some() {
        complain(format!(
            "Warning: DOCKER_HOST environment variable overrides the active context. To use \"{name}\", either set the global --context flag, or unset DOCKER_HOST environment variable."
        ));
    }
    Ok(0)
}

async fn run_inspect(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let names = match args.args.is_empty() {
        true => vec![cli.context_name()?],
        false => args.args.clone(),
    };
    let contexts = Contexts::new(&cli.config()?.dir);
    inspect(&names, args.get("format"), async |name| {
        let (context, files) = super::create::load(cli, &contexts, name)?;
        if name == DEFAULT {
            return Ok(describe(&context, &files, "<IN MEMORY>", "<IN MEMORY>"));
        }
        let (meta, tls) = contexts.storage(name);
        Ok(describe(&context, &files, &meta.to_string_lossy(), &tls.to_string_lossy()))
    })
    .await
}

/// One context in the form docker's client prints.
fn describe(context: &Context, tls: &[TlsFile], meta_path: &str, tls_path: &str) -> String {
    let quote = |value: serde_json::Value| value.to_string();
    let mut material = BTreeMap::<&str, Vec<&str>>::new();
    for file in tls {
        material.entry(&file.endpoint).or_default().push(&file.name);
    }
    let tls = json!(material);
    format!(
        "{{\"Name\":{},\"Metadata\":{},\"Endpoints\":{},\"TLSMaterial\":{tls},\"Storage\":{{\"MetadataPath\":{},\"TLSPath\":{}}}}}",
        quote(json!(context.name)),
        quote(json!(context.metadata)),
        serde_json::to_string(&context.endpoints).unwrap_or_default(),
        quote(json!(meta_path)),
        quote(json!(tls_path)),
    )
}
