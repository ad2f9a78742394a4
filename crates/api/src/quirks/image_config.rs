//! An image's `Config` once was a container's, with every field written. Clients still look for some of them.

use serde_json::{Value, json};

/// Adds the fields of a container's configuration that API versions before 1.50 write (moby
/// `api/server/router/image/inspect_response.go`).
pub(super) fn complete(config: &mut Value) {
    let Some(config) = config.as_object_mut() else { return };
    for field in ["AttachStderr", "AttachStdin", "AttachStdout", "OpenStdin", "StdinOnce", "Tty"] {
        config.entry(field).or_insert(json!(false));
    }
    for field in ["Domainname", "Hostname", "Image"] {
        config.entry(field).or_insert(json!(""));
    }
}
