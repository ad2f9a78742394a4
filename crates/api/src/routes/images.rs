//! Images.

use super::Outcome;
use crate::{
    error::{BadRequest, Error},
    quirks,
    request::Request,
    response,
    stream::{self, Failure},
    version::since,
};
use engine::{
    Engine,
    images::{
        self, ImportOptions, InspectOptions, ListOptions, LoadOptions, Platform, PullOptions, PushOptions,
        RegistryAuth, RemoveOptions,
    },
};
use http::StatusCode;
use std::sync::Arc;

pub(super) fn list(engine: &Arc<Engine>, request: &Request) -> Outcome {
    let query = &request.query;
    let options = ListOptions {
        all: query.flag("all"),
        filters: query.filters()?,
        manifests: request.version >= since(47) && query.flag("manifests"),
        shared_size: request.version >= since(42) && query.flag("shared-size"),
    };
    let mut found = images::list(engine, &options)?;
    quirks::image_list(&mut found, request.version);
    response::ok(&found)
}

pub(super) fn inspect(engine: &Arc<Engine>, request: &Request, name: &str) -> Outcome {
    let options = InspectOptions {
        manifests: request.version >= since(48) && request.query.flag("manifests"),
        platform: if request.version >= since(49) { json_platform(request)? } else { None },
    };
    if options.manifests && options.platform.is_some() {
        return Err(BadRequest::ManifestsOfPlatform.into());
    }
    response::ok(&quirks::image_inspect(images::inspect(engine, name, &options)?, request.version)?)
}

pub(super) fn history(engine: &Arc<Engine>, request: &Request, name: &str) -> Outcome {
    response::ok(&images::history(engine, name, platform(request)?.as_ref())?)
}

pub(super) fn tag(engine: &Arc<Engine>, request: &Request, name: &str) -> Outcome {
    images::tag(engine, name, &request.query.string("repo"), &request.query.string("tag"))?;
    Ok(response::empty(StatusCode::CREATED))
}

pub(super) async fn remove(engine: &Arc<Engine>, request: &Request, name: &str) -> Outcome {
    if name.trim().is_empty() {
        return Err(BadRequest::BlankImage.into());
    }
    let options =
        RemoveOptions { force: request.query.flag("force"), no_prune: request.query.flag("noprune") };
    let platforms = if request.version >= since(50) { platforms(request, "platforms")? } else { Vec::new() };
    response::ok(&images::remove(engine, name, platforms, options).await?)
}

pub(super) async fn prune(engine: &Arc<Engine>, request: &Request) -> Outcome {
    response::ok(&images::prune(engine, &request.query.filters()?).await?)
}

/// Pull (`fromImage`) or import (`fromSrc`).
pub(super) async fn create(engine: &Arc<Engine>, request: Request) -> Outcome {
    match request.query.text("fromImage") {
        Some(image) => {
            let image = image.to_owned();
            pull(engine, &request, image).await
        }
        None => import(engine, request).await,
    }
}

async fn pull(engine: &Arc<Engine>, request: &Request, image: String) -> Outcome {
    let options = PullOptions {
        image,
        tag: request.query.string("tag"),
        platform: request.query.string("platform"),
        auth: auth(request),
    };
    let engine = engine.clone();
    stream::progress(Failure::StatusWhileSilent, |progress| images::pull(engine, options, progress)).await
}

pub(super) async fn push(engine: &Arc<Engine>, request: &Request, name: &str) -> Outcome {
    let platform = if request.version < since(46) { None } else { json_platform(request)? };
    let options = PushOptions {
        name: name.to_owned(),
        tag: request.query.string("tag"),
        platform,
        auth: auth(request),
    };
    let engine = engine.clone();
    stream::progress(Failure::StatusWhileSilent, |progress| images::push(engine, options, progress)).await
}

async fn import(engine: &Arc<Engine>, request: Request) -> Outcome {
    let query = &request.query;
    let source = query.string("fromSrc");
    let options = ImportOptions {
        repo: query.string("repo"),
        tag: query.string("tag"),
        message: query.string("message"),
        changes: query.all("changes"),
        platform: query.string("platform"),
    };
    let engine = engine.clone();
    if !matches!(source.as_str(), "" | "-") {
        let import = |progress| images::import_from(engine, source, options, progress);
        return stream::progress(Failure::StatusWhileSilent, import).await;
    }
    let archive = request.into_reader();
    stream::progress(Failure::StatusWhileSilent, |progress| {
        images::import(engine, archive, options, progress)
    })
    .await
}

pub(super) async fn load(engine: &Arc<Engine>, request: Request) -> Outcome {
    let options = LoadOptions { platform: platform(&request)?, quiet: request.query.flag_or("quiet", true) };
    let engine = engine.clone();
    let archive = request.into_reader();
    stream::progress(Failure::InBand, |progress| images::load(engine, archive, options, progress)).await
}

pub(super) async fn save(engine: &Arc<Engine>, request: &Request, names: Vec<String>) -> Outcome {
    let archive = images::save(engine, &names, platform(request)?.as_ref()).await?;
    Ok(stream::chunks(response::TAR, archive))
}

pub(super) async fn search(engine: &Arc<Engine>, request: &Request) -> Outcome {
    let term = request.query.string("term");
    let limit = request.query.number("limit")?.unwrap_or(0);
    response::ok(&images::search(engine, &term, limit, auth(request).as_ref()).await?)
}

pub(super) async fn distribution(engine: &Arc<Engine>, request: &Request, name: &str) -> Outcome {
    response::ok(&images::distribution(engine, name, auth(request).as_ref()).await?)
}

/// A header that cannot be read is taken for none, as in Docker: some clients send one with every pull.
fn auth(request: &Request) -> Option<RegistryAuth> {
    match RegistryAuth::from_header(request.header("x-registry-auth").unwrap_or_default()) {
        Ok(auth) => auth,
        Err(error) => {
            tracing::debug!(%error, "ignored");
            None
        }
    }
}

/// The JSON platform of `save` and `load`, since API 1.48.
fn platform(request: &Request) -> Result<Option<Platform>, Error> {
    if request.version < since(48) { Ok(None) } else { json_platform(request) }
}

fn json_platform(request: &Request) -> Result<Option<Platform>, Error> {
    let mut found = platforms(request, "platform")?;
    if found.len() > 1 {
        return Err(BadRequest::ManyPlatforms.into());
    }
    Ok(found.pop())
}

/// Every JSON platform that the parameter `key` gives.
fn platforms(request: &Request, key: &str) -> Result<Vec<Platform>, Error> {
    let texts = request.query.all(key).into_iter().filter(|text| !text.is_empty());
    let parse = |text: String| {
        let platform: Platform =
            serde_json::from_str(&text).map_err(|error| BadRequest::Platform(error.to_string()))?;
        if platform.os.is_empty() || platform.architecture.is_empty() {
            let reason = "both OS and Architecture must be provided".to_owned();
            return Err(BadRequest::Platform(reason).into());
        }
        Ok(platform)
    };
    texts.map(parse).collect()
}
