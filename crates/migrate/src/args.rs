//! The command line.

use crate::Error;

pub(crate) const HELP: &str = "Usage:  lichen migrate --from HOST [OPTIONS]

Copy images, volumes, networks and container definitions from another engine

The other engine is Docker or Podman, rootful or rootless, or Lichen; all that is used of it is its API. Nothing in it
is changed. Without --apply it only says what it would do.

Options:
      --from HOST     The other engine: unix:///var/run/docker.sock, tcp://host:port, ssh://user@host,
                      ssh://user@host/var/run/docker.sock, or the name of a context
      --to HOST       This engine, or the name of a context (default: DOCKER_HOST, or this user's own socket)
      --apply         Do it
      --only KINDS    Of images, volumes, networks, containers, these, separated by commas
      --start         Start the copies of containers that run in the other engine
      --help          Print usage";

/// What may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kinds {
    pub(crate) images: bool,
    pub(crate) volumes: bool,
    pub(crate) networks: bool,
    pub(crate) containers: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) from: String,
    pub(crate) to: Option<String>,
    pub(crate) apply: bool,
    pub(crate) start: bool,
    pub(crate) kinds: Kinds,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Help,
    Run(Arguments),
}

pub(crate) fn parse(words: &[String]) -> Result<Asked, Error> {
    let usage = |text: String| Error::Usage(text);
    let (mut from, mut to, mut apply, mut start, mut only) = (None, None, false, false, None);
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let (name, inline) =
            word.split_once('=').map_or((word.as_str(), None), |(n, v)| (n, Some(v.to_owned())));
        let mut value = || {
            let value = inline.clone().or_else(|| rest.next().cloned());
            value.ok_or_else(|| usage(format!("flag needs an argument: {name}")))
        };
        match name {
            "--help" | "-h" => return Ok(Asked::Help),
            "--from" => from = Some(value()?),
            "--to" => to = Some(value()?),
            "--only" => only = Some(value()?),
            "--apply" => apply = true,
            "--start" => start = true,
            _ => return Err(usage(format!("unknown argument {word:?}. See 'lichen migrate --help'"))),
        }
    }
    let from = from.ok_or_else(|| {
        usage("--from is missing: the other engine's address, such as unix:///var/run/docker.sock".to_owned())
    })?;
    if start && !apply {
        return Err(usage("--start has an effect with --apply only".to_owned()));
    }
    Ok(Asked::Run(Arguments { from, to, apply, start, kinds: kinds(only.as_deref())? }))
}

fn kinds(only: Option<&str>) -> Result<Kinds, Error> {
    let all = only.is_none();
    let mut kinds = Kinds { images: all, volumes: all, networks: all, containers: all };
    for word in only.into_iter().flat_map(|words| words.split(',')) {
        match word.trim() {
            "images" => kinds.images = true,
            "volumes" => kinds.volumes = true,
            "networks" => kinds.networks = true,
            "containers" => kinds.containers = true,
            other => {
                let text = format!("--only {other:?}: expected images, volumes, networks or containers");
                return Err(Error::Usage(text));
            }
        }
    }
    Ok(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn words_are_understood_or_named() {
        let Ok(Asked::Run(run)) = parse(&words("--from=unix:///x --apply --only images,volumes")) else {
            panic!()
        };
        assert_eq!((run.from.as_str(), run.apply, run.start), ("unix:///x", true, false));
        assert_eq!(run.kinds, Kinds { images: true, volumes: true, networks: false, containers: false });
        assert_eq!(parse(&words("--from x --help")), Ok(Asked::Help));
        for (line, expect) in [
            ("--apply", "--from is missing"),
            ("--from", "flag needs an argument: --from"),
            ("--from x --only pods", "--only \"pods\""),
            ("--from x --start", "--start has an effect"),
            ("--from x --force", "unknown argument \"--force\""),
        ] {
            let error = parse(&words(line)).unwrap_err().to_string();
            assert!(error.starts_with(expect), "{line}: {error}");
        }
    }
}
