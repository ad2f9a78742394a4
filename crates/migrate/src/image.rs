//! Images, by the stream that `save` writes and `load` reads.

use crate::engines::{Engine, Engines};
use crate::error::{Error, step};
use crate::plan::{Fate, Item};
use api_types::{ContainerInspect, ImageInspect, ImageSummary};
use cli::connect::client::image_path;
use cli::connect::stream::JsonStream;
use cli::connect::{Query, Request};
use http_body_util::BodyExt as _;
use std::collections::BTreeMap;

/// What is asked for at the source.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) id: String,
    /// Its tags, or its ID where it has none.
    pub(crate) names: Vec<String>,
    /// Its ID here, when it is here: Podman's images get another one.
    pub(crate) here: Option<String>,
}

/// IDs here by those in the source, without the algorithm.
pub(crate) fn ids<'a>(images: impl IntoIterator<Item = &'a Item<Source>>) -> BTreeMap<String, String> {
    let known = images.into_iter().filter_map(|i| Some((bare(&i.what.id).to_owned(), i.what.here.clone()?)));
    known.collect()
}

/// Images with a tag, and those without one that containers use.
pub(crate) async fn plan(
    engines: &Engines,
    containers: &[ContainerInspect],
) -> Result<Vec<Item<Source>>, Error> {
    let mut items = Vec::new();
    for image in engines.from.images().await? {
        let tags: Vec<String> = image.repo_tags.iter().filter(|t| *t != "<none>:<none>").cloned().collect();
        let used = containers.iter().any(|c| bare(&c.image) == bare(&image.id));
        let names = match (tags.is_empty(), used) {
            (false, _) => tags,
            (true, true) => vec![image.id.clone()],
            (true, false) => continue,
        };
        items.push(look(engines, image, names).await?);
    }
    items.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(items)
}

/// Images that containers are made of, each by the names that are asked for here: what `--only containers` finds here.
pub(crate) async fn used(
    engines: &Engines,
    containers: &[ContainerInspect],
    origins: &Origins,
) -> Result<Vec<Item<Source>>, Error> {
    let mut items = Vec::new();
    for image in engines.from.images().await? {
        let uses = containers.iter().filter(|c| bare(&c.image) == bare(&image.id));
        let mut names: Vec<String> = uses.map(|c| origins.image_of(c).to_owned()).collect();
        names.sort();
        names.dedup();
        if !names.is_empty() {
            items.push(look(engines, image, names).await?);
        }
    }
    Ok(items)
}

async fn look(engines: &Engines, image: ImageSummary, names: Vec<String>) -> Result<Item<Source>, Error> {
    let (fate, here) = fate(engines, &image, &names).await?;
    let name = format!("{} ({} MB)", names.join(" "), image.size / 1_000_000);
    Ok(Item { name, fate, remarks: Vec::new(), what: Source { id: image.id, names, here } })
}

/// What the names that containers were made by mean in the source today.
#[derive(Debug, Default)]
pub(crate) struct Origins(BTreeMap<String, Option<String>>);

impl Origins {
    pub(crate) async fn find(engines: &Engines, containers: &[ContainerInspect]) -> Result<Self, Error> {
        let mut found = BTreeMap::new();
        for container in containers {
            let name = &container.config.image;
            if !name.is_empty() && !found.contains_key(name) {
                let image = inspect(&engines.from, name).await?;
                found.insert(name.clone(), image.map(|image| bare(&image.id).to_owned()));
            }
        }
        Ok(Self(found))
    }

    /// What the container is made of here: the name it was made by as long as that is the same image's, else its ID.
    pub(crate) fn image_of<'a>(&self, container: &'a ContainerInspect) -> &'a str {
        let (name, id) = (&container.config.image, bare(&container.image));
        let is_id = id.starts_with(bare(name)) && !name.is_empty();
        if is_id || self.has_lost(container) { &container.image } else { name }
    }

    /// Whether the name is another image's by now, or nobody's.
    pub(crate) fn has_lost(&self, container: &ContainerInspect) -> bool {
        self.0.get(&container.config.image).is_some_and(|id| id.as_deref() != Some(bare(&container.image)))
    }
}

async fn inspect(engine: &Engine, name: &str) -> Result<Option<ImageInspect>, Error> {
    match engine.client.json(Request::get(format!("/images/{}/json", image_path(name)))).await {
        Ok(image) => Ok(Some(image)),
        Err(cli::error::Error::Api { status: 404, .. }) => Ok(None),
        Err(error) => Err(step(format!("inspect image {name} of {}", engine.name))(error)),
    }
}

