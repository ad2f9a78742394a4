//! `docker login`, `docker search`, `docker manifest inspect`: what is asked of registries without pulling.

use crate::{Engine, Error};
use api_types::{AuthResponse, DistributionInspect, Platform, SearchResult};
use image::{Reference, RegistryAuth, error::Error as ImageError};

pub async fn login(engine: &Engine, auth: &RegistryAuth) -> Result<AuthResponse, Error> {
    let login = engine.images.login(auth).await?;
    Ok(AuthResponse { identity_token: login.identity_token, status: login.status })
}

pub async fn distribution(
    engine: &Engine,
    name: &str,
    auth: Option<&RegistryAuth>,
) -> Result<DistributionInspect, Error> {
    let reference = Reference::parse(name).map_err(ImageError::from)?.or_latest();
    let found = engine.images.distribution(&reference, auth).await?;
    let platform = |p: image::Platform| Platform {
        architecture: p.architecture,
        os: p.os,
        os_version: p.os_version,
        os_features: p.os_features,
        variant: p.variant,
    };
    Ok(DistributionInspect {
        descriptor: super::list::descriptor(&found.descriptor),
        platforms: found.platforms.into_iter().map(platform).collect(),
    })
}

pub async fn search(
    engine: &Engine,
    term: &str,
    limit: u32,
    auth: Option<&RegistryAuth>,
) -> Result<Vec<SearchResult>, Error> {
    let found = engine.images.search(term, limit, auth).await?;
    let line = |line: image::registry::SearchResult| SearchResult {
        star_count: line.stars,
        is_official: line.official,
        name: line.name,
        is_automated: line.automated,
        description: line.description,
    };
    Ok(found.into_iter().map(line).collect())
}
