//! Which containers a listing shows (moby `daemon/list.go`).

use super::Options;
use crate::{
    Engine, Error,
    container::{Record, Status},
    filters::Filters,
};
use model::Digest;
use std::collections::BTreeSet;

const KEYS: &[&str] = &[
    "ancestor",
    "before",
    "exited",
    "id",
    "isolation",
    "label",
    "name",
    "status",
    "health",
    "since",
    "volume",
    "network",
    "is-task",
    "publish",
    "expose",
];

/// Checked filters.
pub(super) struct Filter<'a> {
    raw: &'a Filters,
    all: bool,
    exited: Vec<i32>,
    statuses: Vec<Status>,
    /// None: not filtered on. Empty: images that are not here.
    ancestors: Option<BTreeSet<Digest>>,
    publish: BTreeSet<String>,
    expose: BTreeSet<String>,
    before: Option<model::Timestamp>,
    since: Option<model::Timestamp>,
}

fn invalid(key: &str, value: &str) -> Error {
    Error::InvalidFilter { text: format!("{key}={value}") }
}

impl<'a> Filter<'a> {
    pub(super) fn new(engine: &Engine, options: &'a Options) -> Result<Self, Error> {
        let raw = &options.filters;
        raw.only(KEYS)?;
        let each = |key: &str| raw.get(key).iter().map(String::as_str).collect::<Vec<_>>();
        let exited = each("exited")
            .into_iter()
            .map(|code| code.parse().map_err(|_| invalid("exited", code)))
            .collect::<Result<Vec<i32>, _>>()?;
        let statuses = each("status")
            .into_iter()
            .map(|status| Status::parse(status).ok_or_else(|| invalid("status", status)))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(health) =
            each("health").into_iter().find(|h| !matches!(*h, "none" | "starting" | "healthy" | "unhealthy"))
        {
            return Err(invalid("health", health));
        }
        raw.boolean("is-task", false)?;
        let created = |key: &str| -> Result<Option<model::Timestamp>, Error> {
            each(key).first().map(|r| engine.containers.find(r).map(|c| c.record().created)).transpose()
        };
        Ok(Self {
            raw,
            // Asking for a status asks for containers that do not run, too; so does a limit.
            all: options.all || options.limit.is_some() || !statuses.is_empty(),
            exited,
            statuses,
            ancestors: raw.contains("ancestor").then(|| ancestors(engine, raw)),
            publish: ports(raw, "publish")?,
            expose: ports(raw, "expose")?,
            before: created("before")?,
            since: created("since")?,
        })
    }

    /// Whether the container is shown; its ports are asked for only when they are filtered on.
    pub(super) fn passes(&self, record: &Record, ports: impl FnOnce() -> Vec<api_types::Port>) -> bool {
        self.passes_state(record)
            && self.passes_identity(record)
            && self.passes_parts(record)
            && ((self.publish.is_empty() && self.expose.is_empty()) || self.passes_ports(&ports()))
    }

    fn passes_state(&self, record: &Record) -> bool {
        let state = &record.state;
        let health = record.health.as_ref().map_or("none", |h| h.status.as_str());
        let exit_allowed = || {
            !state.counts_as_running()
                && !state.started().is_zero()
                && self.exited.contains(&state.exit_code())
        };
        (self.all || state.counts_as_running())
            && (self.statuses.is_empty() || self.statuses.contains(&state.status()))
            && (self.exited.is_empty() || exit_allowed())
            && self.raw.exact("health", health)
            && self.before.is_none_or(|before| record.created < before)
            && self.since.is_none_or(|since| record.created > since)
    }

    fn passes_identity(&self, record: &Record) -> bool {
        let name = &record.name;
        (self.raw.matches("name", name) || self.raw.matches("name", &format!("/{name}")))
            && self.raw.prefix("id", record.id.as_str())
            && self.raw.labels("label", |key| record.config.labels.get(key).map(String::as_str))
            && self.raw.exact("isolation", &record.host_config.isolation)
            // No container is a task of a swarm.
            && !self.raw.boolean("is-task", false).unwrap_or(false)
    }

    fn passes_parts(&self, record: &Record) -> bool {
        let volume = |wanted: &String| {
            record.mounts.iter().any(|m| {
                m.destination == *wanted
                    || if m.name.is_empty() { m.source == *wanted } else { m.name == *wanted }
            })
        };
        let network = |wanted: &String| {
            record.networks.iter().any(|(name, settings)| {
                name == wanted
                    || (!settings.network_id.is_empty() && settings.network_id.starts_with(wanted.as_str()))
            })
        };
        (!self.raw.contains("volume") || self.raw.get("volume").iter().any(volume))
            && (!self.raw.contains("network") || self.raw.get("network").iter().any(network))
            && self
                .ancestors
                .as_ref()
                .is_none_or(|all| record.image.as_ref().is_some_and(|i| all.contains(i)))
    }

    fn passes_ports(&self, ports: &[api_types::Port]) -> bool {
        ports.iter().any(|p| {
            self.publish.contains(&format!("{}/{}", p.public_port, p.r#type))
                || self.expose.contains(&format!("{}/{}", p.private_port, p.r#type))
        })
    }
}

/// The images named, and those that stand on them.
fn ancestors(engine: &Engine, raw: &Filters) -> BTreeSet<Digest> {
    let named: Vec<_> = raw.get("ancestor").iter().filter_map(|r| engine.images.resolve(r).ok()).collect();
    let mut found: BTreeSet<Digest> = named.iter().map(|i| i.id.clone()).collect();
    for container in engine.containers.all() {
        let Some(id) = container.record().image.clone() else { continue };
        let stands_on = |image: &image::Image| {
            named.iter().any(|n| !n.layers.is_empty() && image.layers.starts_with(&n.layers))
        };
        if engine.images.get(&id).is_some_and(|image| stands_on(&image)) {
            found.insert(id);
        }
    }
    found
}

/// `80`, `80/udp`, `8000-8010/tcp`
fn ports(raw: &Filters, key: &str) -> Result<BTreeSet<String>, Error> {
    let mut all = BTreeSet::new();
    for value in raw.get(key) {
        let (range, protocol) = value.split_once('/').unwrap_or((value, "tcp"));
        let (first, last) = crate::create::validate::port_range(range).ok_or_else(|| invalid(key, value))?;
        all.extend((first..=last).map(|port| format!("{port}/{protocol}")));
    }
    Ok(all)
}
