//! Volumes and what is in them.

use crate::container::name_of;
use crate::engines::{Engine, Engines, Helper, INCOMPLETE, LABEL, MARK};
use crate::error::{Error, step};
use crate::plan::{Fate, Item};
use api_types::{
    ContainerConfig, ContainerCreateRequest, ContainerCreateResponse, ContainerInspect, HostConfig, Volume,
    VolumeCreateRequest,
};
use bytes::Bytes;
use cli::connect::client::{Body, Response, full, segment};
use cli::connect::stream::Chunks;
use cli::connect::{Query, Request};
use contents::Contents;
use http_body_util::{BodyExt as _, StreamBody};
use std::path::Path;

mod contents;
pub(crate) mod podman;

/// Where a container of ours has the volume; see [`copy`].
const PARENT: &str = "/lichen-migrate";

pub(crate) async fn plan(engines: &Engines) -> Result<Vec<Item<Volume>>, Error> {
    let here = engines.to.volumes().await?;
    let helpers = engines.to.helpers().await?;
    let helpers_there = engines.from.helpers().await?;
    let mut items = Vec::new();
    for volume in engines.from.volumes().await? {
        let mut remarks = Vec::new();
        let fate = if volume.driver != "local" {
            Fate::Refused(format!("there is no volume driver {} here", volume.driver))
        } else if let Some(mark) = helpers_there.iter().find(|h| h.marks(&volume)) {
            Fate::Refused(incomplete_there(&mark.id))
        } else {
            match here.iter().find(|v| v.name == volume.name) {
                Some(begun) if helpers.iter().any(|h| h.marks(begun)) => {
                    remarks.push("an earlier run was interrupted: it begins anew".to_owned());
                    Fate::Make
                }
                Some(_) => Fate::Unseen,
                None => Fate::Make,
            }
        };
        if !volume.options.is_empty() && fate == Fate::Make {
            let options: Vec<_> = volume.options.iter().map(|(k, v)| format!("{k}={v}")).collect();
            remarks.push(format!("its options are kept: {}", options.join(" ")));
        }
        if engines.from.files_lack_owners() && fate == Fate::Make {
            remarks.push(format!(
                "the API of Podman before 5.6 does not tell who owns files: here they will be root's. Where that matters, \
                 unpack what `podman volume export {}` writes in a container here",
                volume.name
            ));
        }
        if engines.from.exports && fate == Fate::Make {
            let remark = "the directory itself gets the owner that Podman gave it, whatever a container made of that since";
            remarks.push(remark.to_owned());
        }
        items.push(Item { name: volume.name.clone(), fate, remarks, what: volume });
    }
    items.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(items)
}

fn incomplete_there(mark: &str) -> String {
    let mark = mark.get(..12).unwrap_or(mark);
    format!(
        "it is not complete in the other engine, where a migration was interrupted: repeat that one first, or remove \
         container {mark} there when the volume is good as it is"
    )
}

/// A container through which a volume is reached.
struct Access {
    container: String,
    /// Where it is mounted.
    path: String,
    /// It was made for this, and is to be removed.
    ours: bool,
}

/// Fill a volume from the other's of its name, or find that it has been. What was done, in one word.
pub(crate) async fn copy(
    engines: &Engines,
    volume: &Volume,
    originals: &[ContainerInspect],
) -> Result<&'static str, Error> {
    begin_anew(engines, &volume.name).await?;
    let existed = engines.to.volumes().await?.iter().any(|v| v.name == volume.name);
    let source = source(engines, volume, originals).await?;
    let outcome = fill(engines, volume, &source, existed).await;
    let tidied = if source.ours { engines.from.remove_container(&source.container).await } else { Ok(()) };
    outcome.and_then(|word| tidied.map(|()| word))
}

/// What an interrupted run left. Of the source only containers through which it was read are removed. Here a volume is
/// removed too where it names a container that says that it is not complete, and that container goes last: another
/// interruption finds it again. One that was being compared is the user's own, as is one that a container only has the
/// name of.
async fn begin_anew(engines: &Engines, volume: &str) -> Result<(), Error> {
    let helpers_of = async |engine: &Engine| -> Result<(Vec<Helper>, Vec<Helper>), Error> {
        let helpers = engine.helpers().await?.into_iter().filter(|h| h.volume == volume);
        Ok(helpers.partition(|h| h.incomplete))
    };
    let (_, readers) = helpers_of(&engines.from).await?;
    for reader in readers {
        engines.from.remove_container(&reader.id).await?;
    }
    let to = &engines.to;
    let (marks, others) = helpers_of(to).await?;
    for helper in others {
        to.remove_container(&helper.id).await?;
    }
    let here = to.volumes().await?;
    if here.iter().any(|v| v.name == volume && marks.iter().any(|mark| mark.marks(v))) {
        let remove = Request::delete(format!("/volumes/{}", segment(volume)));
        to.client.run(remove).await.map_err(step(format!("remove the incomplete volume {volume}")))?;
    }
    for mark in marks {
        to.remove_container(&mark.id).await?;
    }
    Ok(())
}

