//! The engine itself: ping, info, version, events, disk usage, credentials.

use super::Outcome;
use crate::{
    error::{BadRequest, Error},
    quirks,
    request::Request,
    response::{self, Body},
    stream,
    version::{ApiVersion, since},
};
use api_types::{Actor, AuthConfig, BuildPruneReport, EventMessage};
use bytes::Bytes;
use engine::{
    Engine,
    events::{Event, EventFilter, Kind, Listener},
    images::RegistryAuth,
    logs,
    system::{self, DiskUsageParts},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use model::Timestamp;
use std::sync::Arc;
use tokio::time::{Instant, sleep_until};

pub(super) fn options() -> Outcome {
    Ok(response::empty(StatusCode::OK))
}

/// Clients learn here which API version to speak. The classic builder is what would be used, if there were one.
pub(super) fn ping(request: &Request) -> Outcome {
    let body = if request.method == http::Method::HEAD { None } else { Some(Bytes::from_static(b"OK")) };
    let mut response = response::with_body(StatusCode::OK, Body::Whole(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, must-revalidate"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(HeaderName::from_static("builder-version"), HeaderValue::from_static("1"));
    headers.insert(HeaderName::from_static("swarm"), HeaderValue::from_static("inactive"));
    Ok(response)
}

pub(super) async fn info(engine: &Arc<Engine>, request: &Request) -> Outcome {
    let engine = engine.clone();
    let info =
        tokio::task::spawn_blocking(move || system::info(&engine)).await.map_err(|_| Error::Panicked)??;
    response::ok(&quirks::info(info, request.version)?)
}

pub(super) fn version(engine: &Arc<Engine>) -> Outcome {
    response::ok(&system::version(engine, &ApiVersion::MAX.to_string(), &ApiVersion::MIN.to_string()))
}

pub(super) async fn disk_usage(engine: &Arc<Engine>, request: &Request) -> Outcome {
    let types = request.query.all("type");
    let mut parts = if types.is_empty() || request.version < since(42) {
        DiskUsageParts::ALL
    } else {
        DiskUsageParts::NONE
    };
    for part in types {
        match part.as_str() {
            "container" => parts.containers = true,
            "image" => parts.images = true,
            "volume" => parts.volumes = true,
            "build-cache" => parts.build_cache = true,
            _ => return Err(BadRequest::DiskUsageType(part).into()),
        }
    }
    let mut usage = system::disk_usage(engine, parts).await?;
    quirks::disk_usage(&mut usage, request.version);
    response::ok(&usage)
}

/// Lichen's own, below a path that Docker has nothing at.
pub(super) async fn check(engine: &Arc<Engine>, request: &Request) -> Outcome {
    response::ok(&system::check(engine, request.query.flag("repair")).await?)
}

/// There is no build cache, so there is nothing to remove.
pub(super) fn prune_build_cache(_request: &Request) -> Outcome {
    response::ok(&BuildPruneReport::default())
}

pub(super) async fn auth(engine: &Arc<Engine>, mut request: Request) -> Outcome {
    let config: AuthConfig = request.required_json().await?;
    let auth = RegistryAuth {
        username: config.username,
        password: config.password,
        auth: config.auth,
        serveraddress: config.server_address,
        identitytoken: config.identity_token,
        registrytoken: config.registry_token,
    };
    response::ok(&engine::images::login(engine, &auth).await?)
}

/// Past events since `since`, then coming ones until `until`.
pub(super) fn events(engine: &Arc<Engine>, request: &Request) -> Outcome {
    let time = |name| logs::Options::parse_time(&request.query.string(name));
    let (since, until) = (time("since")?, time("until")?);
    if let (Some(from), Some(to)) = (since, until)
        && to < from
    {
        let (since, until) = (request.query.string("since"), request.query.string("until"));
        return Err(BadRequest::TimeOrder { since, until }.into());
    }
    let filter = EventFilter::new(&request.query.filters()?)?;
    let listener = engine.events.listen(since, filter);
    let version = request.version;
    Ok(stream::lines(move |lines| send_events(listener, until, version, lines)))
}

async fn send_events(
    mut listener: Listener,
    until: Option<Timestamp>,
    version: ApiVersion,
    lines: stream::Lines,
) {
    let deadline = async {
        match until {
            Some(until) => sleep_until(instant(until)).await,
            None => std::future::pending().await,
        }
    };
    let mut deadline = std::pin::pin!(deadline);
    loop {
        let event = tokio::select! {
            biased;
            event = listener.next() => event,
            () = deadline.as_mut() => return,
            () = lines.closed() => return,
        };
        if until.is_some_and(|until| event.at > until) {
            return;
        }
        // Told of since API 1.46.
        if version < since(46) && event.kind == Kind::Image && event.action == "create" {
            continue;
        }
        if !lines.send(&wire(&event)).await {
            return;
        }
    }
}

/// The moment on the clock that timers use; one that has passed is now.
fn instant(at: Timestamp) -> Instant {
    let left = at.unix_nanos().saturating_sub(Timestamp::now().unix_nanos());
    let left = u64::try_from(left.max(0)).unwrap_or(u64::MAX);
    let now = Instant::now();
    now.checked_add(std::time::Duration::from_nanos(left)).unwrap_or(now)
}

/// The deprecated fields are still written for containers and images (moby `daemon/events/events.go`).
fn wire(event: &Event) -> EventMessage {
    let legacy = matches!(event.kind, Kind::Container | Kind::Image);
    let legacy = |text: &str| if legacy { text.to_owned() } else { String::new() };
    let from = if event.kind == Kind::Container { event.attributes.get("image").cloned() } else { None };
    EventMessage {
        status: legacy(&event.action),
        id: legacy(&event.actor),
        from: from.unwrap_or_default(),
        r#type: event.kind.as_str().to_owned(),
        action: event.action.clone(),
        actor: Actor { id: event.actor.clone(), attributes: event.attributes.clone() },
        scope: "local".to_owned(),
        time: event.at.unix_seconds(),
        time_nano: i64::try_from(event.at.unix_nanos()).unwrap_or_default(),
    }
}
