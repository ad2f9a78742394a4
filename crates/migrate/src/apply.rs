//! Carrying the plan out.

use crate::args::Arguments;
use crate::container::{self, Definition};
use crate::engines::Engines;
use crate::error::Error;
use crate::image::bare;
use crate::needs::{Kind, Lacks};
use crate::plan::{Fate, Item, Plan};
use crate::{image, network, volume};
use cli::say;

/// How it went so far.
#[derive(Debug, Default)]
struct Tally {
    done: u32,
    failed: u32,
    /// Objects that are not what the other engine has under their name, or cannot be.
    left: u32,
}

impl Tally {
    /// Tell what became of one object. One that failed does not keep the next from being tried.
    fn note<T>(&mut self, kind: &str, item: &Item<T>, outcome: Result<&str, Error>) {
        match outcome {
            Ok(verb) => {
                self.done += 1;
                item.tell(kind, verb);
            }
            Err(error) => {
                self.failed += 1;
                item.tell(kind, "failed");
                eprintln!("lichen migrate: {kind} {}: {error}", item.name);
            }
        }
    }

    /// Whether there is nothing to be made, which is told.
    fn passes<T>(&mut self, kind: &str, item: &Item<T>) -> bool {
        if item.fate == Fate::Make {
            return false;
        }
        self.left += u32::from(item.fate != Fate::Same);
        item.print(kind, "");
        true
    }
}

/// What failed is lacking where it is needed.
fn failed(lacks: &mut Lacks, kind: Kind, name: &str, outcome: Result<(), &Error>) {
    if let Err(error) = outcome {
        lacks.note(kind, name, error.to_string());
    }
}

/// The exit code: 1 when anything failed or is not as it is in the other engine.
pub(crate) async fn apply(engines: &Engines, mut plan: Plan, arguments: &Arguments) -> Result<i32, Error> {
    let (mut tally, mut lacks) = (Tally::default(), std::mem::take(&mut plan.lacks));
    for item in &mut plan.images {
        if !tally.passes("image", item) {
            let outcome = image::copy(engines, &item.what).await;
            failed(&mut lacks, Kind::Image, bare(&item.what.id), outcome.as_ref().map(|_| ()));
            item.what.here = outcome.as_ref().ok().cloned();
            tally.note("image", item, outcome.map(|_| "copied"));
        }
    }
    let ids = image::ids(&plan.images);
    for item in &plan.networks {
        if !tally.passes("network", item) {
            let outcome = network::create(engines, &item.what).await;
            failed(&mut lacks, Kind::Network, &item.name, outcome.as_ref().copied());
            tally.note("network", item, outcome.map(|()| "created"));
        }
    }
    for item in &plan.volumes {
        if matches!(item.fate, Fate::Refused(_)) {
            tally.passes("volume", item);
            continue;
        }
        let outcome = volume::copy(engines, &item.what, &plan.originals).await;
        failed(&mut lacks, Kind::Volume, &item.name, outcome.as_ref().map(|_| ()));
        tally.note("volume", item, outcome);
    }
    for item in &mut plan.containers {
        item.refuse(&mut lacks);
        if !tally.passes("container", item) {
            item.what.made_of(&ids);
            make(engines, item, &mut lacks, &mut tally).await;
        }
    }
    if arguments.start {
        start(engines, &plan, &mut tally).await?;
    }
    say!("{} done, {} failed, {} left alone", tally.done, tally.failed, tally.left);
    Ok(i32::from(tally.failed > 0 || tally.left > 0))
}

async fn make(engines: &Engines, item: &Item<Definition>, lacks: &mut Lacks, tally: &mut Tally) {
    let outcome = container::create(engines, &item.name, &item.what).await;
    for warning in outcome.iter().flatten() {
        eprintln!("lichen migrate: container {}: {warning}", item.name);
    }
    failed(lacks, Kind::Container, &item.name, outcome.as_ref().map(|_| ()));
    tally.note("container", item, outcome.map(|_| "created"));
}

/// Copies of those that run in the other engine, whichever run made them.
async fn start(engines: &Engines, plan: &Plan, tally: &mut Tally) -> Result<(), Error> {
    let here = engines.to.containers().await?;
    for item in plan.containers.iter().filter(|i| i.what.runs && matches!(i.fate, Fate::Make | Fate::Same)) {
        match here.iter().find(|c| container::name_of(c) == item.name) {
            Some(copy) if !copy.state.running => {
                let outcome = container::start(engines, &item.name).await;
                tally.note("container", item, outcome.map(|()| "started"));
            }
            _ => {}
        }
    }
    Ok(())
}
