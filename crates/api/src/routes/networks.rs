//! Networks.

use super::Outcome;
use crate::{request::Request, response, version::since};
use api_types::{NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest};
use engine::{Engine, networks};
use http::StatusCode;
use std::sync::Arc;

pub(super) fn list(engine: &Arc<Engine>, request: &Request) -> Outcome {
    response::ok(&networks::list(engine, &request.query.filters()?)?)
}

pub(super) fn inspect(engine: &Arc<Engine>, name: &str) -> Outcome {
    response::ok(&networks::inspect(engine, name)?)
}

pub(super) async fn create(engine: &Arc<Engine>, mut request: Request) -> Outcome {
    let mut body: NetworkCreateRequest = request.required_json().await?;
    // Read since API 1.48.
    if request.version < since(48) {
        body.enable_ipv4 = None;
    }
    response::created(&networks::create(engine, body).await?)
}

pub(super) async fn connect(engine: &Arc<Engine>, mut request: Request, network: &str) -> Outcome {
    let body: NetworkConnectRequest = request.required_json().await?;
    networks::connect(engine, network, &body.container, body.endpoint_config.unwrap_or_default()).await?;
    Ok(response::empty(StatusCode::OK))
}

pub(super) async fn disconnect(engine: &Arc<Engine>, mut request: Request, network: &str) -> Outcome {
    let body: NetworkDisconnectRequest = request.required_json().await?;
    networks::disconnect(engine, network, &body.container, body.force).await?;
    Ok(response::empty(StatusCode::OK))
}

pub(super) async fn remove(engine: &Arc<Engine>, name: &str) -> Outcome {
    networks::remove(engine, name).await?;
    Ok(response::no_content())
}

pub(super) async fn prune(engine: &Arc<Engine>, request: &Request) -> Outcome {
    response::ok(&networks::prune(engine, &request.query.filters()?).await?)
}
