//! From start to removal of a container.

use super::Outcome;
use crate::{
    error::{BadRequest, Error},
    quirks,
    request::Request,
    response, stream,
    version::since,
};
use api_types::{ContainerUpdateRequest, ContainerUpdateResponse, WaitExitError, WaitResponse};
use engine::{
    Engine, kill as kill_verb, pause as pause_verb, rename as rename_verb, resize as resize_verb,
    restart as restart_verb, rm, start as start_verb, stop as stop_verb, update as update_verb,
    wait::{self, Condition},
};
use http::StatusCode;
use std::sync::Arc;

pub(super) async fn start(engine: &Arc<Engine>, request: &Request, name: &str) -> Outcome {
    if request.has_more_than(7) {
        return Err(BadRequest::StartBody.into());
    }
    if request.query.text("checkpoint").is_some() || request.query.text("checkpoint-dir").is_some() {
        return Err(Error::Experimental { what: "checkpoint" });
    }
    start_verb::start(engine, name).await?;
    Ok(response::no_content())
}

fn stop_options(request: &Request) -> Result<stop_verb::Options, Error> {
    let signal = request.query.text("signal").filter(|_| request.version >= since(42));
    Ok(stop_verb::Options { signal: signal.map(str::to_owned), timeout: request.query.number("t")? })
}

pub(super) async fn stop(engine: &Arc<Engine>, request: &Request, name: &str) -> Outcome {
    stop_verb::stop(engine, name, stop_options(request)?).await?;
    Ok(response::no_content())
}

pub(super) async fn restart(engine: &Arc<Engine>, request: &Request, name: &str) -> Outcome {
    restart_verb::restart(engine, name, stop_options(request)?).await?;
    Ok(response::no_content())
}

pub(super) async fn kill(engine: &Arc<Engine>, request: &Request, name: &str) -> Outcome {
    kill_verb::kill(engine, name, request.query.text("signal")).await?;
    Ok(response::no_content())
}

pub(super) async fn pause(engine: &Arc<Engine>, name: &str) -> Outcome {
    pause_verb::pause(engine, name).await?;
    Ok(response::no_content())
}

pub(super) async fn unpause(engine: &Arc<Engine>, name: &str) -> Outcome {
    pause_verb::unpause(engine, name).await?;
    Ok(response::no_content())
}

pub(super) async fn rename(engine: &Arc<Engine>, request: &Request, name: &str) -> Outcome {
    rename_verb::rename(engine, name, &request.query.string("name")).await?;
    Ok(response::no_content())
}

/// Rows and columns of a terminal (`h`, `w`).
pub(super) fn size(request: &Request) -> Result<(u16, u16), Error> {
    let side = |name: &'static str, long: &'static str| {
        let text = request.query.string(name);
        let invalid = |reason| BadRequest::Resize { name: long, value: text.clone(), reason };
        match text.parse::<i128>() {
            _ if text.starts_with('+') => Err(invalid("invalid syntax")),
            Ok(number) => u16::try_from(number).map_err(|_| invalid("value out of range")),
            Err(_) => Err(invalid("invalid syntax")),
        }
    };
    Ok((side("h", "height")?, side("w", "width")?))
}

pub(super) async fn resize(engine: &Arc<Engine>, request: &Request, name: &str) -> Outcome {
    let (rows, columns) = size(request)?;
    resize_verb::resize(engine, name, rows, columns).await?;
    Ok(response::empty(StatusCode::OK))
}

pub(super) async fn update(engine: &Arc<Engine>, mut request: Request, name: &str) -> Outcome {
    let mut body: ContainerUpdateRequest = request.json().await?.unwrap_or_default();
    quirks::update(&mut body);
    let warnings = update_verb::update(engine, name, body).await?;
    response::ok(&ContainerUpdateResponse { warnings })
}

/// The answer's head goes out when waiting has begun: clients start the container only then.
pub(super) async fn wait(engine: &Arc<Engine>, request: &Request, name: &str) -> Outcome {
    let condition = match request.query.text("condition") {
        None | Some("not-running") => Condition::NotRunning,
        Some("next-exit") => Condition::NextExit,
        Some("removed") => Condition::Removed,
        Some(other) => return Err(BadRequest::WaitCondition(other.to_owned()).into()),
    };
    let waiting = wait::wait(engine, name, condition)?;
    Ok(stream::lines(move |lines| async move {
        let waited = tokio::select! {
            waited = waiting.done() => waited,
            () = lines.closed() => return,
        };
        let error = waited.error.map(|message| WaitExitError { message });
        lines.send(&WaitResponse { error, status_code: waited.exit_code.into() }).await;
    }))
}

pub(super) async fn remove(engine: &Arc<Engine>, request: &Request, name: &str) -> Outcome {
    let options = rm::Options {
        force: request.query.flag("force"),
        volumes: request.query.flag("v"),
        link: request.query.flag("link"),
    };
    rm::rm(engine, name, options).await?;
    Ok(response::no_content())
}
