//! `commit`

use api_types::{ContainerConfig, IdResponse};

use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::{Cli, println};
use crate::connect::{Query, Request};
use crate::error::Error;
use crate::image::reference;

pub static COMMAND: Command = Command {
    usage: "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    about: "Create a new image from a container's changes",
    arity: Arity::Between(1, 2),
    interspersed: true,
    flags: &[&[
        Flag::string("author", "Author, such as \"John Hannibal Smith <hannibal@a-team.com>\"").short('a'),
        Flag::list("change", "Apply a Dockerfile instruction to the image").short('c'),
        Flag::string("message", "Message that tells what was changed").short('m'),
        Flag::bool("pause", "Pause the container meanwhile").short('p').default("true"),
    ]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let (repo, tag) = match args.args.get(1) {
        Some(name) => reference::split(name)?,
        None => Default::default(),
    };
    let mut query = Query::new()
        .with("container", &args.args[0])
        .non_empty("repo", &repo)
        .non_empty("tag", &tag)
        .non_empty("comment", &args.text("message"))
        .non_empty("author", &args.text("author"));
    for change in args.all("change") {
        query = query.with("changes", change);
    }
    if !args.bool_or_true("pause") {
        query = query.with("pause", "0");
    }
    let request = Request::post("/commit").query(query).json(&None::<ContainerConfig>)?;
    let image: IdResponse = cli.client()?.json(request).await?;
    println(image.id).map(|()| 0)
}
