//! `diff`

use api_types::FilesystemChange;

use crate::args::{Action, Arity, Command, FORMAT, Parsed};
use crate::cli::{Cli, print};
use crate::connect::Request;
use crate::error::Error;
use crate::format::table::{Column, Format, Layout, text};

pub static COMMAND: Command = Command {
    usage: "CONTAINER",
    about: "Show what changed on a container's filesystem",
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[&[FORMAT.hidden()]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

static COLUMNS: &[Column<FilesystemChange>] = &[
    text("Type", "CHANGE TYPE", |change| {
        match change.kind {
            0 => "C",
            1 => "A",
            _ => "D",
        }
        .to_owned()
    }),
    text("Path", "PATH", |change| change.path.clone()),
];

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let changes: Vec<FilesystemChange> =
        cli.client()?.json(Request::get(super::path(&args.args[0], "/changes"))).await?;
    let format =
        Format::new(args.non_empty("format").unwrap_or("{{.Type}} {{.Path}}"), r"{{.Type}}\t{{.Path}}", None);
    let layout = Layout { columns: COLUMNS, go_type: "*container.diffContext" };
    print(format.render(layout, changes)?).map(|()| 0)
}
