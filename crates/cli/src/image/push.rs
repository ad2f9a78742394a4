//! `push`

use super::reference::transferred;
use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::{Cli, println};
use crate::connect::client::image_path;
use crate::connect::{Query, Request};
use crate::error::Error;
use crate::progress::{self, Sink};

pub static COMMAND: Command = Command {
    usage: "[OPTIONS] NAME[:TAG]",
    about: "Upload an image to a registry",
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[&[
        Flag::bool("all-tags", "Upload every tag of the repository").short('a'),
        Flag::bool("disable-content-trust", "Do not sign the image").default("true"),
        Flag::string("platform", "Upload one platform only (os[/arch[/variant]])"),
        Flag::bool("quiet", "Print only the image's name when done").short('q'),
    ]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let (reference, quiet) = (transferred(args)?, args.bool("quiet"));
    let mut query = Query::new().opt("tag", reference.tag());
    if let Some(platform) = args.non_empty("platform") {
        query = query.with("platform", platform_json(platform)?);
    }
    let auth = cli.config()?.auth_header(&reference.to_string())?;
    let path = format!("/images/{}/push", image_path(&reference.familiar_name()));
    let request = Request::post(&path).query(query).header("X-Registry-Auth", auth);
    let sink = if quiet { Sink::Nowhere } else { Sink::Stdout };
    progress::show(cli.client()?.send(request).await?, &path, sink).await?;
    if quiet {
        println(reference.to_string())?;
    }
    Ok(0)
}

/// `os[/arch[/variant]]` as the API takes it.
pub fn platform_json(text: &str) -> Result<String, Error> {
    let parts: Vec<_> = text.split('/').collect();
    let [os, rest @ ..] = parts.as_slice() else { return Ok(String::new()) };
    if os.is_empty() || rest.len() > 2 {
        return Err(Error::invalid(format!("invalid platform: {text}")));
    }
    let mut platform = api_types::Platform { os: (*os).to_owned(), ..api_types::Platform::default() };
    platform.architecture = rest.first().map_or_else(String::new, |arch| (*arch).to_owned());
    platform.variant = rest.get(1).map_or_else(String::new, |variant| (*variant).to_owned());
    serde_json::to_string(&platform).map_err(|source| Error::Answer { path: "platform".into(), source })
}
