//! `import`

use std::fs::File;
use std::path::Path;

use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::Cli;
use crate::connect::client::empty;
use crate::connect::{Query, Request};
use crate::container::cp::pipe;
use crate::error::Error;
use crate::progress::{self, Sink};
use reference::Reference;

pub static COMMAND: Command = Command {
    usage: "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    about: "Make an image of the contents of a tar archive",
    arity: Arity::Between(1, 2),
    interspersed: true,
    flags: &[&[
        Flag::list("change", "Apply a Dockerfile instruction to the image").short('c'),
        Flag::string("message", "Message that tells where it is from").short('m'),
        Flag::string("platform", "Platform of the image"),
    ]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let source = args.args[0].as_str();
    let name = match args.args.get(1) {
        Some(name) => Reference::parse(name)?.familiar(),
        None => String::new(),
    };
    let remote = source.starts_with("http://") || source.starts_with("https://");
    let mut query = Query::new()
        .with("fromSrc", if remote { source } else { "-" })
        .non_empty("repo", &name)
        .non_empty("message", &args.text("message"))
        .non_empty("platform", &args.text("platform").to_lowercase());
    for change in args.all("change") {
        query = query.with("changes", change);
    }
    let (body, counter) = match source {
        "-" => pipe::from_stdin(),
        _ if remote => (empty(), pipe::Counter::default()),
        path => pipe::from_reader(File::open(path).map_err(Error::file("open", Path::new(path)))?),
    };
    let path = "/images/create";
    let request = Request::post(path).query(query).body("text/plain", body);
    let response = cli.client()?.send(request).await;
    counter.finish()?;
    progress::show(response?, path, Sink::Stdout).await.map(|()| 0)
}
