//! `cp`: files between a container and this machine, both ways, through tar archives.

mod local;
pub mod pipe;
mod plan;

use api_types::PathStat;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;

use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::{Cli, complain};
use crate::connect::stream::Chunks;
use crate::connect::{Client, Query, Request};
use crate::error::Error;
use crate::format::units::human_size_with;
use plan::{Destination, Source, place};

pub static COMMAND: Command = Command {
    usage: "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|- | [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    about: "Copy files between a container and this machine\n\nWith '-' as source, a tar archive is read from standard input and unpacked into a directory of the container.\nWith '-' as destination, a tar archive of the source is written to standard output.",
    arity: Arity::Exactly(2),
    interspersed: true,
    flags: &[&[
        Flag::bool("archive", "Keep user and group IDs").short('a'),
        Flag::bool("follow-link", "Copy what a source that is a symbolic link points to").short('L'),
        Flag::bool("quiet", "Do not say how much was copied; so without a terminal").short('q'),
    ]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

/// `CONTAINER:PATH`, or a path here.
fn split(arg: &str) -> (Option<&str>, &str) {
    if arg.starts_with(['/', '.']) {
        return (None, arg);
    }
    match arg.split_once(':') {
        Some((container, path)) if !container.is_empty() => (Some(container), path),
        _ => (None, arg),
    }
}

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    use std::io::IsTerminal as _;
    let (source, destination) = (&args.args[0], &args.args[1]);
    if source.is_empty() || destination.is_empty() {
        return Err(Error::invalid("source and destination can not be empty"));
    }
    let quiet = if args.given("quiet") { args.bool("quiet") } else { !std::io::stderr().is_terminal() };
    let client = cli.client()?;
    let follow = args.bool("follow-link");
    let (copied, target) = match (split(source), split(destination)) {
        ((Some(container), path), (None, target)) => {
            (download(client, container, path, target, follow).await?, target.to_owned())
        }
        ((None, path), (Some(container), target)) => {
            let copied = upload(client, path, container, target, follow, args.bool("archive")).await?;
            (copied, format!("{container}:{target}"))
        }
        ((Some(_), _), (Some(_), _)) => {
            return Err(Error::invalid("copying between containers is not supported"));
        }
        _ => return Err(Error::invalid("must specify at least one container source")),
    };
    if !quiet && target != "-" {
        complain(format!("Successfully copied {} to {target}", human_size_with(copied as f64, 3)));
    }
    Ok(0)
}

/// What the engine says of a path in a container, from the header of its answer.
fn stat(headers: &HeaderMap) -> Option<PathStat> {
    let header = headers.get("x-docker-container-path-stat")?.as_bytes();
    api_types::go::from_slice(&STANDARD.decode(header).ok()?).ok()
}

/// Types in Go's `os.FileMode`.
const MODE_DIR: u32 = 1 << 31;
const MODE_SYMLINK: u32 = 1 << 27;

async fn stat_path(client: &Client, container: &str, path: &str) -> Result<Option<PathStat>, Error> {
    let query = Query::new().with("path", path);
    match client.send(Request::head(super::path(container, "/archive")).query(query)).await {
        Ok(response) => Ok(stat(response.headers())),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The path a symbolic link of the container stands for.
fn resolve_link(path: &str, target: &str) -> String {
    match target.starts_with('/') {
        true => target.to_owned(),
        false => {
            format!("{}/{target}", path.trim_end_matches('/').rsplit_once('/').map_or("", |(dir, _)| dir))
        }
    }
}

async fn download(
    client: &Client,
    container: &str,
    path: &str,
    target: &str,
    follow: bool,
) -> Result<u64, Error> {
    let mut path = path.to_owned();
    if follow
        && let Some(found) = stat_path(client, container, &path).await?
        && found.mode & MODE_SYMLINK != 0
    {
        path = resolve_link(&path, &found.link_target);
    }
    let archive = super::path(container, "/archive");
    let response = client.send(Request::get(&archive).query(Query::new().with("path", &path))).await?;
    let found = stat(response.headers())
        .ok_or_else(|| Error::invalid(format!("the engine did not say what {container}:{path} is")))?;
    let chunks = Chunks::new(response, &archive);
    if target == "-" {
        return pipe::to_stdout(chunks).await;
    }
    let source = Source { path: path.clone(), is_dir: found.mode & MODE_DIR != 0 };
    let placement = place(&source, &local::destination(target)?)?;
    let old_base = plan::base(&path);
    pipe::unpack(chunks, placement, old_base).await
}

async fn upload(
    client: &Client,
    path: &str,
    container: &str,
    target: &str,
    follow: bool,
    archive: bool,
) -> Result<u64, Error> {
    let mut target = target.to_owned();
    let mut found = stat_path(client, container, &target).await?;
    if let Some(link) = found.as_ref().filter(|found| found.mode & MODE_SYMLINK != 0) {
        target = resolve_link(&target, &link.link_target);
        found = stat_path(client, container, &target).await?;
    }
    let destination = Destination {
        path: target.clone(),
        exists: found.is_some(),
        is_dir: found.is_some_and(|found| found.mode & MODE_DIR != 0),
    };
    let (body, directory, counter) = if path == "-" {
        if destination.exists && !destination.is_dir {
            return Err(Error::invalid(format!("destination \"{container}:{target}\" must be a directory")));
        }
        let (body, counter) = pipe::from_stdin();
        (body, target, counter)
    } else {
        let source = local::source(path, follow)?;
        let placement = place(&source, &destination)?;
        let (body, counter) = pipe::pack(source, placement.base.clone());
        (body, placement.directory, counter)
    };
    let query =
        Query::new().with("path", directory).with("noOverwriteDirNonDir", "true").flag("copyUIDGID", archive);
    let request =
        Request::put(super::path(container, "/archive")).query(query).body("application/x-tar", body);
    let sent = client.run(request).await;
    // A source that could not be read is the cause of whatever the engine says of the broken archive.
    counter.finish()?;
    sent?;
    Ok(counter.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments() {
        assert_eq!(split("c:/x"), (Some("c"), "/x"));
        assert_eq!(split("/a:b"), (None, "/a:b"));
        assert_eq!(split("./c:x"), (None, "./c:x"));
        assert_eq!(split("-"), (None, "-"));
        assert_eq!(resolve_link("/a/b", "c"), "/a/c");
        assert_eq!(resolve_link("/a/b", "/c"), "/c");
    }
}
