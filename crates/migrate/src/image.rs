//! Images, by the stream that `save` writes and `load` reads.

use crate::engines::Engines;
use crate::error::{Error, step};
use crate::plan::{Fate, Item};
use api_types::{ContainerInspect, ImageInspect, ImageSummary};
use cli::connect::client::image_path;
use cli::connect::stream::JsonStream;
use cli::connect::{Query, Request};
use http_body_util::BodyExt as _;

/// What is asked for at the source.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) id: String,
    /// Its tags, or its ID where it has none.
    pub(crate) names: Vec<String>,
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
        let fate = fate(engines, &image, &names).await?;
        let name = format!("{} ({} MB)", names.join(" "), image.size / 1_000_000);
        items.push(Item { name, fate, remarks: Vec::new(), what: Source { id: image.id, names } });
    }
    items.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(items)
}

/// An ID without its algorithm, which Podman leaves out.
pub(crate) fn bare(id: &str) -> &str {
    id.strip_prefix("sha256:").unwrap_or(id)
}

async fn fate(engines: &Engines, image: &ImageSummary, names: &[String]) -> Result<Fate, Error> {
    let mut original = None;
    let mut missing = false;
    for name in names {
        let path = format!("/images/{}/json", image_path(name));
        let here: ImageInspect = match engines.to.client.json(Request::get(path.clone())).await {
            Ok(here) => here,
            Err(cli::error::Error::Api { status: 404, .. }) => {
                missing = true;
                continue;
            }
            Err(error) => return Err(step(format!("inspect image {name}"))(error)),
        };
        if bare(&here.id) == bare(&image.id) {
            continue;
        }
        if original.is_none() {
            let path = format!("/images/{}/json", image_path(&image.id));
            let there: Result<ImageInspect, _> = engines.from.client.json(Request::get(path)).await;
            original = Some(there.map_err(step(format!("inspect image {name} of {}", engines.from.name)))?);
        }
        if !original.as_ref().is_some_and(|there| is_alike(there, &here)) {
            return Ok(Fate::Differs(format!("{name} is {} here and {} there", here.id, image.id)));
        }
    }
    Ok(if missing { Fate::Make } else { Fate::Same })
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

/// Straight from one to the other.
pub(crate) async fn copy(engines: &Engines, source: &Source) -> Result<(), Error> {
    let shown = source.names.join(" ");
    let query = source.names.iter().fold(Query::new(), |query, name| query.with("names", name));
    let saved = engines.from.client.send(Request::get("/images/get").query(query)).await;
    let archive = saved.map_err(step(format!("save image {shown}")))?.into_body();
    let body = archive.map_err(std::io::Error::other).boxed();
    let request = Request::post("/images/load").query(Query::new().flag("quiet", true));
    let loaded = engines.to.client.send(request.body("application/x-tar", body)).await;
    let mut answers = JsonStream::new(loaded.map_err(step(format!("load image {shown}")))?, "/images/load");
    while let Some(answer) =
        answers.next_value::<serde_json::Value>().await.map_err(step(format!("load image {shown}")))?
    {
        if let Some(message) = answer.get("error").and_then(|e| e.as_str()) {
            return Err(Error::Load { image: shown, message: message.to_owned() });
        }
    }
    Ok(())
}
