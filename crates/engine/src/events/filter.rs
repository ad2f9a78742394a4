//! Which events a listener wants (moby `daemon/events/filter.go`).

use super::{Event, Kind};
use crate::{Error, filters::Filters};

/// The keys of an event filter. `plugin`, `node`, `service`, `secret` and `config` name objects Lichen has none of:
/// accepted, and no event matches them.
const KEYS: &[&str] = &[
    "type",
    "event",
    "label",
    "scope",
    "container",
    "image",
    "volume",
    "network",
    "daemon",
    "plugin",
    "node",
    "service",
    "secret",
    "config",
];

/// Actions with a suffix after a colon; asking for the bare word matches them.
const OPEN_ENDED: &[&str] = &["health_status", "exec_create", "exec_start"];

#[derive(Debug, Clone)]
pub struct EventFilter(Filters);

impl EventFilter {
    /// # Errors
    /// [`Error::InvalidFilter`] for a key that events do not have.
    pub fn new(filters: &Filters) -> Result<Self, Error> {
        filters.only(KEYS).map(|f| Self(f.clone()))
    }

    pub fn passes(&self, event: &Event) -> bool {
        let Self(filters) = self;
        self.passes_action(event)
            && filters.exact("type", event.kind.as_str())
            && filters.exact("scope", "local")
            && ["container", "volume", "network", "daemon", "plugin", "node", "service", "secret", "config"]
                .iter()
                .all(|key| self.passes_object(key, event))
            && self.passes_image(event)
            && filters.labels("label", |key| event.attributes.get(key).map(String::as_str))
    }

    fn passes_action(&self, event: &Event) -> bool {
        if self.0.get("event").iter().any(|wanted| OPEN_ENDED.contains(&wanted.as_str())) {
            self.0.prefix("event", &event.action)
        } else {
            self.0.exact("event", &event.action)
        }
    }

    fn passes_object(&self, key: &str, event: &Event) -> bool {
        let name = event.attributes.get("name").map_or("", String::as_str);
        self.0.prefix(key, &event.actor) || (!name.is_empty() && self.0.prefix(key, name))
    }

    /// An image filter also lets through the events of containers made from that image.
    fn passes_image(&self, event: &Event) -> bool {
        let attribute = if event.kind == Kind::Image { "name" } else { "image" };
        let name = event.attributes.get(attribute).map_or("", String::as_str);
        [&event.actor, name, without_tag(&event.actor), without_tag(name)]
            .iter()
            .any(|n| self.0.exact("image", n))
    }
}

/// `reference` without `:tag` and `@digest`; a colon before a slash belongs to a registry's port.
fn without_tag(reference: &str) -> &str {
    let reference = reference.split_once('@').map_or(reference, |(name, _)| name);
    match reference.rfind(':') {
        Some(colon) if !reference[colon..].contains('/') => &reference[..colon],
        _ => reference,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Timestamp;

    fn event(action: &str) -> Event {
        Event {
            kind: Kind::Container,
            action: action.into(),
            actor: "deadbeef".into(),
            attributes: [("name", "web"), ("image", "localhost:5000/nginx:1"), ("tier", "front")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
            at: Timestamp::ZERO,
        }
    }

    #[track_caller]
    fn check(key: &str, value: &str, action: &str, expected: bool) {
        let filter = EventFilter::new(&Filters::from_pairs([(key, value)])).unwrap();
        assert_eq!(filter.passes(&event(action)), expected, "{key}={value}");
    }

    #[test]
    fn filters_look_where_docker_looks() {
        check("event", "start", "start", true);
        check("event", "exec_start", "exec_start: sh -c x", true);
        check("event", "start", "restart", false);
        check("container", "dead", "start", true);
        check("container", "web", "start", true);
        check("container", "db", "start", false);
        check("image", "localhost:5000/nginx:1", "start", true);
        check("image", "localhost:5000/nginx", "start", true);
        check("image", "nginx", "start", false);
        check("label", "tier=front", "start", true);
        check("label", "tier=back", "start", false);
        check("type", "network", "start", false);
        check("scope", "swarm", "start", false);
        check("service", "x", "start", false);
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert!(EventFilter::new(&Filters::from_pairs([("colour", "red")])).is_err());
    }
}
