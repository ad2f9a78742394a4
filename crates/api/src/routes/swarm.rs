//! What Docker has for clusters and plugins, and Lichen has not: refused with Docker's words.

use super::Outcome;
use crate::{error::Error, request::Request, response};

/// Swarm, services, nodes, tasks, secrets and configs of an engine that is no manager.
pub(super) fn answer(request: &Request, segments: &[&str]) -> Outcome {
    match (request.method.as_str(), segments) {
        ("POST", ["swarm", "init" | "join"]) => Err(Error::Unsupported { what: "swarm mode" }),
        ("POST", ["swarm", "leave"]) => Err(Error::NotInSwarm),
        ("GET" | "POST" | "DELETE", _) => Err(Error::NotSwarmManager),
        _ => Err(Error::PageNotFound),
    }
}

/// There are no plugins and none can be added.
pub(super) fn plugins(request: &Request, segments: &[&str]) -> Outcome {
    match (request.method.as_str(), segments) {
        ("GET", ["plugins"]) => response::ok(&serde_json::Value::Array(Vec::new())),
        ("GET", ["plugins", "privileges"]) | ("POST", ["plugins", "pull" | "create"]) => {
            Err(Error::Unsupported { what: "plugins" })
        }
        ("GET", ["plugins", name @ .., "json"]) => Err(Error::NoSuchPlugin { name: name.join("/") }),
        ("POST", ["plugins", name @ .., "enable" | "disable" | "upgrade" | "set" | "push"])
        | ("DELETE", ["plugins", name @ ..]) => Err(Error::NoSuchPlugin { name: name.join("/") }),
        _ => Err(Error::PageNotFound),
    }
}
