//! Containers: their definitions, in this engine's words. What they wrote outside volumes is not copied.

use crate::engines::Engines;
use crate::error::{Error, step};
use crate::image::{Origins, bare};
use crate::needs::Needs;
use crate::plan::{Fate, Item};
use api_types::{ContainerConfig, ContainerCreateRequest, ContainerInspect, HostConfig};
use cli::connect::client::segment;
use cli::connect::{Query, Request};
use std::collections::BTreeMap;
use translate::{Context, OF_PODMAN, bind_options, translate};

mod translate;

/// What is created.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) request: ContainerCreateRequest,
    pub(crate) needs: Needs,
    /// It runs in the other engine.
    pub(crate) runs: bool,
}

impl Definition {
    /// Where it asks for an image by its ID in the source, by the one that it has here.
    pub(crate) fn made_of(&mut self, ids: &BTreeMap<String, String>) {
        if let Some(here) = ids.get(bare(&self.request.config.image)) {
            self.request.config.image.clone_from(here);
        }
    }
}

pub(crate) async fn plan(
    engines: &Engines,
    originals: &[ContainerInspect],
    origins: &Origins,
    ids: &BTreeMap<String, String>,
) -> Result<Vec<Item<Definition>>, Error> {
    let here = engines.to.containers().await?;
    let info = &engines.to.info;
    let context = Context {
        originals,
        origins,
        podman: engines.from.is_podman,
        log_drivers: &info.plugins.log,
        runtimes: info.runtimes.keys().map(String::as_str).collect(),
    };
    let mut items = Vec::new();
    for original in in_order(originals) {
        let name = name_of(original).to_owned();
        let mut remarks = Vec::new();
        let request = translate(original, &context, &mut remarks);
        let runs = original.state.running && !original.state.restarting;
        let needs = Needs::of(original, &request);
        let mut what = Definition { request, needs, runs };
        what.made_of(ids);
        let fate = match here.iter().find(|c| name_of(c) == name) {
            Some(same) => compare(&what.request, same),
            None => Fate::Make,
        };
        items.push(Item { name, fate, remarks, what });
    }
    Ok(items)
}

pub(crate) fn name_of(container: &ContainerInspect) -> &str {
    container.name.trim_start_matches('/')
}

/// Those that others refer to come first.
fn in_order(originals: &[ContainerInspect]) -> Vec<&ContainerInspect> {
    let mut left: Vec<&ContainerInspect> = originals.iter().collect();
    left.sort_by(|a, b| a.created.cmp(&b.created));
    let mut ordered: Vec<&ContainerInspect> = Vec::new();
    while !left.is_empty() {
        let free = |c: &&&ContainerInspect| {
            references(c).all(|r| !left.iter().any(|other| other.id != c.id && is_called(other, r)))
        };
        // A circle has no beginning; the engine says what is missing.
        let next = left.iter().position(|c| free(&c)).unwrap_or(0);
        ordered.push(left.remove(next));
    }
    ordered
}

fn is_called(container: &ContainerInspect, reference: &str) -> bool {
    name_of(container) == reference.trim_start_matches('/')
        || (reference.len() >= 12 && container.id.starts_with(reference))
}

fn references(container: &ContainerInspect) -> impl Iterator<Item = &str> {
    let host = &container.host_config;
    let modes = [&host.network_mode, &host.ipc_mode, &host.pid_mode];
    let joined = modes.into_iter().filter_map(|mode| mode.strip_prefix("container:"));
    let first = |text: &'static str| move |entry: &'_ String| entry.split(text).next().map(str::len);
    let volumes = host.volumes_from.iter().filter_map(move |v| Some(&v[..first(":")(v)?]));
    let links = host.links.iter().filter_map(move |l| Some(&l[..first(":")(l)?]));
    joined.chain(volumes).chain(links)
}

/// Whether a container that is here is one that was made from this definition.
fn compare(request: &ContainerCreateRequest, here: &ContainerInspect) -> Fate {
    let (Some(wanted), found) = (&request.host_config, &here.host_config) else { return Fate::Make };
    let sorted = |list: &[String]| {
        let mut list = list.to_vec();
        list.sort();
        list
    };
    let binds = |host: &HostConfig| sorted(&host.binds.iter().map(|b| bind_options(b)).collect::<Vec<_>>());
    let policy = |host: &HostConfig| match host.restart_policy.name.as_str() {
        "" => "no".to_owned(),
        name => name.to_owned(),
    };
    let command = |c: &ContainerConfig| {
        [c.entrypoint.clone().unwrap_or_default(), c.cmd.clone().unwrap_or_default()].concat()
    };
    let environment =
        |c: &ContainerConfig| sorted(&c.env).into_iter().filter(|e| e != OF_PODMAN).collect::<Vec<_>>();
    let different = [
        ("image", request.config.image != here.config.image),
        ("command", command(&request.config) != command(&here.config)),
        ("environment", environment(&request.config) != environment(&here.config)),
        ("labels", request.config.labels != here.config.labels),
        ("mounts", binds(wanted) != binds(found)),
        ("published ports", wanted.port_bindings != found.port_bindings),
        ("restart policy", policy(wanted) != policy(found)),
        // What cannot be enforced here is discarded at creation.
        ("memory limit", found.memory != 0 && wanted.memory != found.memory),
    ];
    let different: Vec<&str> =
        different.into_iter().filter(|(_, differs)| *differs).map(|(what, _)| what).collect();
    match different.is_empty() {
        true => Fate::Same,
        false => Fate::Differs(format!("{} not the same", different.join(", "))),
    }
}

/// What the engine warns of.
pub(crate) async fn create(
    engines: &Engines,
    name: &str,
    definition: &Definition,
) -> Result<Vec<String>, Error> {
    let request = Request::post("/containers/create").query(Query::new().with("name", name));
    let request = request.json(&definition.request).map_err(step(format!("describe container {name}")))?;
    let made: api_types::ContainerCreateResponse =
        engines.to.client.json(request).await.map_err(step(format!("create container {name}")))?;
    Ok(made.warnings)
}

pub(crate) async fn start(engines: &Engines, name: &str) -> Result<(), Error> {
    let request = Request::post(format!("/containers/{}/start", segment(name)));
    engines.to.client.run(request).await.map_err(step(format!("start container {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn original(name: &str) -> ContainerInspect {
        let id = "0123456789abcdef".into();
        ContainerInspect { id, name: format!("/{name}"), ..ContainerInspect::default() }
    }

    #[test]
    fn whoever_is_joined_comes_first() {
        let mut first = original("app");
        first.host_config.network_mode = "container:bbbbbbbbbbbb".into();
        let second = ContainerInspect { id: "b".repeat(64), created: "9".into(), ..original("proxy") };
        let all = [first, second];
        assert_eq!(in_order(&all).iter().map(|c| name_of(c)).collect::<Vec<_>>(), ["proxy", "app"]);
    }

    #[test]
    fn a_copy_is_known_again_and_what_is_different_is_named() {
        let container = original("web");
        let originals = [container.clone()];
        let context = Context {
            originals: &originals,
            origins: &Origins::default(),
            podman: false,
            log_drivers: &[],
            runtimes: Vec::new(),
        };
        let request = translate(&container, &context, &mut Vec::new());
        let mut here = container;
        here.host_config.restart_policy.name = "no".into();
        here.config.env.push("container=podman".into());
        assert_eq!(compare(&request, &here), Fate::Same);
        here.config.env.push("B=2".into());
        here.host_config.memory = 5;
        assert_eq!(compare(&request, &here), Fate::Differs("environment, memory limit not the same".into()));
    }
}
