//! `network rm`

use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::{Cli, complain, println};
use crate::connect::Request;
use crate::error::Error;

pub static COMMAND: Command = Command {
    usage: "NETWORK [NETWORK...]",
    about: "Remove one or more networks",
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[Flag::bool("force", "Do not fail for networks that do not exist").short('f')]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let client = cli.client()?;
    let mut code = 0;
    for name in &args.args {
        match client.run(Request::delete(super::path(name, ""))).await {
            Ok(()) => println(name)?,
            Err(error) if args.bool("force") && error.is_not_found() => {}
            Err(error) => {
                complain(&error);
                code = 1;
            }
        }
    }
    Ok(code)
}
