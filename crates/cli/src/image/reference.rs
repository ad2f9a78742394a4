//! Names of images as users write them, in requests.

use crate::args::Parsed;
use crate::cli::println;
use crate::error::Error;
use reference::{InvalidReference, Reference};

impl From<InvalidReference> for Error {
    fn from(invalid: InvalidReference) -> Self {
        Self::invalid(invalid.to_string())
    }
}

/// Whether this may name an image: by its ID, or as a reference.
pub fn check_any(text: &str) -> Result<(), Error> {
    if reference::is_identifier(text.strip_prefix("sha256:").unwrap_or(text)) {
        return Ok(());
    }
    Ok(Reference::parse(text).map(drop)?)
}

/// Repository and tag for requests that create a name; `latest` unless said otherwise.
pub fn split(text: &str) -> Result<(String, String), Error> {
    let reference = Reference::parse(text)?;
    if reference.digest().is_some() {
        return Err(Error::invalid("refusing to create a tag with a digest reference"));
    }
    let reference = reference.or_latest();
    Ok((reference.familiar_name(), reference.tag().unwrap_or_default().to_owned()))
}

/// What `pull` and `push` are to bring: a tag or digest, `latest` unless said otherwise, or with `--all-tags` the repository.
pub fn transferred(args: &Parsed) -> Result<Reference, Error> {
    let reference = Reference::parse(&args.args[0])?;
    if args.bool("all-tags") {
        return if reference.is_name_only() {
            Ok(reference)
        } else {
            Err(Error::invalid("tag can't be used with --all-tags/-a"))
        };
    }
    if reference.is_name_only() && !args.bool("quiet") {
        println("Using default tag: latest")?;
    }
    Ok(reference.or_latest())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names_may_name_an_image() {
        let id = "0".repeat(64);
        for text in ["alpine", "me/app:1", id.as_str(), &format!("sha256:{id}"), &format!("a@sha256:{id}")] {
            check_any(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        }
        for (text, refusal) in [
            ("", "invalid reference format"),
            ("a b", "invalid reference format"),
            ("Alpine", "invalid reference format: repository name (library/Alpine) must be lowercase"),
        ] {
            assert_eq!(check_any(text).unwrap_err().to_string(), refusal);
        }
    }

    #[test]
    fn what_is_to_be_named_has_a_tag_and_no_digest() {
        let split = |text: &str| split(text).map_err(|error| error.to_string());
        assert_eq!(split("docker.io/library/a"), Ok(("a".to_owned(), "latest".to_owned())));
        assert_eq!(split("localhost:5000/a:v1"), Ok(("localhost:5000/a".to_owned(), "v1".to_owned())));
        let by_digest = format!("a@sha256:{}", "0".repeat(64));
        assert_eq!(split(&by_digest), Err("refusing to create a tag with a digest reference".to_owned()));
    }
}
