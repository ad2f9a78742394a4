//! Every endpoint there is: one match from method and path to the function that answers.
//!
//! Names may contain slashes (`/images/localhost:5000/a/b/json`), so a name is whatever lies between the fixed parts.

mod archive;
mod containers;
mod exec;
mod images;
mod lifecycle;
mod networks;
mod swarm;
mod system;
mod volumes;

use crate::{
    error::Error,
    request::Request,
    response::{Response, failure, stamp},
    server::Handler,
};
use engine::Engine;
use std::sync::Arc;

/// Answers requests by calling the engine.
pub(crate) struct Api {
    pub(crate) engine: Arc<Engine>,
}

type Outcome = Result<Response, Error>;

impl Handler for Api {
    async fn handle(&self, mut request: Request) -> Response {
        let (method, raw_path) = (request.method.clone(), request.raw_path().to_owned());
        let outcome = match request.take_path() {
            Ok(path) => Box::pin(route(&self.engine, request, &path)).await,
            Err(error) => Err(error),
        };
        stamp(outcome.unwrap_or_else(|error| {
            let status = error.status().as_u16();
            if status >= 500 {
                tracing::error!(%method, path = raw_path, status, %error, "request failed");
            } else {
                tracing::debug!(%method, path = raw_path, status, %error, "request refused");
            }
            failure(&error)
        }))
    }
}

