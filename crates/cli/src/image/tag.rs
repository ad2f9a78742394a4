//! `tag`

use super::reference;
use crate::args::{Action, Arity, Command, Parsed};
use crate::cli::Cli;
use crate::connect::client::image_path;
use crate::connect::{Query, Request};
use crate::error::Error;

pub static COMMAND: Command = Command {
    usage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    about: "Give an image another name",
    arity: Arity::Exactly(2),
    interspersed: true,
    flags: &[],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let (repo, tag) = reference::split(&args.args[1]).map_err(|error| {
        Error::invalid(format!(
            "Error parsing reference: \"{}\" is not a valid repository/tag: {error}",
            args.args[1]
        ))
    })?;
    let request = Request::post(format!("/images/{}/tag", image_path(&args.args[0])))
        .query(Query::new().with("repo", repo).with("tag", tag));
    cli.client()?.run(request).await.map(|()| 0)
}
