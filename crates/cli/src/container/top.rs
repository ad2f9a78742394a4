//! `top`

use api_types::TopResponse;

use crate::args::{Action, Arity, Command, Parsed};
use crate::cli::{Cli, print};
use crate::connect::{Query, Request};
use crate::error::Error;
use crate::format::tabs::Tabs;

pub static COMMAND: Command = Command {
    usage: "CONTAINER [ps OPTIONS]",
    about: "Display the running processes of a container",
    arity: Arity::AtLeast(1),
    interspersed: false,
    flags: &[],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let options = args.args[1..].join(" ");
    let request =
        Request::get(super::path(&args.args[0], "/top")).query(Query::new().non_empty("ps_args", &options));
    let top: TopResponse = cli.client()?.json(request).await?;
    let rows = std::iter::once(&top.titles).chain(&top.processes);
    let text: String = rows.map(|row| row.join("\t") + "\n").collect();
    print(Tabs { min_width: 20, padding: 3 }.align(&text)).map(|()| 0)
}
