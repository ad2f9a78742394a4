//! `volume rm`

use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::{Cli, each};
use crate::connect::client::segment;
use crate::connect::{Query, Request};
use crate::error::Error;

pub static COMMAND: Command = Command {
    usage: "[OPTIONS] VOLUME [VOLUME...]",
    about: "Remove one or more volumes; one that a container uses cannot be removed",
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[Flag::bool("force", "Do not fail for volumes that do not exist").short('f')]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let client = cli.client()?;
    let query = Query::new().flag("force", args.bool("force"));
    each(&args.args, async |name| {
        client.run(Request::delete(format!("/volumes/{}", segment(name))).query(query.clone())).await?;
        Ok(name.to_owned())
    })
    .await
}
