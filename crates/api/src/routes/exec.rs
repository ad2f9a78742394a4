//! Exec sessions.

use super::{Outcome, lifecycle::size};
use crate::{
    quirks,
    request::Request,
    response::{self, MULTIPLEXED_STREAM, RAW_STREAM},
    upgrade::{Joined, Taker},
    version::since,
};
use api_types::{ExecCreateRequest, ExecStartRequest, IdResponse};
use engine::{Engine, exec};
use http::StatusCode;
use std::sync::Arc;

pub(super) async fn create(engine: &Arc<Engine>, mut request: Request, container: &str) -> Outcome {
    let mut body: ExecCreateRequest = request.json().await?.unwrap_or_default();
    quirks::exec_create(&mut body, request.version);
    let id = exec::create(engine, container, body)?;
    response::created(&IdResponse { id: id.to_string() })
}

pub(super) fn inspect(engine: &Arc<Engine>, id: &str) -> Outcome {
    response::ok(&exec::inspect(engine, id)?)
}

pub(super) async fn resize(engine: &Arc<Engine>, request: &Request, id: &str) -> Outcome {
    let (rows, columns) = size(request)?;
    engine::resize::resize_exec(engine, id, rows, columns).await?;
    Ok(response::empty(StatusCode::OK))
}

pub(super) async fn start(engine: &Arc<Engine>, mut request: Request, id: &str) -> Outcome {
    let mut body: ExecStartRequest = request.json().await?.unwrap_or_default();
    quirks::exec_start(&mut body, request.version);
    if body.detach {
        exec::start(engine, id, body).await?;
        return Ok(response::empty(StatusCode::OK));
    }
    // What can be refused is refused before the connection is taken over.
    let session = exec::check_startable(engine, id)?;
    // As the start says, whatever the exec was made with (moby `postContainerExecStart`).
    let framed = !body.tty;
    let content_type = if framed && request.version >= since(42) { MULTIPLEXED_STREAM } else { RAW_STREAM };
    let (engine, id) = (engine.clone(), id.to_owned());
    let open = async move {
        let stream = exec::start(&engine, &id, body).await?;
        let to_be_framed = framed && stream.as_ref().is_some_and(|stream| stream.tty);
        Ok(Joined {
            past: None,
            container: stream.map(|stream| stream.socket),
            to_be_framed,
            exec: Some(session),
        })
    };
    Taker::of(&mut request).join(content_type, framed, open).await
}