/// Makes the volume and the container that says that it is not complete; that one's ID.
async fn begin(to: &Engine, volume: &Volume) -> Result<String, Error> {
    let mark = container(to, volume, None).await?;
    let mut labels = volume.labels.clone();
    labels.insert(MARK.to_owned(), mark.clone());
    let request = VolumeCreateRequest {
        name: volume.name.clone(),
        driver: volume.driver.clone(),
        driver_opts: volume.options.clone(),
        labels,
        ..VolumeCreateRequest::default()
    };
    let create = Request::post("/volumes/create").json(&request).map_err(step("describe a volume"))?;
    let error = match to.client.json::<Volume>(create).await {
        Ok(made) if made.labels.get(MARK) == Some(&mark) => return Ok(mark),
        // The API returns the one that is there.
        Ok(_) => Error::Appeared(volume.name.clone()),
        // No answer leaves open whether it was made: the next run finds out.
        Err(source) if source.status().is_none() => {
            return Err(step(format!("create volume {}", volume.name))(source));
        }
        Err(source) => step(format!("create volume {}", volume.name))(source),
    };
    match to.remove_container(&mark).await {
        Ok(()) => Err(error),
        Err(left) => Err(Error::Both(Box::new(error), Box::new(left))),
    }
}

async fn fill(
    engines: &Engines,
    volume: &Volume,
    source: &Access,
    existed: bool,
) -> Result<&'static str, Error> {
    if existed {
        let target = helper(&engines.to, volume, base(&source.path)).await?;
        let alike = same_contents(engines, volume, source, &target).await;
        engines.to.remove_container(&target.container).await?;
        return if alike? {
            Ok("the same is here already")
        } else {
            Err(Error::Occupied(volume.name.clone()))
        };
    }
    let mark = begin(&engines.to, volume).await?;
    let target = helper(&engines.to, volume, base(&source.path)).await?;
    transfer(engines, volume, source, &target).await?;
    if !same_contents(engines, volume, source, &target).await? {
        // The mark stays, so that the next run begins anew.
        return Err(Error::Unlike(volume.name.clone()));
    }
    engines.to.remove_container(&target.container).await?;
    engines.to.remove_container(&mark).await?;
    Ok("copied")
}

fn base(path: &str) -> &str {
    Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or("volume")
}

