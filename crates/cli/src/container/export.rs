//! `export`

use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::Cli;
use crate::connect::Request;
use crate::error::Error;
use crate::image::archive::save_body;

pub static COMMAND: Command = Command {
    usage: "[OPTIONS] CONTAINER",
    about: "Export a container's filesystem as a tar archive",
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[&[Flag::string("output", "Write to a file instead of standard output").short('o')]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let path = super::path(&args.args[0], "/export");
    save_body(cli, Request::get(&path), args.non_empty("output"), "export").await
}
