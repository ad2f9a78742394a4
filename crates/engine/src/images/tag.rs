//! `docker tag`, and what a repository with a tag beside it means.

use crate::{Engine, Error};
use image::{Reference, error::Error as ImageError};

/// The reference that the parameters `repo` and `tag` name together, as `import`, `commit` and `tag` take them
/// (moby `httputils.RepoTagReference`). None when there is no repository.
pub fn repository(repo: &str, tag: &str) -> Result<Option<Reference>, Error> {
    if repo.is_empty() {
        return Ok(None);
    }
    let reference = Reference::parse(repo).map_err(ImageError::from)?;
    if reference.digest().is_some() {
        return Err(ImageError::TagWithDigest.into());
    }
    if tag.is_empty() {
        return Ok(Some(reference.or_latest()));
    }
    Ok(Some(reference.with_tag(tag).map_err(ImageError::from)?))
}

/// Gives an image another name.
pub fn tag(engine: &Engine, source: &str, repo: &str, tag: &str) -> Result<(), Error> {
    // Without a repository there is nothing to call the image by: the parser's own words for an empty reference.
    let target = match repository(repo, tag)? {
        Some(target) => target,
        None => Reference::parse("").map_err(ImageError::from)?,
    };
    let id = engine.images.tag(source, &target)?;
    super::publish(engine, "tag", id.as_str(), &target.familiar(), engine.images.get(&id).as_deref());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::repository;

    fn check(repo: &str, tag: &str, expect: Result<Option<&str>, &str>) {
        let found = repository(repo, tag).map(|r| r.map(|r| r.familiar())).map_err(|e| e.to_string());
        assert_eq!(found, expect.map(|r| r.map(str::to_owned)).map_err(str::to_owned));
    }

    #[test]
    fn repository_and_tag_make_a_reference() {
        check("", "x", Ok(None));
        check("busybox", "", Ok(Some("busybox:latest")));
        check("localhost:5000/a/b", "1.0", Ok(Some("localhost:5000/a/b:1.0")));
        check("busybox:1", "2", Ok(Some("busybox:2")));
        check(
            "Busybox",
            "",
            Err("invalid reference format: repository name (library/Busybox) must be lowercase"),
        );
        check("busybox", "no good", Err("invalid tag format"));
        let digest = format!("busybox@sha256:{}", "0".repeat(64));
        check(&digest, "", Err("refusing to create a tag with a digest reference"));
    }
}
