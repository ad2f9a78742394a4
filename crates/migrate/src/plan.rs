//! What there is on both sides, and what follows.

use crate::args::Arguments;
use crate::container::{self, Definition};
use crate::engines::Engines;
use crate::error::Error;
use crate::image::Origins;
use crate::needs::{self, Kind, Lacks};
use crate::{image, network, volume};
use api_types::{ContainerInspect, Network, Volume};
use cli::say;

/// What is to become of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is not here: it is made.
    Make,
    /// It is here, the same.
    Same,
    /// There is one of its name here; whether it is the same is only seen when it is looked into.
    Unseen,
    /// There is something else of its name here; it is left alone.
    Differs(String),
    /// It cannot be had here.
    Refused(String),
}

/// One object, with remarks about what will be different.
#[derive(Debug)]
pub(crate) struct Item<T> {
    pub(crate) name: String,
    pub(crate) fate: Fate,
    pub(crate) remarks: Vec<String>,
    pub(crate) what: T,
}

pub(crate) struct Plan {
    pub(crate) images: Vec<Item<image::Source>>,
    pub(crate) volumes: Vec<Item<Volume>>,
    pub(crate) networks: Vec<Item<Network>>,
    pub(crate) containers: Vec<Item<Definition>>,
    /// What containers cannot have here, as far as it is known.
    pub(crate) lacks: Lacks,
    /// The source's containers, as they are.
    pub(crate) originals: Vec<ContainerInspect>,
}

pub(crate) async fn make(engines: &Engines, arguments: &Arguments) -> Result<Plan, Error> {
    let kinds = arguments.kinds;
    let originals = engines.from.containers().await?;
    let origins =
        if kinds.containers { Origins::find(engines, &originals).await? } else { Origins::default() };
    let images = if kinds.images { image::plan(engines, &originals).await? } else { Vec::new() };
    // Of those that are not asked for, what containers are made of has to be here.
    let used = if kinds.containers && !kinds.images {
        image::used(engines, &originals, &origins).await?
    } else {
        Vec::new()
    };
    let ids = image::ids(images.iter().chain(&used));
    let volumes = if kinds.volumes { volume::plan(engines).await? } else { Vec::new() };
    let networks = if kinds.networks { network::plan(engines).await? } else { Vec::new() };
    let mut containers = if kinds.containers {
        container::plan(engines, &originals, &origins, &ids).await?
    } else {
        Vec::new()
    };
    let mut lacks = needs::planned(&images, &used, &volumes, &networks);
    let needed = containers.iter().filter(|c| c.fate == Fate::Make).map(|c| &c.what.needs);
    needs::absent_images(needed.clone(), images.iter().chain(&used), &mut lacks);
    needs::absent(engines, needed, &volumes, &networks, &mut lacks).await?;
    for item in &mut containers {
        item.refuse(&mut lacks);
    }
    Ok(Plan { images, volumes, networks, containers, lacks, originals })
}

impl Item<Definition> {
    /// One that is not to be had, because of what it needs or otherwise, is not to be had by those that need it either.
    pub(crate) fn refuse(&mut self, lacks: &mut Lacks) {
        if self.fate == Fate::Make
            && let Some(why) = lacks.keep_from(&self.what.needs)
        {
            self.fate = Fate::Refused(why);
        }
        match &self.fate {
            Fate::Refused(why) => lacks.note(Kind::Container, &self.name, why.clone()),
            Fate::Differs(how) => {
                lacks.note(Kind::Container, &self.name, format!("another one is here already: {how}"));
            }
            Fate::Make | Fate::Same | Fate::Unseen => {}
        }
    }
}

impl Plan {
    pub(crate) fn print(&self) {
        print_items("image", "copy", &self.images);
        print_items("volume", "copy", &self.volumes);
        print_items("network", "create", &self.networks);
        print_items("container", "create", &self.containers);
        let count = |fates: &mut dyn Iterator<Item = &Fate>| fates.filter(|f| **f == Fate::Make).count();
        let todo = count(&mut self.images.iter().map(|i| &i.fate))
            + count(&mut self.volumes.iter().map(|i| &i.fate))
            + count(&mut self.networks.iter().map(|i| &i.fate))
            + count(&mut self.containers.iter().map(|i| &i.fate));
        match todo {
            0 => say!("nothing to do"),
            n => say!("{n} to do; with --apply it is done"),
        }
    }
}

fn print_items<T>(kind: &str, verb: &str, items: &[Item<T>]) {
    for item in items {
        item.print(kind, verb);
    }
}

impl<T> Item<T> {
    /// What is planned: one line, and one for each remark.
    pub(crate) fn print(&self, kind: &str, verb: &str) {
        let outcome = match &self.fate {
            Fate::Make => verb.to_owned(),
            Fate::Same => "the same is here already".to_owned(),
            Fate::Unseen => "is here already: with --apply it is compared".to_owned(),
            Fate::Differs(how) => format!("another one is here already, which is left alone: {how}"),
            Fate::Refused(why) => format!("not possible: {why}"),
        };
        self.tell(kind, &outcome);
    }

    pub(crate) fn tell(&self, kind: &str, outcome: &str) {
        say!("{kind:<9}  {}  {outcome}", self.name);
        if self.fate == Fate::Make {
            for remark in &self.remarks {
                say!("           {}: {remark}", self.name);
            }
        }
    }
}
