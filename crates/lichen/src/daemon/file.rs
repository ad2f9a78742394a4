//! `daemon.json`.

use super::options;
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};
use std::{io::ErrorKind, path::Path};

/// More is no configuration.
const MAX_BYTES: u64 = 1 << 20;

/// The file's options; none when there is no file, unless it was asked for by name.
pub(super) fn read(path: &Path, asked_for: bool) -> Result<Map<String, Value>> {
    let failed = || format!("unable to configure the Docker daemon with file {}", path.display());
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound && !asked_for => return Ok(Map::new()),
        Err(error) => return Err(error).with_context(failed),
        Ok(meta) if meta.len() > MAX_BYTES => bail!("{}: it has {} bytes; at most {MAX_BYTES} are read", failed(), meta.len()),
        Ok(_) => {}
    }
    let text = std::fs::read_to_string(path).with_context(failed)?;
    parse(&text).with_context(failed)
}

/// # Errors
/// When the text is no JSON object, or has a key that no option has.
pub(super) fn parse(text: &str) -> Result<Map<String, Value>> {
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    let value: Value = serde_json::from_str(text)?;
    let Value::Object(object) = value else { bail!("expected a JSON object") };
    let unknown: Vec<&str> = object.keys().map(String::as_str).filter(|k| options::by_key(k).is_none()).collect();
    if !unknown.is_empty() {
        bail!("the following directives don't match any configuration option: {}", unknown.join(", "));
    }
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_all_named() {
        let error = parse(r#"{"debug": true, "no-such": 1, "nor-this": 2}"#).unwrap_err().to_string();
        assert_eq!(error, "the following directives don't match any configuration option: no-such, nor-this");
    }

    #[test]
    fn an_empty_file_says_nothing() {
        assert!(parse(" \n").unwrap().is_empty());
        assert!(parse("[]").is_err());
    }
}
