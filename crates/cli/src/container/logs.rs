//! `logs`

use api_types::ContainerInspect;
use bytes::BytesMut;

use super::session::{Demux, write};
use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::Cli;
use crate::connect::stream::Chunks;
use crate::connect::{Query, Request};
use crate::error::Error;
use crate::format::time::timestamp_query;

pub static COMMAND: Command = Command {
    usage: "[OPTIONS] CONTAINER",
    about: "Fetch the logs of a container",
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[&[
        Flag::bool("details", "Show what the log driver was told to keep beside the text"),
        Flag::bool("follow", "Go on as output is written").short('f'),
        Flag::string("since", "Show output since a time (\"2013-01-02T13:23:37Z\") or for as long (\"42m\")"),
        Flag::string("tail", "Number of lines to show from the end").short('n').default("\"all\""),
        Flag::bool("timestamps", "Show when each line was written").short('t'),
        Flag::string("until", "Show output before a time, or until as long ago"),
    ]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let client = cli.client()?;
    let container: ContainerInspect = client.json(Request::get(super::path(&args.args[0], "/json"))).await?;
    let query = Query::new()
        .with("stdout", "1")
        .with("stderr", "1")
        .flag("details", args.bool("details"))
        .flag("follow", args.bool("follow"))
        .flag("timestamps", args.bool("timestamps"))
        .opt("since", args.non_empty("since").map(timestamp_query))
        .opt("until", args.non_empty("until").map(timestamp_query))
        .with("tail", args.non_empty("tail").unwrap_or("all"));
    let path = super::path(&container.id, "/logs");
    let response = client.send(Request::get(&path).query(query)).await?;
    let mut chunks = Chunks::new(response, &path);
    let mut demux = Demux::default();
    let mut buffer = BytesMut::new();
    while let Some(chunk) = chunks.next().await? {
        if container.config.tty {
            write(1, &chunk)?;
        } else {
            buffer.extend_from_slice(&chunk);
            demux.feed(&mut buffer, write)?;
        }
    }
    Ok(0)
}
