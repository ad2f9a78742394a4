//! `lichen system check`: what is stored, compared with what should be. Lichen's own; Docker has nothing like it.
//!
//! It runs beside everything else. The other half is done whenever the engine starts: half-made layers, trees without a
//! record and records without files are collected then, before anybody is served, so that damage of those kinds never
//! keeps an engine from starting.

use crate::{Engine, Error, blocking, images};
use api_types::{SystemCheck, SystemFinding};
use snapshot::{Damage, Damaged};
use std::sync::Arc;

/// Looks at everything that is stored; reads every file of every image. With `repair`, puts right what can be.
pub async fn check(engine: &Arc<Engine>, repair: bool) -> Result<SystemCheck, Error> {
    let engine = engine.clone();
    blocking("check what is stored", move || check_blocking(&engine, repair)).await?
}

fn check_blocking(engine: &Engine, repair: bool) -> Result<SystemCheck, Error> {
    let mut findings = Vec::new();
    for problem in engine.store.damage()? {
        let advice =
            "stop the engine and restore the file from a copy, or remove it: images are then pulled again";
        findings.push(SystemFinding {
            subject: "records".to_owned(),
            problem,
            repaired: false,
            note: advice.to_owned(),
        });
    }
    findings.extend(engine.snapshots.check(repair)?.into_iter().map(damage));
    for layer in engine.images.check_layers()? {
        findings.push(layer_finding(engine, layer, repair));
    }
    findings.extend(without_trees(engine));
    for (name, repaired) in engine.volumes.check(repair) {
        findings.push(outcome(format!("volume {name}"), "its directory is gone".to_owned(), repaired));
    }
    Ok(SystemCheck {
        layers: engine.snapshots.layers().len() as u64,
        containers: engine.containers.all().len() as u64,
        volumes: engine.volumes.list().len() as u64,
        findings,
    })
}

fn damage(damage: Damage) -> SystemFinding {
    outcome(damage.what.to_string(), damage.problem, damage.repair)
}

/// `repaired`: none when it was not tried.
fn outcome<E: ToString>(subject: String, problem: String, repaired: Option<Result<(), E>>) -> SystemFinding {
    let note = match &repaired {
        Some(Err(error)) => error.to_string(),
        Some(Ok(())) | None => String::new(),
    };
    SystemFinding { subject, problem, repaired: matches!(repaired, Some(Ok(()))), note }
}

/// A layer whose files are not those that were pulled. It is repaired by removing the images that have it, unless
/// containers use them: only their owner knows whether the change matters.
fn layer_finding(engine: &Engine, layer: image::DamagedLayer, repair: bool) -> SystemFinding {
    let subject = Damaged::Layer(layer.chain).to_string();
    let images: Vec<String> = layer.images.iter().map(ToString::to_string).collect();
    let problem = format!("{}; it is part of {}", layer.problem, images.join(", "));
    if !repair {
        let note = "pull the image again after `system check --repair` or `rmi`".to_owned();
        return SystemFinding { subject, problem, repaired: false, note };
    }
    let used = images::uses(engine);
    if let Some(user) = used.iter().find(|user| layer.images.contains(&user.image)) {
        let note = format!("container {} uses it: remove the container first", user.id.short());
        return SystemFinding { subject, problem, repaired: false, note };
    }
    let options = image::RemoveOptions { force: true, no_prune: false };
    let removed = layer.images.iter().try_for_each(|id| {
        match engine.images.remove(&id.to_string(), options, &|| images::uses(engine)) {
            Ok(_) | Err(image::Error::NoSuchImage { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    });
    let mut finding = outcome(subject, problem, Some(removed));
    if finding.repaired {
        "the images were removed: pull them again".clone_into(&mut finding.note);
    }
    finding
}

/// Containers that have a record and no tree.
fn without_trees(engine: &Engine) -> Vec<SystemFinding> {
    let missing = |container: &Arc<crate::container::Container>| {
        let record = container.record();
        let gone = engine.snapshots.rootfs(&record.id).is_err();
        // Not one that is made or removed at this moment.
        (gone && record.pending.is_none() && engine.containers.find(record.id.as_str()).is_ok()).then(|| {
            SystemFinding {
                subject: format!("container {}", record.id),
                problem: "it has no files".to_owned(),
                repaired: false,
                note: "remove it".to_owned(),
            }
        })
    };
    engine.containers.all().iter().filter_map(missing).collect()
}
