//! The command line, read into the shape of `daemon.json`.

use super::options::{Kind, OPTIONS, Opt};
use super::values;
use anyhow::Result;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Map, Value};
use std::path::PathBuf;

pub(super) struct Flags {
    pub options: Map<String, Value>,
    /// `--config-file`.
    pub file: Option<PathBuf>,
    /// `--validate`: check and end.
    pub validate: bool,
}

/// # Errors
/// clap's own, to be printed as it is; `--help` and `--version` are among them.
pub(super) fn parse(arguments: &[String]) -> Result<Result<Flags, clap::Error>> {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => return Ok(Err(error)),
    };
    let mut options = Map::new();
    for option in OPTIONS.iter().filter(|o| !o.flag.is_empty()) {
        if let Some(value) = value(option, &matches)? {
            options.insert(option.key.to_owned(), value);
        }
    }
    let validate = options.remove("validate") == Some(Value::Bool(true));
    let file = matches.get_one::<String>("config-file").map(PathBuf::from);
    Ok(Ok(Flags { options, file, validate }))
}

fn command() -> Command {
    let file = Arg::new("config-file").long("config-file").value_name("FILE").help("Configuration file of the engine");
    Command::new("lichen daemon")
        .about("Run the engine: an ordinary user's containers, served to Docker clients")
        .version(env!("CARGO_PKG_VERSION"))
        .no_binary_name(true)
        .arg(file)
        .args(OPTIONS.iter().filter(|o| !o.flag.is_empty()).map(argument))
}

fn argument(option: &'static Opt) -> Arg {
    let arg = Arg::new(option.key).long(option.flag).help(option.help);
    let arg = match option.short {
        Some(short) => arg.short(short),
        None => arg,
    };
    match option.kind {
        // `--icc=false` and `--icc` both, as Go's flags have it.
        Kind::Bool => arg
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_parser(["true", "false"])
            .hide_possible_values(true),
        Kind::Text | Kind::Number | Kind::Bytes => arg.action(ArgAction::Set).value_name("VALUE"),
        _ => arg.action(ArgAction::Append).value_name("VALUE"),
    }
}

fn value(option: &Opt, matches: &ArgMatches) -> Result<Option<Value>> {
    let Some(given) = matches.get_many::<String>(option.key) else { return Ok(None) };
    let given: Vec<&str> = given.map(String::as_str).collect();
    values::from_flag(option, &given).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_makes_a_sound_command() {
        command().debug_assert();
    }
}
