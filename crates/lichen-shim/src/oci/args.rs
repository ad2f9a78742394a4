//! Arguments as runc takes them: `--flag value`, `--flag=value`, one dash or two, flags before the ID.

use anyhow::{Context, Result, bail};
use std::{collections::VecDeque, io::Write, path::PathBuf};

/// The arguments that are left.
pub(super) struct Args(VecDeque<String>);

impl Args {
    pub(super) fn new(arguments: &[String]) -> Self {
        Self(arguments.iter().cloned().collect())
    }

    /// The next flag, without its dashes, and its value when given with `=`. None at the first positional argument.
    pub(super) fn flag(&mut self) -> Option<(String, Option<String>)> {
        let next = self.0.front()?;
        if next == "--" {
            self.0.pop_front();
            return None;
        }
        let name =
            next.strip_prefix("--").or_else(|| next.strip_prefix('-')).filter(|n| !n.is_empty())?.to_owned();
        self.0.pop_front();
        Some(match name.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (name, None),
        })
    }

    /// The value of a flag that needs one.
    pub(super) fn value(&mut self, flag: &str, given: Option<String>) -> Result<String> {
        given.or_else(|| self.0.pop_front()).with_context(|| format!("flag --{flag} needs a value"))
    }

    /// The value of a flag that is true when it stands alone.
    pub(super) fn switch(flag: &str, given: Option<String>) -> Result<bool> {
        match given.as_deref() {
            None | Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => bail!("flag --{flag} is true or false, not {other:?}"),
        }
    }

    pub(super) fn positional(&mut self) -> Option<String> {
        self.0.pop_front()
    }

    /// The one positional argument that most verbs have, and nothing after it.
    pub(super) fn only_id(mut self) -> Result<String> {
        let id = self.positional().context("which container?")?;
        self.none_left()?;
        Ok(id)
    }

    pub(super) fn none_left(&self) -> Result<()> {
        match self.0.front() {
            Some(extra) => bail!("unexpected argument {extra:?}"),
            None => Ok(()),
        }
    }

    pub(super) fn rest(self) -> Vec<String> {
        self.0.into()
    }
}

pub(super) fn unknown<T>(flag: &str) -> Result<T> {
    bail!("unknown flag --{flag}")
}

/// Flags before the verb.
#[derive(Debug)]
pub(super) struct Global {
    pub(super) root: PathBuf,
    log: Option<PathBuf>,
    json: bool,
}

impl Global {
    pub(super) fn take(args: &mut Args) -> Result<Self> {
        let mut global = Self { root: default_root(), log: None, json: false };
        while let Some((flag, given)) = args.flag() {
            match flag.as_str() {
                "root" => global.root = args.value(&flag, given)?.into(),
                "log" => global.log = Some(args.value(&flag, given)?.into()),
                "log-format" => global.json = args.value(&flag, given)? == "json",
                "debug" => drop(Args::switch(&flag, given)?),
                // Which cgroups can be used is found out, not told.
                "rootless" => drop(args.value(&flag, given)?),
                "systemd-cgroup" if !Args::switch(&flag, given)? => {}
                "systemd-cgroup" => bail!("flag --systemd-cgroup: only cgroupfs paths are supported here"),
                "version" | "v" | "help" | "h" => {
                    args.0
                        .push_front(format!("--{}", &flag[..1].replace('v', "version").replace('h', "help")));
                    break;
                }
                _ => return unknown(&flag),
            }
        }
        Ok(global)
    }

    /// As runc writes it, for whoever started us: one line, the message under `msg`.
    pub(super) fn log_error(&self, error: &anyhow::Error) {
        let Some(path) = &self.log else { return };
        let message = format!("{error:#}");
        let time = model::Timestamp::now().to_string();
        let line = if self.json {
            serde_json::json!({"level": "error", "msg": message, "time": time}).to_string()
        } else {
            format!("time={time:?} level=error msg={message:?}")
        };
        let written = std::fs::File::options().append(true).create(true).open(path);
        if let Err(e) = written.and_then(|mut file| writeln!(file, "{line}")) {
            eprintln!("lichen-shim oci: write {}: {e}", path.display());
        }
    }
}

fn default_root() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(directory) => PathBuf::from(directory).join("lichen-oci"),
        None => PathBuf::from("/run/lichen-oci"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Args {
        Args::new(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn flags_end_at_the_first_positional_argument() {
        let mut args = args("--pid-file=/p -b /b id --not-a-flag");
        assert_eq!(args.flag(), Some(("pid-file".into(), Some("/p".into()))));
        assert_eq!(args.flag(), Some(("b".into(), None)));
        assert_eq!(args.value("b", None).unwrap(), "/b");
        assert_eq!(args.flag(), None);
        assert_eq!(args.rest(), ["id", "--not-a-flag"]);
    }

    #[test]
    fn a_missing_value_and_an_extra_argument_are_errors() {
        assert!(args("").value("bundle", None).is_err());
        assert!(args("id extra").only_id().unwrap_err().to_string().contains("extra"));
        assert!(Global::take(&mut args("--nonsense state x")).is_err());
    }

    #[test]
    fn version_is_a_verb_of_its_own() {
        for line in ["--version", "-v"] {
            let mut args = args(line);
            Global::take(&mut args).unwrap();
            assert_eq!(args.positional().as_deref(), Some("--version"));
        }
    }
}
