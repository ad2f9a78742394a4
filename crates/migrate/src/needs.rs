//! What a container needs besides itself.
//!
//! One that cannot have all of it is not made: on an empty volume, in another network or with another image it would
//! start and be something else than it was.

use crate::engines::Engines;
use crate::error::Error;
use crate::image::{self, bare};
use crate::network::is_own;
use crate::plan::{Fate, Item};
use api_types::{ContainerCreateRequest, ContainerInspect, Network, Volume};
use std::collections::BTreeMap;
use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Image,
    Volume,
    Network,
    Container,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Image => "image",
            Self::Volume => "volume",
            Self::Network => "network",
            Self::Container => "container",
        })
    }
}

/// By name; an image by its ID in the other engine.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs(Vec<(Kind, String)>);

impl Needs {
    pub(crate) fn of(original: &ContainerInspect, request: &ContainerCreateRequest) -> Self {
        let mut needs = vec![(Kind::Image, bare(&original.image).to_owned())];
        let Some(host) = &request.host_config else { return Self(needs) };
        let first = |entry: &str| entry.split(':').next().unwrap_or_default().to_owned();
        let sources = host.binds.iter().map(|bind| first(bind));
        let volumes = host.mounts.iter().filter(|mount| mount.r#type == "volume");
        let named = sources.chain(volumes.map(|mount| mount.source.clone()));
        // Others are paths of the host, or get a volume of their own.
        let named = named.filter(|source| !source.is_empty() && !source.starts_with('/'));
        needs.extend(named.map(|name| (Kind::Volume, name)));
        let modes = [&host.network_mode, &host.ipc_mode, &host.pid_mode];
        let joined = modes.into_iter().filter_map(|mode| mode.strip_prefix("container:").map(str::to_owned));
        let others = host.volumes_from.iter().chain(&host.links).map(|entry| first(entry));
        needs.extend(joined.chain(others).map(|name| (Kind::Container, name)));
        let networks = request.networking_config.iter().flat_map(|n| n.endpoints_config.keys());
        let mode = &host.network_mode;
        let mode = Some(mode).filter(|mode| !mode.is_empty() && *mode != "default" && !mode.contains(':'));
        let networks = networks.chain(mode).filter(|name| !is_own(name));
        needs.extend(networks.map(|name| (Kind::Network, name.clone())));
        needs.sort();
        needs.dedup();
        Self(needs)
    }

    fn names(&self, kind: Kind) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(k, _)| *k == kind).map(|(_, name)| name.as_str())
    }
}

/// What cannot be had here, and why.
#[derive(Debug, Default)]
pub(crate) struct Lacks(BTreeMap<(Kind, String), String>);

impl Lacks {
    pub(crate) fn note(&mut self, kind: Kind, name: &str, why: impl Into<String>) {
        self.0.insert((kind, name.to_owned()), why.into());
    }

    /// Why a container cannot be made, if so.
    pub(crate) fn keep_from(&self, needs: &Needs) -> Option<String> {
        needs.0.iter().find_map(|need| {
            let why = self.0.get(need)?;
            let name = if need.0 == Kind::Image { need.1.get(..12).unwrap_or(&need.1) } else { &need.1 };
            Some(format!("it needs {} {name}, which does not come along: {why}", need.0))
        })
    }

    /// What the plan says of each object.
    fn planned<T>(&mut self, kind: Kind, items: &[Item<T>], name: impl Fn(&Item<T>) -> &str) {
        for item in items {
            match &item.fate {
                Fate::Refused(why) => self.note(kind, name(item), why.clone()),
                Fate::Differs(how) => {
                    self.note(kind, name(item), format!("another one is here already: {how}"));
                }
                Fate::Make | Fate::Same | Fate::Unseen => {}
            }
        }
    }
}

/// What is known before anything is done.
pub(crate) fn planned(
    images: &[Item<image::Source>],
    used: &[Item<image::Source>],
    volumes: &[Item<Volume>],
    networks: &[Item<Network>],
) -> Lacks {
    let mut lacks = Lacks::default();
    for images in [images, used] {
        lacks.planned(Kind::Image, images, |item| bare(&item.what.id));
    }
    for image in used.iter().filter(|item| item.fate == Fate::Make) {
        lacks.note(Kind::Image, bare(&image.what.id), "it is not here, and not to be copied");
    }
    lacks.planned(Kind::Volume, volumes, |item| &item.name);
    lacks.planned(Kind::Network, networks, |item| &item.name);
    lacks
}

