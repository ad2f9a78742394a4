//! What was said on the command line and in `daemon.json`, before anything is made of it.

use super::error::{Error, Result};
use super::options::{Kind, OPTIONS, Opt, Support, by_flag, by_key, by_short};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Options that were set, by key, as the file would write them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Settings(BTreeMap<&'static str, Value>);

/// The command line.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct CommandLine {
    pub(crate) settings: Settings,
    pub(crate) config_file: Option<PathBuf>,
    pub(crate) validate: bool,
    pub(crate) version: bool,
    pub(crate) help: bool,
}

impl Settings {
    pub(crate) fn text(&self, key: &'static str) -> Option<&str> {
        self.0.get(key).and_then(Value::as_str)
    }

    pub(crate) fn bool(&self, key: &'static str) -> Option<bool> {
        self.0.get(key).and_then(Value::as_bool)
    }

    pub(crate) fn number(&self, key: &'static str) -> Option<i64> {
        self.0.get(key).and_then(Value::as_i64)
    }

    pub(crate) fn list(&self, key: &'static str) -> Vec<String> {
        let array = self.0.get(key).and_then(Value::as_array);
        array.into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
    }

    pub(crate) fn map(&self, key: &'static str) -> BTreeMap<String, String> {
        let object = self.0.get(key).and_then(Value::as_object);
        object.into_iter().flatten().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
    }

    pub(crate) fn value(&self, key: &'static str) -> Option<&Value> {
        self.0.get(key)
    }

    /// Lines about options that were set to no effect.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let set = OPTIONS.iter().filter(|o| self.0.contains_key(o.key));
        set.filter_map(|o| match o.support {
            Support::NoEffect(reason) => Some(format!("{} has no effect: {reason}", o.key)),
            _ => None,
        })
        .collect()
    }

    fn set(&mut self, option: &'static Opt, text: &str) -> Result<()> {
        let value = match option.kind {
            Kind::Bool => Value::Bool(parse_bool(option, text)?),
            Kind::Text => Value::String(text.to_owned()),
            Kind::Number => {
                let number = text.parse::<i64>();
                Value::from(number.map_err(|e| Error::invalid(option.flag, text, e.to_string()))?)
            }
            Kind::List => return self.push(option, Value::String(text.to_owned())),
            Kind::Map => {
                let (key, value) = text.split_once('=').unwrap_or((text, ""));
                return self.insert(option, key, Value::String(value.to_owned()));
            }
            Kind::Object => return super::objects::from_flag(option, text, self),
        };
        refuse(option, &value)?;
        self.0.insert(option.key, value);
        Ok(())
    }

    pub(super) fn push(&mut self, option: &'static Opt, value: Value) -> Result<()> {
        refuse(option, &value)?;
        if let Value::Array(list) = self.0.entry(option.key).or_insert_with(|| Value::Array(Vec::new())) {
            list.push(value);
        }
        Ok(())
    }

    pub(super) fn insert(&mut self, option: &'static Opt, key: &str, value: Value) -> Result<()> {
        refuse(option, &value)?;
        if let Value::Object(object) = self.0.entry(option.key).or_insert_with(|| Value::Object(Map::new())) {
            object.insert(key.to_owned(), value);
        }
        Ok(())
    }
}

fn refuse(option: &'static Opt, value: &Value) -> Result<()> {
    match refusal(option, value) {
        Some(reason) => Err(Error::Unsupported { option: option.flag, reason }),
        None => Ok(()),
    }
}

fn refusal(option: &'static Opt, value: &Value) -> Option<&'static str> {
    match option.support {
        Support::No(reason) if *value != Value::Bool(false) => Some(reason),
        _ => None,
    }
}

/// Go's `strconv.ParseBool`, which pflag uses.
fn parse_bool(option: &'static Opt, text: &str) -> Result<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(Error::invalid(option.flag, text, "expected true or false")),
    }
}

/// Flags as pflag reads them: `--flag value`, `--flag=value`, `-Dl debug`, `-H=unix://…`.
pub(crate) fn parse(arguments: &[String]) -> Result<CommandLine> {
    let mut line = CommandLine::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if let Some(long) = argument.strip_prefix("--").filter(|l| !l.is_empty()) {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let option = by_flag(name).ok_or_else(|| Error::UnknownFlag(name.to_owned()))?;
            let value = complete(option, value, &mut rest)?;
            line.take(option, &value)?;
        } else if let Some(letters) = argument.strip_prefix('-').filter(|l| !l.is_empty() && *l != "-") {
            shorts(&mut line, letters, &mut rest)?;
        } else {
            return Err(Error::Argument(argument.clone()));
        }
    }
    Ok(line)
}

