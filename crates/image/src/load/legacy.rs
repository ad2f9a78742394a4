//! `repositories`: what `docker save` wrote before 1.10, and still writes beside the newer layouts.
//!
//! Every layer is an image of its own there: `ID/json` and `ID/layer.tar`, each with the ID of its parent. The
//! configuration of today is put together from them. No digest of a layer is known before it is unpacked, so they are
//! unpacked one after another.

use super::{InvalidArchive, Load, Loaded, docker::parse_tag, json};
use crate::{
    ContainerConfig, ImageConfig, Result,
    add::NewImage,
    config::{History, RootFs},
    layers::Made,
};
use model::Digest;
use serde::Deserialize;
use std::collections::BTreeMap;

/// More layers than any driver can stack.
const LAYERS_MAX: usize = 1000;

/// `ID/json`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct V1 {
    parent: Option<String>,
    created: Option<String>,
    author: String,
    comment: String,
    architecture: String,
    os: String,
    config: Option<ContainerConfig>,
    container_config: Option<ContainerConfig>,
}

pub(super) fn load(load: &Load<'_>) -> Result<Vec<Loaded>> {
    let repositories: BTreeMap<String, BTreeMap<String, String>> = json(load.spool, "repositories")?;
    let mut names: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for (repository, tags) in &repositories {
        for (tag, id) in tags {
            names.entry(id.clone()).or_default().push(parse_tag(&format!("{repository}:{tag}"))?);
        }
    }
    names.into_iter().map(|(id, names)| image(load, &id, &names)).collect()
}

/// The image and its ancestors, lowest first.
fn ancestry(load: &Load<'_>, id: &str) -> Result<Vec<(String, V1)>> {
    let mut chain = Vec::new();
    let mut next = Some(id.to_owned());
    while let Some(current) = next.filter(|id| !id.is_empty()) {
        if chain.len() == LAYERS_MAX {
            return Err(InvalidArchive::Parents { id: id.to_owned(), limit: LAYERS_MAX }.into());
        }
        let v1: V1 = json(load.spool, &format!("{current}/json"))?;
        next = v1.parent.clone();
        chain.push((current, v1));
    }
    chain.reverse();
    Ok(chain)
}

fn image(load: &Load<'_>, id: &str, names: &[crate::Reference]) -> Result<Loaded> {
    let chain = ancestry(load, id)?;
    let mut made: Vec<Made> = Vec::new();
    for (id, _) in &chain {
        let member = load.spool.member(&format!("{id}/layer.tar"))?;
        let parent = made.last().map(|m| &m.chain);
        made.push(load.unknown_layer(parent, &member)?);
    }
    let config = config(&chain, made.iter().map(|m| m.diff_id.clone()).collect());
    super::docker::check_platform(load, &config)?;
    let bytes = config.to_bytes();
    load.image(&NewImage { config: &bytes, parent: None, manifest: None, names })
}

fn config(chain: &[(String, V1)], diff_ids: Vec<Digest>) -> ImageConfig {
    let history = chain.iter().map(|(_, v1)| {
        let command = v1.container_config.as_ref().and_then(|c| c.cmd.clone()).unwrap_or_default();
        History {
            created: v1.created.clone(),
            created_by: command.join(" "),
            author: v1.author.clone(),
            comment: v1.comment.clone(),
            ..History::default()
        }
    });
    let mut config = ImageConfig {
        history: history.collect(),
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids },
        ..ImageConfig::default()
    };
    if let Some((_, top)) = chain.last() {
        let or =
            |text: &str, default: &str| if text.is_empty() { default.to_owned() } else { text.to_owned() };
        config.architecture = or(&top.architecture, &crate::Platform::host().architecture);
        config.os = or(&top.os, "linux");
        config.created = top.created.clone();
        config.author = top.author.clone();
        config.comment = top.comment.clone();
        config.config = top.config.clone().unwrap_or_default();
    }
    config
}
