//! `rmi`

use api_types::ImageDeleteItem;

use super::push::platform_json;
use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::{Cli, complain, println};
use crate::connect::client::image_path;
use crate::connect::{Query, Request};
use crate::error::Error;

pub static COMMAND: Command = Command {
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Remove one or more images",
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[
        Flag::bool("force", "Remove an image that is in use or has several names").short('f'),
        Flag::bool("no-prune", "Keep parents that have no name"),
        Flag::strings("platform", "Remove only this platform's variant (os[/arch[/variant]])"),
    ]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let client = cli.client()?;
    let force = args.bool("force");
    let mut query = Query::new().flag("force", force).flag("noprune", args.bool("no-prune"));
    for platform in args.all("platform") {
        query = query.with("platforms", platform_json(&platform)?);
    }
    let (mut errors, mut fatal) = (Vec::new(), false);
    for name in &args.args {
        let request = Request::delete(format!("/images/{}", image_path(name))).query(query.clone());
        match client.json::<Vec<ImageDeleteItem>>(request).await {
            Ok(items) => items.iter().try_for_each(|item| match item.deleted.as_str() {
                "" => println(format!("Untagged: {}", item.untagged)),
                id => println(format!("Deleted: {id}")),
            })?,
            Err(error) => {
                // With --force an image that is gone already is no failure.
                fatal |= !(force && error.is_not_found());
                errors.push(error);
            }
        }
    }
    errors.iter().for_each(complain);
    if fatal { Err(Error::Printed(1)) } else { Ok(0) }
}
