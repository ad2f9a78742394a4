//! What a registry has under a reference, without pulling it.

use super::{RegistryAuth, Session};
use crate::{
    Error, ImageConfig, ImageStore, Platform, Reference, Result,
    manifest::{Descriptor, Document},
};

/// The answer of `GET /distribution/NAME/json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    pub descriptor: Descriptor,
    pub platforms: Vec<Platform>,
}

impl ImageStore {
    /// Asks the registry; nothing is stored.
    pub async fn distribution(
        &self,
        reference: &Reference,
        auth: Option<&RegistryAuth>,
    ) -> Result<Distribution> {
        let wanted = reference.clone().or_latest();
        let registries = self.inner.registries();
        let mut tries = registries.tries(&wanted, auth)?;
        while let Some(session) = tries.next().await? {
            match ask(&session, &wanted).await {
                Ok(found) => return Ok(found),
                Err(e) => tries.failed(e)?,
            }
        }
        Err(tries.into_error())
    }
}

async fn ask(session: &Session, wanted: &Reference) -> Result<Distribution> {
    let served = session.manifest(wanted).await?;
    let invalid = |source| Error::Manifest { what: "manifest", digest: served.digest.clone(), source };
    let platforms = match Document::parse(&served.bytes, &served.media_type).map_err(invalid)? {
        Document::Index(index) => index.manifests.into_iter().filter_map(|d| d.platform).collect(),
        Document::Image(manifest) => {
            let digest = manifest.config.digest;
            let bytes = session.small_blob(&digest).await?;
            let config = ImageConfig::parse(&bytes).map_err(|source| Error::Config { digest, source })?;
            vec![config.platform()]
        }
    };
    let descriptor = Descriptor::new(&served.media_type, served.digest, served.bytes.len() as u64);
    Ok(Distribution { descriptor, platforms })
}