fn complete<'a>(
    option: &'static Opt,
    given: Option<String>,
    rest: &mut impl Iterator<Item = &'a String>,
) -> Result<String> {
    match (given, option.kind) {
        (Some(value), _) => Ok(value),
        (None, Kind::Bool) => Ok("true".to_owned()),
        (None, _) => rest.next().cloned().ok_or(Error::MissingValue(option.flag)),
    }
}

/// `-D`, `-Dl debug`, `-lwarn`, `-H=x`.
fn shorts<'a>(
    line: &mut CommandLine,
    letters: &str,
    rest: &mut impl Iterator<Item = &'a String>,
) -> Result<()> {
    for (at, letter) in letters.char_indices() {
        let option = by_short(letter).ok_or_else(|| Error::UnknownShort(letter, letters.to_owned()))?;
        let tail = &letters[at + letter.len_utf8()..];
        let attached =
            tail.strip_prefix('=').or(Some(tail).filter(|t| !t.is_empty() && option.kind != Kind::Bool));
        let value = complete(option, attached.map(str::to_owned), rest)?;
        line.take(option, &value)?;
        if attached.is_some() || option.kind != Kind::Bool {
            return Ok(());
        }
    }
    Ok(())
}

impl CommandLine {
    fn take(&mut self, option: &'static Opt, value: &str) -> Result<()> {
        match option.flag {
            "config-file" => self.config_file = Some(PathBuf::from(value)),
            "validate" => self.validate = parse_bool(option, value)?,
            "version" => self.version = parse_bool(option, value)?,
            "help" => self.help = parse_bool(option, value)?,
            _ => self.settings.set(option, value)?,
        }
        Ok(())
    }
}

/// Read `daemon.json`. One that does not exist is empty, unless it was asked for by name.
pub(crate) fn read_file(path: &Path, asked_for: bool) -> Result<Settings> {
    let fail = |reason: String| Error::File { path: path.to_owned(), reason };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound && !asked_for => return Ok(Settings::default()),
        Err(e) => return Err(fail(e.to_string())),
    };
    parse_file(&text).map_err(fail)
}

fn parse_file(text: &str) -> Result<Settings, String> {
    // Lines are counted from here.
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        return Ok(Settings::default());
    }
    let mut object = match serde_json::from_str(text).map_err(|e| e.to_string())? {
        Value::Object(object) => object,
        other => return Err(format!("expected an object such as {{\"debug\": true}}, got {other}")),
    };
    migrate(&mut object)?;
    let unknown: Vec<&str> = object.keys().filter(|k| by_key(k).is_none()).map(String::as_str).collect();
    if !unknown.is_empty() {
        return Err(format!(
            "the following directives don't match any configuration option: {}",
            unknown.join(", ")
        ));
    }
    let mut settings = Settings::default();
    for (key, value) in object {
        let Some(option) = by_key(&key) else { continue };
        if value.is_null() {
            continue;
        }
        check_kind(option, &value)?;
        if let Some(reason) = refusal(option, &value) {
            return Err(format!("{key} cannot be used here: {reason}"));
        }
        settings.0.insert(option.key, value);
    }
    Ok(settings)
}

/// `host-gateway-ip` is what Docker called `host-gateway-ips` until release 27, and still takes.
fn migrate(object: &mut Map<String, Value>) -> Result<(), String> {
    const OLD: &str = "host-gateway-ip";
    const NEW: &str = "host-gateway-ips";
    match object.remove(OLD) {
        None => Ok(()),
        Some(Value::String(address)) if !object.contains_key(NEW) => {
            object.insert(NEW.to_owned(), Value::from(vec![address]));
            Ok(())
        }
        Some(Value::String(_)) => Err(format!("{OLD} and {NEW} are the same: keep one of them")),
        Some(other) => Err(format!("{OLD}: expected a string, got {other}")),
    }
}

fn check_kind(option: &Opt, value: &Value) -> Result<(), String> {
    let all_texts = |mut values: Box<dyn Iterator<Item = &Value> + '_>| values.all(Value::is_string);
    let (fits, expected) = match option.kind {
        Kind::Bool => (value.is_boolean(), "true or false"),
        Kind::Text => (value.is_string(), "a string"),
        Kind::Number => (value.is_i64(), "a whole number"),
        Kind::List => {
            (value.as_array().is_some_and(|a| all_texts(Box::new(a.iter()))), "an array of strings")
        }
        Kind::Map => {
            (value.as_object().is_some_and(|o| all_texts(Box::new(o.values()))), "an object of strings")
        }
        Kind::Object => (value.is_object() || value.is_array(), "an object"),
    };
    if fits { Ok(()) } else { Err(format!("{}: expected {expected}, got {value}", option.key)) }
}

