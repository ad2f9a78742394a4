//! What dockerd 28.5 writes is read and written again without a difference: no field is lost, renamed, or null where
//! it was empty. The files in `dockerd/` are its answers, with paths and digests shortened.

use api_types::*;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

#[track_caller]
fn check<T: Serialize + DeserializeOwned>(answer: &str) {
    let written: Value = serde_json::from_str(answer).unwrap();
    let read: T = go::from_value(written.clone()).unwrap();
    let again = serde_json::to_value(&read).unwrap();
    // The engine's records hold some of these, and are read without Go's rules.
    let plain: T = serde_json::from_value(again.clone()).unwrap();
    assert_eq!(serde_json::to_value(&plain).unwrap(), again);
    let differences = differences("", &written, &again);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn differences(path: &str, a: &Value, b: &Value) -> Vec<String> {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
            let absent = Value::String("(absent)".into());
            let at =
                |map: &serde_json::Map<String, Value>, key: &str| map.get(key).unwrap_or(&absent).clone();
            keys.iter()
                .flat_map(|key| differences(&format!("{path}.{key}"), &at(a, key), &at(b, key)))
                .collect()
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .flat_map(|(i, (a, b))| differences(&format!("{path}[{i}]"), a, b))
            .collect(),
        (a, b) if a == b => Vec::new(),
        (a, b) => vec![format!("{path}: dockerd writes {a}, we write {b}")],
    }
}

#[test]
fn containers() {
    check::<ContainerInspect>(include_str!("dockerd/container-inspect.json"));
    check::<Vec<ContainerSummary>>(include_str!("dockerd/containers.json"));
    check::<ExecInspect>(include_str!("dockerd/exec-inspect.json"));
    check::<Stats>(include_str!("dockerd/stats.json"));
}

#[test]
fn images_networks_volumes() {
    check::<ImageInspect>(include_str!("dockerd/image-inspect.json"));
    check::<Network>(include_str!("dockerd/network-inspect.json"));
    check::<VolumeList>(include_str!("dockerd/volumes.json"));
}

#[test]
fn the_engine_itself() {
    check::<SystemInfo>(include_str!("dockerd/info.json"));
    check::<Version>(include_str!("dockerd/version.json"));
    check::<Vec<EventMessage>>(include_str!("dockerd/events.json"));
}
