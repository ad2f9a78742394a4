//! `load` and `save`

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use super::push::platform_json;
use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::{Cli, stdin_is_terminal, stdout_is_terminal};
use crate::connect::stream::Chunks;
use crate::connect::{Query, Request};
use crate::container::cp::pipe;
use crate::error::Error;
use crate::progress::{self, Sink};

pub static LOAD: Command = Command {
    usage: "[OPTIONS]",
    about: "Load an image from a tar archive or standard input",
    arity: Arity::None,
    interspersed: true,
    flags: &[&[
        Flag::string("input", "Read this file instead of standard input").short('i'),
        Flag::strings("platform", "Load only this platform's variant (os[/arch[/variant]])"),
        Flag::bool("quiet", "Do not show progress").short('q'),
    ]],
    action: Action::Run(|cli, args| Box::pin(load(cli, args))),
};

pub static SAVE: Command = Command {
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Save one or more images to a tar archive or standard output",
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[
        Flag::string("output", "Write to a file instead of standard output").short('o'),
        Flag::strings("platform", "Save only this platform's variant (os[/arch[/variant]])"),
    ]],
    action: Action::Run(|cli, args| Box::pin(save(cli, args))),
};

fn platforms(args: &Parsed, mut query: Query) -> Result<Query, Error> {
    for platform in args.all("platform") {
        query = query.with("platform", platform_json(&platform)?);
    }
    Ok(query)
}

async fn load(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let (body, counter) = match args.non_empty("input") {
        Some(path) => pipe::from_reader(File::open(path).map_err(Error::file("open", Path::new(path)))?),
        None if stdin_is_terminal() => {
            return Err(Error::invalid("requested load from stdin, but stdin is empty"));
        }
        None => pipe::from_stdin(),
    };
    let quiet = args.bool("quiet") || !stdout_is_terminal();
    let query = platforms(args, Query::new().with("quiet", if quiet { "1" } else { "0" }))?;
    let path = "/images/load";
    let request = Request::post(path).query(query).body("application/x-tar", body);
    let response = cli.client()?.send(request).await;
    counter.finish()?;
    progress::show(response?, path, Sink::Stdout).await.map(|()| 0)
}

async fn save(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let mut query = Query::new();
    for name in &args.args {
        query = query.with("names", name);
    }
    let request = Request::get("/images/get").query(platforms(args, query)?);
    save_body(cli, request, args.non_empty("output"), "save").await
}

/// Writes the body of an answer to a file or standard output. The file appears whole or not at all.
pub async fn save_body(cli: &Cli, request: Request, output: Option<&str>, verb: &str) -> Result<i32, Error> {
    if output.is_none() && stdout_is_terminal() {
        return Err(Error::invalid(format!(
            "cowardly refusing to {verb} to a terminal. Use the -o flag or redirect"
        )));
    }
    if let Some(path) = output {
        check_output(path, verb)?;
    }
    let mut chunks = Chunks::new(cli.client()?.send(request).await?, verb);
    let Some(path) = output else { return pipe::to_stdout(chunks).await.map(|_| 0) };
    let temporary = format!("{path}.{}.tmp", std::process::id());
    // A device or pipe is written to directly.
    let special = std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
    let target = if special { path } else { &temporary };
    let fail = || Error::file("write", Path::new(target));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(!special)
        .truncate(!special)
        .open(target)
        .map_err(fail())?;
    let written = async {
        while let Some(chunk) = chunks.next().await? {
            file.write_all(&chunk).map_err(fail())?;
        }
        Ok(())
    }
    .await;
    let done = written.and_then(|()| match special {
        true => Ok(()),
        false => std::fs::rename(&temporary, path).map_err(Error::file("rename", Path::new(path))),
    });
    if done.is_err() && !special {
        // The failure above is the one to report.
        drop(std::fs::remove_file(&temporary));
    }
    done.map(|()| 0)
}

fn check_output(path: &str, verb: &str) -> Result<(), Error> {
    let parent =
        Path::new(path).parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !parent.is_dir() {
        return Err(Error::invalid(format!(
            "failed to {verb}: invalid output path: directory {parent:?} does not exist"
        )));
    }
    match Path::new(path).is_dir() {
        true => {
            Err(Error::invalid(format!("failed to {verb}: invalid output path: {path:?} must be a file")))
        }
        false => Ok(()),
    }
}
