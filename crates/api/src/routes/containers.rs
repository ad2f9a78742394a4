//! Making, listing and looking into containers.

use super::Outcome;
use crate::{
    error::BadRequest,
    quirks,
    request::Request,
    response::{self, MULTIPLEXED_STREAM, RAW_STREAM},
    stream,
    upgrade::{Joined, Taker},
    version::since,
    websocket,
};
use api_types::{ContainerConfig, ContainerCreateRequest, ContainerCreateResponse, IdResponse};
use engine::{
    Engine, attach as attach_verb, create as create_verb,
    filters::Filters,
    images::{self, CommitOptions},
    inspect as inspect_verb, list as list_verb, logs as logs_verb,
    stats::{self as stats_verb, Mode},
    top as top_verb,
};
use http::HeaderValue;
use std::sync::Arc;

pub(super) async fn create(engine: &Arc<Engine>, mut request: Request) -> Outcome {
    let mut body: ContainerCreateRequest = request.json().await?.ok_or(BadRequest::EmptyConfig)?;
    let warnings = quirks::create(&mut body, request.version)?;
    let platform = match request.version >= since(41) {
        true => images::platform::parse(&request.query.string("platform"))?,
        false => None,
    };
    let created = create_verb::create(engine, request.query.text("name"), platform.as_ref(), body).await?;
    let warnings = created.warnings.into_iter().chain(warnings).collect();
    response::created(&ContainerCreateResponse { id: created.id.to_string(), warnings })
}

pub(super) async fn list(engine: &Arc<Engine>, request: &Request) -> Outcome {
    let query = &request.query;
    let mut filters = query.filters()?;
    // Older spellings of filters.
    for name in ["since", "before"] {
        if let Some(value) = query.text(name) {
            let pairs: Vec<_> = filters.pairs().chain([(name, value)]).collect();
            filters = Filters::from_pairs(pairs);
        }
    }
    let limit: Option<i64> = query.number("limit")?;
    let options = list_verb::Options {
        all: query.flag("all"),
        // Zero and less are no limit.
        limit: limit.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0),
        size: query.flag("size"),
        filters,
    };
    let mut found = list_verb::list(engine, &options).await?;
    quirks::container_list(&mut found, request.version);
    response::ok(&found)
}

pub(super) async fn inspect(engine: &Arc<Engine>, request: &Request, name: &str) -> Outcome {
    let found = inspect_verb::inspect(engine, name, request.query.flag("size")).await?;
    response::ok(&quirks::container_inspect(found, request.version)?)
}

pub(super) async fn prune(engine: &Arc<Engine>, request: &Request) -> Outcome {
    response::ok(&engine::prune::prune(engine, &request.query.filters()?).await?)
}

pub(super) async fn commit(engine: &Arc<Engine>, mut request: Request) -> Outcome {
    let config: Option<ContainerConfig> = request.json().await?;
    let query = &request.query;
    let options = CommitOptions {
        repo: query.string("repo"),
        tag: query.string("tag"),
        author: query.string("author"),
        comment: query.string("comment"),
        pause: query.flag_or("pause", true),
        changes: query.all("changes"),
        config,
    };
    let id = images::commit(engine, &query.string("container"), options).await?;
    response::created(&IdResponse { id: id.to_string() })
}

pub(super) async fn top(engine: &Arc<Engine>, request: &Request, name: &str) -> Outcome {
    response::ok(&top_verb::top(engine, name, &request.query.string("ps_args")).await?)
}

pub(super) async fn logs(engine: &Arc<Engine>, request: &Request, name: &str) -> Outcome {
    let query = &request.query;
    let options = logs_verb::Options {
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        since: logs_verb::Options::parse_time(&query.string("since"))?,
        until: logs_verb::Options::parse_time(&query.string("until"))?,
        tail: logs_verb::Options::parse_tail(&query.string("tail")),
        timestamps: query.flag("timestamps"),
        details: query.flag("details"),
        follow: query.flag("follow"),
    };
    if !options.stdout && !options.stderr {
        return Err(BadRequest::NoStream.into());
    }
    let log = logs_verb::logs(engine, name, options).await?;
    let content_type = media_type(log.tty, request);
    Ok(stream::log(content_type, log))
}

/// A terminal's output is one stream, all else is told apart by frames; since API 1.42 the media type says which.
fn media_type(tty: bool, request: &Request) -> HeaderValue {
    if tty || request.version < since(42) { RAW_STREAM } else { MULTIPLEXED_STREAM }
}

pub(super) async fn attach(engine: &Arc<Engine>, mut request: Request, name: &str) -> Outcome {
    let query = &request.query;
    let options = attach_verb::Options {
        stdin: query.flag("stdin"),
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        stream: query.flag("stream"),
        logs: query.flag("logs"),
        detach_keys: query.text("detachKeys").map(str::to_owned),
    };
    let attached = attach_verb::attach(engine, name, options).await?;
    let content_type = media_type(attached.tty, &request);
    let container = attached.stream.map(|stream| stream.socket);
    let joined = Joined { past: attached.past, container, to_be_framed: false, exec: None };
    Taker::of(&mut request).join(content_type, !attached.tty, async { Ok(joined) }).await
}

pub(super) async fn attach_websocket(engine: &Arc<Engine>, mut request: Request, name: &str) -> Outcome {
    let accept = websocket::accept(&request.headers)?;
    let query = &request.query;
    // Until then every stream was attached to.
    let flag = |name| request.version < since(42) || query.flag(name);
    let options = attach_verb::Options {
        stdin: flag("stdin"),
        stdout: flag("stdout"),
        stderr: flag("stderr"),
        stream: query.flag("stream"),
        logs: query.flag("logs"),
        detach_keys: query.text("detachKeys").map(str::to_owned),
    };
    let attached = attach_verb::attach(engine, name, options).await?;
    websocket::join(&mut request, &accept, attached)
}

pub(super) async fn stats(engine: &Arc<Engine>, request: &Request, name: &str) -> Outcome {
    let one_shot = request.version >= since(41) && request.query.flag("one-shot");
    let mode = match request.query.flag_or("stream", true) {
        true => Mode::Stream,
        false if one_shot => Mode::Single,
        false => Mode::Pair,
    };
    let mut samples = stats_verb::stats(engine, name, mode)?;
    Ok(stream::lines(move |lines| async move {
        loop {
            let sample = tokio::select! {
                sample = samples.next() => sample,
                () = lines.closed() => return,
            };
            let Some(sample) = sample else { return };
            if !lines.send(&sample).await {
                return;
            }
        }
    }))
}
