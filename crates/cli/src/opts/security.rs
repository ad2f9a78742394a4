//! `--security-opt`: seccomp profiles are read here and sent whole.

use crate::error::Error;
use crate::format::indent::compact;

/// Options for the engine, and whether `systempaths=unconfined` was asked for (which only clients know).
pub struct Security {
    pub options: Vec<String>,
    pub system_paths_unconfined: bool,
}

pub fn parse(values: &[String]) -> Result<Security, Error> {
    let mut security = Security { options: Vec::new(), system_paths_unconfined: false };
    for value in values {
        if value == "systempaths=unconfined" {
            security.system_paths_unconfined = true;
            continue;
        }
        security.options.push(option(value)?);
    }
    Ok(security)
}

fn option(text: &str) -> Result<String, Error> {
    let pair = text.split_once('=').or_else(|| text.split_once(':'));
    let (key, value) = match pair {
        Some((key, value)) => (key, value),
        None => (text, ""),
    };
    if value.is_empty() && key != "no-new-privileges" {
        return Err(Error::invalid(format!("Invalid --security-opt: {}", crate::template::go_quote(text))));
    }
    if key != "seccomp" || matches!(value, "unconfined" | "builtin") {
        return Ok(text.to_owned());
    }
    let profile = std::fs::read_to_string(value).map_err(|error| {
        Error::invalid(format!(
            "opening seccomp profile ({value}) failed: open {value}: {}",
            crate::error::cause(&error)
        ))
    })?;
    serde_json::from_str::<serde::de::IgnoredAny>(&profile).map_err(|error| {
        Error::invalid(format!("compacting json for seccomp profile ({value}) failed: {error}"))
    })?;
    Ok(format!("seccomp={}", compact(&profile)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.json");
        std::fs::write(&path, "{ \"defaultAction\": \"SCMP_ACT_ALLOW\" }\n").unwrap();
        let values = [
            format!("seccomp={}", path.display()),
            "no-new-privileges".into(),
            "systempaths=unconfined".into(),
        ];
        let security = parse(&values).unwrap();
        assert_eq!(security.options, ["seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\"}", "no-new-privileges"]);
        assert!(security.system_paths_unconfined);
        assert!(parse(&["label".into()]).is_err());
        assert!(parse(&["seccomp=/nowhere".into()]).is_err());
    }
}
