//! `docker push`

use crate::{Engine, Error};
use image::{Platform, Progress, PushRequest, Reference, RegistryAuth, error::Error as ImageError};
use std::sync::Arc;

/// `POST /images/NAME/push`, as the client sent it.
#[derive(Debug, Clone, Default)]
pub struct PushOptions {
    pub name: String,
    /// It wins over one in `name`; when there is none at all, every tag is pushed.
    pub tag: String,
    pub platform: Option<Platform>,
    pub auth: Option<RegistryAuth>,
}

/// Pushes one tag, or all of the repository. Dropping the future stops it.
pub async fn push(engine: Arc<Engine>, options: PushOptions, progress: Progress) -> Result<(), Error> {
    let reference = reference(&options.name, &options.tag)?;
    let all_tags = reference.is_name_only();
    let request = PushRequest { reference, all_tags, platform: options.platform, auth: options.auth };
    for pushed in engine.images.push(request, progress).await? {
        let image = engine.images.get(&pushed.image);
        let name = pushed.reference.familiar_name();
        super::publish(&engine, "push", &pushed.reference.familiar(), &name, image.as_deref());
    }
    Ok(())
}

fn reference(name: &str, tag: &str) -> Result<Reference, Error> {
    let reference = Reference::parse(name).map_err(ImageError::from)?;
    let reference =
        if tag.is_empty() { reference } else { reference.with_tag(tag).map_err(ImageError::from)? };
    if reference.digest().is_some() {
        return Err(ImageError::PushDigest.into());
    }
    Ok(reference)
}

#[cfg(test)]
mod tests {
    use super::reference;

    #[test]
    fn a_tag_or_all_of_them_but_no_digest() {
        assert_eq!(reference("localhost:5000/x", "v1").unwrap().familiar(), "localhost:5000/x:v1");
        assert!(reference("localhost:5000/x", "").unwrap().is_name_only());
        let digest = format!("x@sha256:{}", "0".repeat(64));
        assert_eq!(reference(&digest, "").unwrap_err().to_string(), "cannot push a digest reference");
    }
}
