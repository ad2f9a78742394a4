//! `pull`

use super::reference::transferred;
use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::{Cli, println};
use crate::connect::{Query, Request};
use crate::error::Error;
use crate::progress::{self, Sink};
use reference::Reference;

pub static COMMAND: Command = Command {
    usage: "[OPTIONS] NAME[:TAG|@DIGEST]",
    about: "Download an image from a registry",
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[&[
        Flag::bool("all-tags", "Download every tag of the repository").short('a'),
        Flag::bool("disable-content-trust", "Do not verify the image's signature").default("true"),
        Flag::string("platform", "Platform to download, if the image has several"),
        Flag::bool("quiet", "Print only the image's name when done").short('q'),
    ]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let (reference, quiet) = (transferred(args)?, args.bool("quiet"));
    let sink = if quiet { Sink::Nowhere } else { Sink::Stdout };
    let platform = args.non_empty("platform").map_or_else(default_platform, str::to_owned);
    pull(cli, &reference, &platform, sink).await?;
    println(reference.to_string()).map(|()| 0)
}

fn default_platform() -> String {
    std::env::var("DOCKER_DEFAULT_PLATFORM").unwrap_or_default()
}

async fn pull(cli: &Cli, reference: &Reference, platform: &str, sink: Sink) -> Result<(), Error> {
    let auth = cli.config()?.auth_header(&reference.to_string())?;
    let tag = reference.digest().map(|digest| digest.as_str()).or(reference.tag());
    let query = Query::new()
        .with("fromImage", reference.familiar_name())
        .opt("tag", tag)
        .non_empty("platform", &platform.to_lowercase());
    let path = "/images/create";
    let request = Request::post(path).query(query).header("X-Registry-Auth", auth);
    progress::show(cli.client()?.send(request).await?, path, sink).await
}

/// As `run` and `create` pull: progress goes to standard error.
pub async fn pull_for_run(cli: &Cli, image: &str, platform: &str, quiet: bool) -> Result<(), Error> {
    let reference = Reference::parse(image)?.or_latest();
    pull(cli, &reference, platform, if quiet { Sink::Nowhere } else { Sink::Stderr }).await
}

/// A name with its tag, as messages show it.
pub fn with_tag(image: &str) -> String {
    Reference::parse(image).map_or_else(|_| image.to_owned(), |reference| reference.or_latest().familiar())
}
