//! The files of a container: copy, export, changes.

use super::Outcome;
use crate::{error::Error, request::Request, response, stream};
use api_types::PathStat;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use engine::{
    Engine,
    files::{self, PutRequest},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::sync::Arc;

const PATH_STAT: HeaderName = HeaderName::from_static("x-docker-container-path-stat");

pub(super) async fn stat(engine: &Arc<Engine>, request: &Request, name: &str) -> Outcome {
    let stat = files::stat_path(engine, name, path(request)?).await?;
    let mut response = response::empty(StatusCode::OK);
    set_stat(response.headers_mut(), &stat)?;
    Ok(response)
}

pub(super) async fn get(engine: &Arc<Engine>, request: &Request, name: &str) -> Outcome {
    let (stat, archive) = files::get_archive(engine, name, path(request)?).await?;
    let mut response = stream::chunks(response::TAR, archive);
    set_stat(response.headers_mut(), &stat)?;
    Ok(response)
}

pub(super) async fn put(engine: &Arc<Engine>, request: Request, name: &str) -> Outcome {
    let path = path(&request)?.to_owned();
    let put = PutRequest {
        no_overwrite_dir_non_dir: request.query.flag("noOverwriteDirNonDir"),
        copy_uid_gid: request.query.flag("copyUIDGID"),
    };
    files::put_archive(engine, name, &path, put, request.into_chunks()).await?;
    Ok(response::empty(StatusCode::OK))
}

fn path(request: &Request) -> Result<&str, Error> {
    request.query.text("path").ok_or(Error::Missing { name: "path" })
}

/// base64 of the JSON (moby `api/server/router/container/copy.go`).
fn set_stat(headers: &mut HeaderMap, stat: &PathStat) -> Result<(), Error> {
    let json = serde_json::to_vec(stat).map_err(Error::Encode)?;
    let value = HeaderValue::from_str(&STANDARD.encode(json)).expect("base64 is a header value");
    headers.insert(PATH_STAT, value);
    Ok(())
}

pub(super) async fn export(engine: &Arc<Engine>, name: &str) -> Outcome {
    Ok(stream::chunks(response::TAR, files::export(engine, name).await?))
}

/// `null` when nothing changed, as Go writes a nil list.
pub(super) async fn changes(engine: &Arc<Engine>, name: &str) -> Outcome {
    let changes = files::changes(engine, name).await?;
    response::ok(&(!changes.is_empty()).then_some(changes))
}