/// Images that are needed and that the source itself no longer has.
pub(crate) fn absent_images<'a>(
    needs: impl Iterator<Item = &'a Needs>,
    known: impl Iterator<Item = &'a Item<image::Source>> + Clone,
    lacks: &mut Lacks,
) {
    for id in needs.flat_map(|n| n.names(Kind::Image)) {
        if !known.clone().any(|item| bare(&item.what.id) == id) {
            lacks.note(Kind::Image, id, "the other engine has it no longer");
        }
    }
}

/// Volumes and networks that are needed, that nobody plans to bring along, and that are not here. What is here by that
/// name counts when `--only` leaves its kind out; what an interrupted run left of a volume does not.
pub(crate) async fn absent<'a>(
    engines: &Engines,
    needs: impl Iterator<Item = &'a Needs> + Clone,
    volumes: &[Item<Volume>],
    networks: &[Item<Network>],
    lacks: &mut Lacks,
) -> Result<(), Error> {
    let (here, helpers) = (engines.to.volumes().await?, engines.to.helpers().await?);
    for name in needs.clone().flat_map(|n| n.names(Kind::Volume)) {
        match here.iter().find(|volume| volume.name == name) {
            _ if volumes.iter().any(|item| item.name == name) => {}
            None => lacks.note(Kind::Volume, name, "it is not here, and not to be copied"),
            Some(begun) if helpers.iter().any(|helper| helper.marks(begun)) => {
                lacks.note(Kind::Volume, name, "an interrupted run left it incomplete here; repeat that one");
            }
            Some(_) => {}
        }
    }
    let here = engines.to.networks().await?;
    for name in needs.flat_map(|n| n.names(Kind::Network)) {
        let known = networks.iter().any(|item| item.name == name) || here.iter().any(|n| n.name == name);
        if !known {
            lacks.note(Kind::Network, name, "it is not here, and not to be created");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::{EndpointSettings, HostConfig, Mount, NetworkingConfig};

    #[test]
    fn a_definition_tells_what_it_needs() {
        let original = ContainerInspect { image: "sha256:1234".into(), ..ContainerInspect::default() };
        let mount = |kind: &str, source: &str| Mount {
            r#type: kind.into(),
            source: source.into(),
            ..Mount::default()
        };
        let host = HostConfig {
            binds: vec!["data:/srv:ro".into(), "/etc:/etc".into()],
            mounts: vec![
                mount("volume", "more"),
                mount("volume", ""),
                mount("bind", "/x"),
                mount("tmpfs", ""),
            ],
            network_mode: "front".into(),
            ipc_mode: "container:shop".into(),
            volumes_from: vec!["store:ro".into()],
            links: vec!["db:alias".into()],
            ..HostConfig::default()
        };
        let endpoints = ["front", "back"].map(|name| (name.to_owned(), EndpointSettings::default()));
        let networking = NetworkingConfig { endpoints_config: endpoints.into() };
        let request = ContainerCreateRequest {
            host_config: Some(host),
            networking_config: Some(networking),
            ..ContainerCreateRequest::default()
        };
        let needs = Needs::of(&original, &request);
        let names = |kind| needs.names(kind).collect::<Vec<_>>();
        assert_eq!(names(Kind::Image), ["1234"]);
        assert_eq!(names(Kind::Volume), ["data", "more"]);
        assert_eq!(names(Kind::Network), ["back", "front"]);
        assert_eq!(names(Kind::Container), ["db", "shop", "store"]);
    }

    #[test]
    fn whatever_is_lacking_keeps_a_container_from_being_made() {
        let needs = Needs(vec![(Kind::Image, "0123456789abcdef".into()), (Kind::Volume, "data".into())]);
        let mut lacks = Lacks::default();
        lacks.note(Kind::Network, "data", "not a volume");
        assert_eq!(lacks.keep_from(&needs), None);
        lacks.note(Kind::Volume, "data", "there is no volume driver nfs here");
        let text = "it needs volume data, which does not come along: there is no volume driver nfs here";
        assert_eq!(lacks.keep_from(&needs).as_deref(), Some(text));
        lacks.note(Kind::Image, "0123456789abcdef", "so");
        assert_eq!(
            lacks.keep_from(&needs).as_deref(),
            Some("it needs image 0123456789ab, which does not come along: so")
        );
    }
}