/// Flags and file together. What is in both is an error, whatever the values (dockerd does so), but for `runtimes`.
pub(crate) fn merge(flags: &Settings, file: Settings, path: &Path) -> Result<Settings> {
    let both = flags.0.iter().filter(|(key, _)| **key != "runtimes" && file.0.contains_key(*key));
    let conflicts: Vec<String> = both
        .map(|(key, value)| {
            format!("{key}: (from flag: {}, from file: {})", shown(value), shown(&file.0[key]))
        })
        .collect();
    if !conflicts.is_empty() {
        let list = conflicts.join(", ");
        let reason = format!(
            "the following directives are specified both as a flag and in the configuration file: {list}"
        );
        return Err(Error::File { path: path.to_owned(), reason });
    }
    let mut merged = file;
    for (key, value) in &flags.0 {
        match (merged.0.get_mut(key), value) {
            (Some(Value::Object(there)), Value::Object(more)) => there.extend(more.clone()),
            _ => drop(merged.0.insert(key, value.clone())),
        }
    }
    Ok(merged)
}

/// As Go's `%v` shows it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let pairs: Vec<String> = map.iter().map(|(k, v)| format!("{k}:{}", shown(v))).collect();
            format!("map[{}]", pairs.join(" "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn line(arguments: &[&str]) -> Result<CommandLine> {
        parse(&arguments.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>())
    }

    fn settings(arguments: &[&str]) -> Value {
        json!(line(arguments).unwrap().settings.0)
    }

    #[test]
    fn flags_are_read_in_every_form_that_pflag_takes() {
        assert_eq!(
            settings(&["--debug", "--data-root", "/d", "-H", "unix:///a", "--host=fd://"]),
            json!({"debug": true, "data-root": "/d", "hosts": ["unix:///a", "fd://"]})
        );
        assert_eq!(
            settings(&["-Dlwarn", "-s=vfs", "--tls=false"]),
            json!({"debug": true, "log-level": "warn", "storage-driver": "vfs", "tls": false})
        );
        assert_eq!(
            settings(&["--log-opt", "max-size=1m", "--log-opt=max-file=2"]),
            json!({"log-opts": {"max-size": "1m", "max-file": "2"}})
        );
        assert!(line(&["--validate", "--config-file=/x"]).unwrap().validate);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let check =
            |arguments: &[&str], expect: &str| assert_eq!(line(arguments).unwrap_err().to_string(), expect);
        check(&["--colour"], "unknown flag: --colour; see 'lichen daemon --help'");
        check(&["-Dx"], "unknown shorthand flag: 'x' in -Dx; see 'lichen daemon --help'");
        check(&["--data-root"], "flag needs an argument: --data-root");
        check(&["run"], "lichen daemon accepts no arguments, got \"run\"");
        check(&["--debug=maybe"], "invalid argument \"maybe\" for \"debug\": expected true or false");
        check(
            &["--userns-remap=x"],
            "--userns-remap cannot be used here: the whole engine is in a user namespace already",
        );
        assert!(line(&["--selinux-enabled=false"]).is_ok());
    }

    #[test]
    fn an_unknown_key_or_a_wrong_kind_in_the_file_is_named() {
        let check = |text: &str, expect: &str| assert_eq!(parse_file(text).unwrap_err(), expect);
        check(
            r#"{"colour":1,"debug":true}"#,
            "the following directives don't match any configuration option: colour",
        );
        check(r#"{"debug":"yes"}"#, "debug: expected true or false, got \"yes\"");
        check(r#"{"hosts":["a",1]}"#, "hosts: expected an array of strings, got [\"a\",1]");
        let reason = "min-api-version cannot be used here: the API is served from version 1.40 on";
        check(r#"{"min-api-version":"1.24"}"#, reason);
        check("[]", "expected an object such as {\"debug\": true}, got []");
        check("{\"debug\": true\n \"mtu\": 9}", "expected `,` or `}` at line 2 column 2");
        check(r#"{"host-gateway-ip":5}"#, "host-gateway-ip: expected a string, got 5");
        let both = r#"{"host-gateway-ip":"10.0.0.1","host-gateway-ips":["10.0.0.2"]}"#;
        check(both, "host-gateway-ip and host-gateway-ips are the same: keep one of them");
        let migrated = parse_file(r#"{"host-gateway-ip":"10.0.0.1"}"#).unwrap();
        assert_eq!(migrated.list("host-gateway-ips"), ["10.0.0.1"]);
        assert_eq!(parse_file("").unwrap(), Settings::default());
    }

    #[test]
    fn what_is_in_flags_and_file_is_dockerds_error() {
        let flags = line(&["--debug", "--label=a=b"]).unwrap().settings;
        let file = parse_file(r#"{"debug":false,"labels":["c=d"],"mtu":9000}"#).unwrap();
        let error = merge(&flags, file, Path::new("/d.json")).unwrap_err().to_string();
        assert_eq!(
            error,
            "unable to configure the Docker daemon with file /d.json: the following directives are specified both \
            as a flag and in the configuration file: debug: (from flag: true, from file: false), labels: (from flag: [a=b], from file: [c=d])"
        );
    }
}