#[rustfmt::skip] // A table: one endpoint a line.
async fn route(engine: &Arc<Engine>, request: Request, path: &str) -> Outcome {
    let method = request.method.clone();
    let segments: Vec<&str> = path.split('/').collect();
    let e = engine;
    let name = |parts: &[&str]| parts.join("/");
    match (method.as_str(), segments.as_slice()) {
        ("OPTIONS", _) => system::options(),
        ("GET" | "HEAD", ["_ping"]) => system::ping(&request),
        ("GET", ["info"]) => system::info(e, &request).await,
        ("GET", ["version"]) => system::version(e),
        ("GET", ["events"]) => system::events(e, &request),
        ("GET", ["system", "df"]) => system::disk_usage(e, &request).await,
        ("POST", ["lichen", "system", "check"]) => system::check(e, &request).await,
        ("POST", ["auth"]) => system::auth(e, request).await,

        ("GET", ["containers", "json"]) => containers::list(e, &request).await,
        ("POST", ["containers", "create"]) => containers::create(e, request).await,
        ("POST", ["containers", "prune"]) => containers::prune(e, &request).await,
        ("POST", ["commit"]) => containers::commit(e, request).await,
        ("GET", ["containers", n @ .., "json"]) => containers::inspect(e, &request, &name(n)).await,
        ("GET", ["containers", n @ .., "top"]) => containers::top(e, &request, &name(n)).await,
        ("GET", ["containers", n @ .., "logs"]) => containers::logs(e, &request, &name(n)).await,
        ("GET", ["containers", n @ .., "stats"]) => containers::stats(e, &request, &name(n)).await,
        ("GET", ["containers", n @ .., "changes"]) => archive::changes(e, &name(n)).await,
        ("GET", ["containers", n @ .., "export"]) => archive::export(e, &name(n)).await,
        ("HEAD", ["containers", n @ .., "archive"]) => archive::stat(e, &request, &name(n)).await,
        ("GET", ["containers", n @ .., "archive"]) => archive::get(e, &request, &name(n)).await,
        ("PUT", ["containers", n @ .., "archive"]) => archive::put(e, request, &name(n)).await,
        ("GET", ["containers", n @ .., "attach", "ws"]) => containers::attach_websocket(e, request, &name(n)).await,
        ("POST", ["containers", n @ .., "attach"]) => containers::attach(e, request, &name(n)).await,
        ("POST", ["containers", n @ .., "start"]) => lifecycle::start(e, &request, &name(n)).await,
        ("POST", ["containers", n @ .., "stop"]) => lifecycle::stop(e, &request, &name(n)).await,
        ("POST", ["containers", n @ .., "restart"]) => lifecycle::restart(e, &request, &name(n)).await,
        ("POST", ["containers", n @ .., "kill"]) => lifecycle::kill(e, &request, &name(n)).await,
        ("POST", ["containers", n @ .., "pause"]) => lifecycle::pause(e, &name(n)).await,
        ("POST", ["containers", n @ .., "unpause"]) => lifecycle::unpause(e, &name(n)).await,
        ("POST", ["containers", n @ .., "rename"]) => lifecycle::rename(e, &request, &name(n)).await,
        ("POST", ["containers", n @ .., "resize"]) => lifecycle::resize(e, &request, &name(n)).await,
        ("POST", ["containers", n @ .., "update"]) => lifecycle::update(e, request, &name(n)).await,
        ("POST", ["containers", n @ .., "wait"]) => lifecycle::wait(e, &request, &name(n)).await,
        ("POST", ["containers", n @ .., "exec"]) => exec::create(e, request, &name(n)).await,
        (_, ["containers", .., "checkpoints"] | ["containers", .., "checkpoints", _]) => Err(Error::Experimental { what: "checkpoint" }),
        ("DELETE", ["containers", n @ ..]) => lifecycle::remove(e, &request, &name(n)).await,

        ("GET", ["exec", n @ .., "json"]) => exec::inspect(e, &name(n)),
        ("POST", ["exec", n @ .., "start"]) => exec::start(e, request, &name(n)).await,
        ("POST", ["exec", n @ .., "resize"]) => exec::resize(e, &request, &name(n)).await,

        ("GET", ["images", "json"]) => images::list(e, &request),
        ("GET", ["images", "search"]) => images::search(e, &request).await,
        ("GET", ["images", "get"]) => images::save(e, &request, request.query.all("names")).await,
        ("GET", ["images", n @ .., "get"]) => images::save(e, &request, vec![name(n)]).await,
        ("GET", ["images", n @ .., "history"]) => images::history(e, &request, &name(n)),
        ("GET", ["images", n @ .., "json"]) => images::inspect(e, &request, &name(n)),
        ("POST", ["images", "load"]) => images::load(e, request).await,
        ("POST", ["images", "create"]) => images::create(e, request).await,
        ("POST", ["images", "prune"]) => images::prune(e, &request).await,
        ("POST", ["images", n @ .., "push"]) => images::push(e, &request, &name(n)).await,
        ("POST", ["images", n @ .., "tag"]) => images::tag(e, &request, &name(n)),
        ("DELETE", ["images", n @ ..]) => images::remove(e, &request, &name(n)).await,
        ("GET", ["distribution", n @ .., "json"]) => images::distribution(e, &request, &name(n)).await,

        ("GET", ["volumes"]) => volumes::list(e, &request),
        ("POST", ["volumes", "create"]) => volumes::create(e, request).await,
        ("POST", ["volumes", "prune"]) => volumes::prune(e, &request).await,
        ("GET", ["volumes", n @ ..]) => volumes::inspect(e, &name(n)),
        ("PUT", ["volumes", ..]) => Err(Error::ClusterVolumesOnly),
        ("DELETE", ["volumes", n @ ..]) => volumes::remove(e, &request, &name(n)).await,

        ("GET", ["networks"] | ["networks", ""]) => networks::list(e, &request),
        ("POST", ["networks", "create"]) => networks::create(e, request).await,
        ("POST", ["networks", "prune"]) => networks::prune(e, &request).await,
        ("POST", ["networks", n @ .., "connect"]) => networks::connect(e, request, &name(n)).await,
        ("POST", ["networks", n @ .., "disconnect"]) => networks::disconnect(e, request, &name(n)).await,
        ("GET", ["networks", n @ ..]) => networks::inspect(e, &name(n)),
        ("DELETE", ["networks", n @ ..]) => networks::remove(e, &name(n)).await,

        ("POST", ["build"]) => Err(Error::Unsupported { what: "building images" }),
        ("POST", ["build", "cancel"]) => Err(Error::Unsupported { what: "building images" }),
        ("POST", ["build", "prune"]) => system::prune_build_cache(&request),
        ("POST", ["session"]) => Err(Error::Unsupported { what: "building images (a BuildKit session)" }),
        ("POST", ["grpc"]) => Err(Error::Unsupported { what: "building images (BuildKit's gRPC)" }),

        (_, ["swarm" | "services" | "nodes" | "tasks" | "secrets" | "configs", ..]) => swarm::answer(&request, &segments),
        (_, ["plugins", ..]) => swarm::plugins(&request, &segments),
        _ => Err(Error::PageNotFound),
    }
}
