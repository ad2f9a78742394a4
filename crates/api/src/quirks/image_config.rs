//! An image's `Config` once was a container's, with every field written. Clients still look for some of them.

use crate::version::{ApiVersion, since};
use serde_json::{Value, json};

/// Adds the fields that the version always writes, with their zero values, where they are missing (moby
/// `api/server/router/image/inspect_response.go`).
pub(super) fn complete(config: &mut Value, version: ApiVersion) {
    let Some(config) = config.as_object_mut() else { return };
    let always = [
        ("Cmd", Value::Null),
        ("Entrypoint", Value::Null),
        ("Env", Value::Null),
        ("Labels", Value::Null),
        ("OnBuild", Value::Null),
        ("User", json!("")),
        ("Volumes", Value::Null),
        ("WorkingDir", json!("")),
    ];
    let until_49 = [
        ("AttachStderr", json!(false)),
        ("AttachStdin", json!(false)),
        ("AttachStdout", json!(false)),
        ("Domainname", json!("")),
        ("Hostname", json!("")),
        ("Image", json!("")),
        ("OpenStdin", json!(false)),
        ("StdinOnce", json!(false)),
        ("Tty", json!(false)),
    ];
    let until_49 = until_49.into_iter().filter(|_| version < since(50));
    for (field, zero) in always.into_iter().chain(until_49) {
        config.entry(field).or_insert(zero);
    }
}
