//! `docker pull`

use super::platform;
use crate::{Engine, Error};
use image::{Progress, PullRequest, Reference, RegistryAuth, error::Error as ImageError};
use model::Digest;
use std::sync::Arc;

/// `POST /images/create?fromImage=…`, as the client sent it.
#[derive(Debug, Clone, Default)]
pub struct PullOptions {
    /// A reference; `docker pull -a` of old clients leaves a colon at its end.
    pub image: String,
    /// A tag or a digest; it wins over one in `image`.
    pub tag: String,
    /// Empty: the host's.
    pub platform: String,
    pub auth: Option<RegistryAuth>,
}

/// Pulls one image, or without tag and digest all tags of the repository. Dropping the future stops it.
pub async fn pull(engine: Arc<Engine>, options: PullOptions, progress: Progress) -> Result<(), Error> {
    let reference = reference(&options.image, &options.tag).map_err(ImageError::from)?;
    let platform = platform::parse(&options.platform)?;
    let all_tags = reference.is_name_only();
    let request = PullRequest { reference, all_tags, platform, auth: options.auth };
    for pulled in engine.images.pull(request, progress).await? {
        let image = engine.images.get(&pulled.image);
        let name = pulled.reference.familiar_name();
        super::publish(&engine, "pull", &pulled.reference.familiar(), &name, image.as_deref());
    }
    Ok(())
}

fn reference(image: &str, tag: &str) -> Result<Reference, image::reference::InvalidReference> {
    let reference = Reference::parse(image.strip_suffix(':').unwrap_or(image))?;
    match (tag, tag.parse::<Digest>()) {
        ("", _) => Ok(reference),
        (_, Ok(digest)) => Ok(reference.with_digest(digest)),
        (tag, Err(_)) => reference.with_tag(tag),
    }
}

#[cfg(test)]
mod tests {
    use super::reference;

    #[test]
    fn a_tag_or_digest_wins_over_one_in_the_name() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let familiar = |image: &str, tag: &str| reference(image, tag).unwrap().familiar();
        assert_eq!(familiar("busybox:", ""), "busybox");
        assert_eq!(familiar("busybox:1", "2"), "busybox:2");
        assert_eq!(familiar("localhost:5000/x", "latest"), "localhost:5000/x:latest");
        assert_eq!(familiar("busybox:1", &digest), format!("busybox@{digest}"));
        assert!(reference("busybox", "no good").is_err());
    }
}
