//! Environment variables and labels, from flags and from files.

use std::path::Path;

use crate::error::Error;

pub fn check(text: &str) -> Result<(), String> {
    match text.is_empty() || text.starts_with('=') {
        true => Err(format!("invalid environment variable: {text}")),
        false => Ok(()),
    }
}

pub fn check_label(text: &str) -> Result<(), String> {
    match text.is_empty() || text.starts_with('=') {
        true => Err(format!("invalid label '{text}': empty name")),
        false => Ok(()),
    }
}

/// `--env-file` then `--env`: a name alone takes this process's value, and is dropped from a file when there is none.
pub fn environment(files: &[String], flags: &[String]) -> Result<Vec<String>, Error> {
    let lookup = |name: &str| std::env::var(name).ok();
    let mut variables = Vec::new();
    for file in files {
        variables.extend(read(file, |name| lookup(name).map(|value| format!("{name}={value}")))?);
    }
    for flag in flags {
        variables.push(match flag.contains('=') {
            true => flag.clone(),
            // Without a value it unsets the image's variable.
            false => lookup(flag).map_or_else(|| flag.clone(), |value| format!("{flag}={value}")),
        });
    }
    Ok(variables)
}

/// `--label-file` then `--label`.
pub fn labels(files: &[String], flags: &[String]) -> Result<api_types::Map<String>, Error> {
    let mut texts = Vec::new();
    for file in files {
        texts.extend(read(file, |name| Some(name.to_owned()))?);
    }
    texts.extend(flags.iter().cloned());
    Ok(super::map(&texts))
}

/// One `NAME=value` a line; blank lines and those that begin with `#` are skipped.
fn read(path: &str, bare: impl Fn(&str) -> Option<String>) -> Result<Vec<String>, Error> {
    let text = std::fs::read(path).map_err(Error::file("open", Path::new(path)))?;
    let text = String::from_utf8(text).map_err(|error| {
        Error::invalid(format!("{path}: invalid utf8 bytes at byte {}", error.utf8_error().valid_up_to()))
    })?;
    let mut lines = Vec::new();
    for line in text.trim_start_matches('\u{feff}').lines().map(str::trim_start) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (line, None),
        };
        if name.is_empty() {
            return Err(Error::invalid(format!(
                "invalid env file ({path}): no variable name on line '{line}'"
            )));
        }
        if name.contains(char::is_whitespace) {
            return Err(Error::invalid(format!(
                "invalid env file ({path}): variable '{name}' contains whitespaces"
            )));
        }
        lines.extend(match value {
            Some(value) => Some(format!("{name}={value}")),
            None => bare(name),
        });
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_flags() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("env").to_string_lossy().into_owned();
        std::fs::write(&path, "\u{feff}# c\nA=1\n\n  B=two words \nNOT_SET_ANYWHERE\nPATH\n").unwrap();
        let variables = environment(&[path], &["C".into(), "D=".into()]).unwrap();
        assert_eq!(variables[..2], ["A=1", "B=two words "]);
        assert!(variables[2].starts_with("PATH="));
        assert_eq!(variables[3..], ["C", "D="]);
    }

    #[test]
    fn bad_lines_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("env");
        std::fs::write(&path, "A B=1\n").unwrap();
        let error = environment(&[path.to_string_lossy().into_owned()], &[]).unwrap_err().to_string();
        assert!(error.ends_with("variable 'A B' contains whitespaces"), "{error}");
    }
}
