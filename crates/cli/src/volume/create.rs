//! `volume create`

use api_types::{Volume, VolumeCreateRequest};

use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::{Cli, println};
use crate::connect::Request;
use crate::error::Error;
use crate::opts;

pub static COMMAND: Command = Command {
    usage: "[OPTIONS] [VOLUME]",
    about: "Create a volume",
    arity: Arity::AtMost(1),
    interspersed: true,
    flags: &[&[
        Flag::string("driver", "Driver of the volume").short('d').default("\"local\""),
        Flag::list("label", "Set a label").check(opts::env::check_label),
        Flag::string("name", "Name of the volume").hidden(),
        Flag::map("opt", "Option of the driver").short('o').default("map[]"),
    ]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    if args.given("name") && !args.args.is_empty() {
        return Err(Error::invalid(
            "conflicting options: cannot specify a volume-name through both --name and as a positional arg",
        ));
    }
    let request = VolumeCreateRequest {
        name: args.args.first().cloned().unwrap_or_else(|| args.text("name")),
        driver: args.get("driver").unwrap_or("local").to_owned(),
        driver_opts: opts::map(&args.all("opt")),
        labels: opts::map(&args.all("label")),
        ..VolumeCreateRequest::default()
    };
    let volume: Volume = cli.client()?.json(Request::post("/volumes/create").json(&request)?).await?;
    println(volume.name).map(|()| 0)
}
