//! `inspect`, of any object or of one kind.

mod optional;

use crate::args::{Action, Arity, Command, FORMAT_ONE, Flag, Parsed};
use crate::cli::{Cli, print};
use crate::connect::client::{image_path, segment};
use crate::connect::{Client, Query, Request};
use crate::error::Error;
use crate::format::indent::{compact, indent};
use crate::template::{Missing, Template, Value};

pub use optional::{optional, shape};

const SIZE: Flag = Flag::bool("size", "Show how much disk a container uses").short('s');

pub static COMMAND: Command = Command {
    usage: "[OPTIONS] NAME|ID [NAME|ID...]",
    about: "Show everything known of objects",
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[FORMAT_ONE, SIZE, Flag::string("type", "Look only for objects of this type")]],
    action: Action::Run(|cli, args| Box::pin(any(cli, args))),
};

pub static CONTAINER: Command = Command {
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Show everything known of containers",
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[FORMAT_ONE, SIZE]],
    action: Action::Run(|cli, args| Box::pin(one_kind(cli, args, Kind::Container))),
};

pub static IMAGE: Command = Command {
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Show everything known of images",
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[
        FORMAT_ONE,
        Flag::string("platform", "Platform of an image that has several (os[/arch[/variant]])"),
    ]],
    action: Action::Run(|cli, args| Box::pin(one_kind(cli, args, Kind::Image))),
};

pub static NETWORK: Command = Command {
    usage: "[OPTIONS] NETWORK [NETWORK...]",
    about: "Show everything known of networks",
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[FORMAT_ONE, Flag::bool("verbose", "Say more").short('v')]],
    action: Action::Run(|cli, args| Box::pin(one_kind(cli, args, Kind::Network))),
};

pub static VOLUME: Command = Command {
    usage: "[OPTIONS] VOLUME [VOLUME...]",
    about: "Show everything known of volumes",
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[FORMAT_ONE]],
    action: Action::Run(|cli, args| Box::pin(one_kind(cli, args, Kind::Volume))),
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Container,
    Image,
    Network,
    Volume,
}

/// In the order in which a name is looked up.
const KINDS: [(&str, Kind); 4] = [
    ("container", Kind::Container),
    ("image", Kind::Image),
    ("network", Kind::Network),
    ("volume", Kind::Volume),
];

/// Kinds that docker knows and this client does not.
const OTHERS: [&str; 6] = ["node", "service", "task", "plugin", "secret", "config"];

async fn fetch(client: &Client, kind: Kind, name: &str, args: &Parsed) -> Result<String, Error> {
    let request = match kind {
        Kind::Container => {
            let size = args.bool("size");
            Request::get(crate::container::path(name, "/json")).query(Query::new().flag("size", size))
        }
        Kind::Image => Request::get(format!("/images/{}/json", image_path(name))),
        Kind::Network => Request::get(format!("/networks/{}", segment(name))),
        Kind::Volume => Request::get(format!("/volumes/{}", segment(name))),
    };
    let bytes = client.bytes(request).await?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

async fn any(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let wanted = args.get("type");
    let kinds: Vec<Kind> = match wanted {
        None => KINDS.iter().map(|(_, kind)| *kind).collect(),
        Some("") => {
            return Err(Error::invalid(
                "type is empty: must be one of \"config\", \"container\", \"image\", \"network\", \"node\", \"plugin\", \"secret\", \"service\", \"task\", \"volume\"",
            ));
        }
        Some(name) => match KINDS.iter().find(|(known, _)| *known == name) {
            Some((_, kind)) => vec![*kind],
            None if OTHERS.contains(&name) => {
                return Err(Error::invalid(format!(
                    "objects of type {name} are not supported by this client"
                )));
            }
            None => {
                return Err(Error::invalid(format!(
                    "unknown type: \"{name}\": must be one of \"config\", \"container\", \"image\", \"network\", \"node\", \"plugin\", \"secret\", \"service\", \"task\", \"volume\""
                )));
            }
        },
    };
    let client = cli.client()?;
    inspect(&args.args, args.get("format"), async |name| {
        for kind in &kinds {
            match fetch(client, *kind, name, args).await {
                Err(error) if error.is_not_found() && wanted.is_none() => {}
                other => return other,
            }
        }
        Err(Error::invalid(format!("Error: No such object: {name}")))
    })
    .await
}

async fn one_kind(cli: &Cli, args: &Parsed, kind: Kind) -> Result<i32, Error> {
    if kind != Kind::Container {
        let client = cli.client()?;
        return inspect(&args.args, args.get("format"), async |name| fetch_plain(client, kind, name).await)
            .await;
    }
    let client = cli.client()?;
    inspect(&args.args, args.get("format"), async |name| fetch(client, kind, name, args).await).await
}

async fn fetch_plain(client: &Client, kind: Kind, name: &str) -> Result<String, Error> {
    fetch(client, kind, name, &Parsed::default()).await
}

/// Shows what `get` finds under each name: as indented JSON, or through a template. What is missing is told at the end.
pub async fn inspect<F>(names: &[String], format: Option<&str>, get: F) -> Result<i32, Error>
where
    F: AsyncFn(&str) -> Result<String, Error>,
{
    let template = match format.unwrap_or_default() {
        "" | "json" => None,
        source => Some(Template::parse(source).map_err(Error::InspectTemplate)?),
    };
    let (mut found, mut text, mut errors) = (Vec::new(), String::new(), Vec::new());
    for name in names {
        let shown = match (get(name).await, &template) {
            (Ok(json), Some(template)) => render(template, &json).map(|line| {
                text.push_str(&line);
                text.push('\n');
            }),
            (Ok(json), None) => {
                found.push(json);
                Ok(())
            }
            (Err(error), _) => Err(error),
        };
        errors.extend(shown.err());
    }
    if template.is_none() {
        let list = format!("[{}]", found.join(","));
        text = if format == Some("json") { compact(&list) } else { indent(&list, "    ") } + "\n";
    } else if text.is_empty() {
        text.push('\n');
    }
    print(text)?;
    match errors.is_empty() {
        true => Ok(0),
        false => {
            errors.iter().for_each(crate::cli::complain);
            Err(Error::Printed(1))
        }
    }
}

fn render(template: &Template, json: &str) -> Result<String, Error> {
    let value: Value =
        serde_json::from_str(json).map_err(|source| Error::Answer { path: "inspect".into(), source })?;
    let value = optional::shape("", value);
    let failed = |error| Error::Invalid(format!("template parsing error: {error}"));
    template.execute(&value, Missing::Error(optional)).map_err(failed)
}