/// An ID without its algorithm, which Podman leaves out.
pub(crate) fn bare(id: &str) -> &str {
    id.strip_prefix("sha256:").unwrap_or(id)
}

/// With its ID here.
async fn fate(
    engines: &Engines,
    image: &ImageSummary,
    names: &[String],
) -> Result<(Fate, Option<String>), Error> {
    let (mut original, mut found, mut missing) = (None, None, false);
    for name in names {
        let is_id = bare(name) == bare(&image.id);
        let here = match inspect(&engines.to, name).await? {
            None if is_id && engines.from.is_podman => untagged(engines, image).await?,
            here => here,
        };
        let Some(here) = here else {
            missing = true;
            continue;
        };
        if bare(&here.id) != bare(&image.id) {
            if original.is_none() {
                original = inspect(&engines.from, &image.id).await?;
            }
            if !original.as_ref().is_some_and(|there| is_alike(there, &here)) {
                return Ok((
                    Fate::Differs(format!("{name} is {} here and {} there", here.id, image.id)),
                    None,
                ));
            }
        }
        found = Some(here.id);
    }
    Ok((if missing { Fate::Make } else { Fate::Same }, found))
}

/// An image of Podman's that an earlier run copied without a name, and so with nothing to know it by but what it is.
async fn untagged(engines: &Engines, image: &ImageSummary) -> Result<Option<ImageInspect>, Error> {
    let Some(there) = inspect(&engines.from, &image.id).await? else { return Ok(None) };
    for candidate in engines.to.images().await? {
        if let Some(here) = inspect(&engines.to, &candidate.id).await?
            && is_alike(&there, &here)
        {
            return Ok(Some(here));
        }
    }
    Ok(None)
}

/// Podman writes a configuration of its own into archives, with another digest: what counts is what runs.
fn is_alike(a: &ImageInspect, b: &ImageInspect) -> bool {
    let key = |i: &ImageInspect| {
        let config = i.config.clone();
        (
            i.root_fs.layers.clone(),
            config.map(|c| (c.cmd, c.entrypoint, c.env, c.working_dir, c.user, c.labels)),
        )
    };
    key(a) == key(b)
}

/// Straight from one to the other; its ID here.
pub(crate) async fn copy(engines: &Engines, source: &Source) -> Result<String, Error> {
    let shown = source.names.join(" ");
    let query = source.names.iter().fold(Query::new(), |query, name| query.with("names", name));
    let saved = engines.from.client.send(Request::get("/images/get").query(query)).await;
    let archive = saved.map_err(step(format!("save image {shown}")))?.into_body();
    let body = archive.map_err(std::io::Error::other).boxed();
    let request = Request::post("/images/load").query(Query::new().flag("quiet", true));
    let loaded = engines.to.client.send(request.body("application/x-tar", body)).await;
    let mut answers = JsonStream::new(loaded.map_err(step(format!("load image {shown}")))?, "/images/load");
    let mut id = None;
    while let Some(answer) =
        answers.next_value::<serde_json::Value>().await.map_err(step(format!("load image {shown}")))?
    {
        let text = |key: &str| answer.get(key).and_then(|value| value.as_str());
        if let Some(message) = text("error") {
            return Err(Error::Load { image: shown, message: message.to_owned() });
        }
        // Said of an image without a name.
        let told = text("stream").and_then(|line| line.trim().strip_prefix("Loaded image ID: "));
        id = told.map(str::to_owned).or(id);
    }
    if let Some(id) = id {
        return Ok(id);
    }
    let name = source.names.first().unwrap_or(&source.id);
    let here = inspect(&engines.to, name).await?;
    here.map(|here| here.id)
        .ok_or(Error::Load { image: shown, message: "it is not here after that".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_keeps_its_image_when_the_name_has_moved_on_or_is_gone() {
        let original = |image: &str| {
            let mut original =
                ContainerInspect { image: "sha256:0fed".into(), ..ContainerInspect::default() };
            original.config.image = image.into();
            original
        };
        let origins = |id: Option<&str>| Origins([("web".to_owned(), id.map(str::to_owned))].into());
        let container = original("web");
        assert_eq!(origins(Some("0fed")).image_of(&container), "web");
        for other in [Some("1234"), None] {
            assert_eq!(origins(other).image_of(&container), "sha256:0fed", "{other:?}");
            assert!(origins(other).has_lost(&container), "{other:?}");
        }
        // It never had a name.
        let container = original("0fe");
        assert_eq!(Origins::default().image_of(&container), "sha256:0fed");
        assert!(!Origins::default().has_lost(&container));
    }
}