/// A container of the source that has the volume mounted, or one of ours.
async fn source(engines: &Engines, volume: &Volume, originals: &[ContainerInspect]) -> Result<Access, Error> {
    let mounted = originals.iter().find_map(|container| {
        let mount = container.mounts.iter().find(|m| m.r#type == "volume" && m.name == volume.name)?;
        Some(Access {
            container: name_of(container).to_owned(),
            path: mount.destination.clone(),
            ours: false,
        })
    });
    match mounted {
        Some(access) => Ok(access),
        None => helper(&engines.from, volume, "volume").await,
    }
}

/// A container through which the volume is reached.
async fn helper(engine: &Engine, volume: &Volume, base: &str) -> Result<Access, Error> {
    let path = format!("{PARENT}/{base}");
    let container = container(engine, volume, Some(&path)).await?;
    Ok(Access { container, path, ours: true })
}

/// A container that is never started: one with the volume at `path`, or one that says that the volume is not complete.
async fn container(engine: &Engine, volume: &Volume, path: Option<&str>) -> Result<String, Error> {
    let images = engine.images().await?;
    let image = images.iter().min_by_key(|i| i.size).map(|i| i.id.clone());
    let image = image.ok_or_else(|| Error::NoImage(engine.name.clone(), volume.name.clone()))?;
    let mark = path.is_none().then(|| (INCOMPLETE.to_owned(), String::new()));
    let config = ContainerConfig {
        image,
        cmd: Some(vec!["true".to_owned()]),
        labels: [(LABEL.to_owned(), volume.name.clone())].into_iter().chain(mark).collect(),
        ..ContainerConfig::default()
    };
    let host_config = HostConfig {
        // Nothing of the image's goes into the volume.
        binds: path.map(|path| format!("{}:{path}:nocopy", volume.name)).into_iter().collect(),
        network_mode: "none".to_owned(),
        ..HostConfig::default()
    };
    let request = ContainerCreateRequest { config, host_config: Some(host_config), networking_config: None };
    let request = Request::post("/containers/create").json(&request).map_err(step("describe a container"))?;
    let made: ContainerCreateResponse = engine
        .client
        .json(request)
        .await
        .map_err(step(format!("make a container of {} for volume {}", engine.name, volume.name)))?;
    Ok(made.id)
}

/// What tells most about the volume: Podman's own export where there is one.
async fn read(engine: &Engine, volume: &Volume, access: &Access) -> Result<Response, Error> {
    if engine.exports { podman::export(engine, volume).await } else { archive(engine, volume, access).await }
}

async fn archive(engine: &Engine, volume: &Volume, access: &Access) -> Result<Response, Error> {
    let path = format!("/containers/{}/archive", segment(&access.container));
    let request = Request::get(path).query(Query::new().with("path", &access.path));
    engine.client.send(request).await.map_err(step(format!("read volume {} of {}", volume.name, engine.name)))
}

/// The archive goes from one to the other as it is. Docker names its first entry after the directory, podman `/`, or it
/// leaves that out: where it is unpacked follows from that. A directory that is not so named is unpacked by itself before,
/// so that its own owner and mode arrive too.
async fn transfer(engines: &Engines, volume: &Volume, source: &Access, target: &Access) -> Result<(), Error> {
    let from = &engines.from;
    let broken = |source| Error::Archive { volume: volume.name.clone(), source };
    let base = base(&source.path);
    let mut chunks = Chunks::new(archive(from, volume, source).await?, "archive");
    let mut head = begin_of(engines, volume, &mut chunks).await?;
    let named = !from.exports && contents::is_named_after_directory(&head, base).map_err(broken)?;
    if !named {
        let owner = if from.exports { Some(podman::owner(from, volume).await?) } else { None };
        if let Some(directory) = contents::directory(&head, base, owner).map_err(broken)? {
            put(engines, volume, target, PARENT, full(directory)).await?;
        }
    }
    if from.exports {
        chunks = Chunks::new(podman::export(from, volume).await?, "archive");
        head.clear();
    }
    let path = if named { PARENT } else { target.path.as_str() };
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<std::io::Result<Bytes>>(4);
    let feed = async move {
        let mut next = Some(Ok(Bytes::from(head)));
        while let Some(chunk) = next.take() {
            let ends = chunk.is_err();
            if sender.send(chunk).await.is_err() || ends {
                return;
            }
            next = chunks.next().await.map_err(std::io::Error::other).transpose();
        }
    };
    let frames = futures_util::stream::poll_fn(move |context| {
        receiver.poll_recv(context).map(|item| item.map(|chunk| chunk.map(hyper::body::Frame::data)))
    });
    let (sent, ()) = tokio::join!(put(engines, volume, target, path, StreamBody::new(frames).boxed()), feed);
    sent
}

/// As much as tells what the archive begins with.
async fn begin_of(engines: &Engines, volume: &Volume, chunks: &mut Chunks) -> Result<Vec<u8>, Error> {
    let broken = || step(format!("read volume {} of {}", volume.name, engines.from.name));
    let mut head = Vec::new();
    while head.len() < contents::HEAD
        && let Some(bytes) = chunks.next().await.map_err(broken())?
    {
        head.extend_from_slice(&bytes);
    }
    Ok(head)
}

async fn put(
    engines: &Engines,
    volume: &Volume,
    target: &Access,
    path: &str,
    archive: Body,
) -> Result<(), Error> {
    let put = Request::put(format!("/containers/{}/archive", segment(&target.container)));
    let put = put.query(Query::new().with("path", path)).body("application/x-tar", archive);
    engines.to.client.run(put).await.map_err(step(format!("fill volume {}", volume.name)))
}

async fn same_contents(
    engines: &Engines,
    volume: &Volume,
    source: &Access,
    target: &Access,
) -> Result<bool, Error> {
    let owners = !engines.from.files_lack_owners();
    let there = contents_of(&engines.from, volume, source, owners).await?;
    let here = contents_of(&engines.to, volume, target, owners).await?;
    Ok(there == here)
}

async fn contents_of(
    engine: &Engine,
    volume: &Volume,
    access: &Access,
    owners: bool,
) -> Result<Contents, Error> {
    let mut chunks = Chunks::new(read(engine, volume, access).await?, "archive");
    let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(4);
    // The names of an export are the volume's own, whatever a directory in it is called.
    let base = if engine.exports { String::new() } else { base(&access.path).to_owned() };
    let reading = tokio::task::spawn_blocking(move || contents::read(receiver, &base, owners));
    while let Some(bytes) =
        chunks.next().await.map_err(step(format!("read volume {} of {}", volume.name, engine.name)))?
    {
        if sender.send(bytes).await.is_err() {
            break;
        }
    }
    drop(sender);
    let outcome = reading.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    outcome.map_err(|source| Error::Archive { volume: volume.name.clone(), source })
}
