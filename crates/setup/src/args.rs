//! The words of `lichen setup`.

use crate::{Error, Result};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arguments {
    pub verb: Verb,
    pub force: bool,
    pub json: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    Check,
    Install,
    Uninstall,
    Nsenter(Vec<String>),
    /// This program trying something in namespaces of its own; not for people.
    Probe(Vec<String>),
    Help,
}

/// What `lichen setup` can be told to do.
pub const VERBS: &[(&str, &str)] = &[
    ("check", "Check the requirements"),
    ("install", "Install and start the systemd user service, and create the context \"rootless\""),
    ("uninstall", "Take these away again; data stays"),
    ("nsenter", "Run a command in the engine's namespaces"),
];

pub fn help(program: &str) -> String {
    let verbs: String = VERBS.iter().map(|(verb, about)| format!("  {verb:<12} {about}\n")).collect();
    format!(
        "Usage: {program} [OPTIONS] COMMAND

Set up a rootless container engine for the user who runs this.

Options:
  -f, --force          Go on although a system-wide engine runs, or although there are no subordinate IDs
      --skip-iptables  Accepted for compatibility: no iptables are needed
      --json           check: print the findings as JSON
  -h, --help           Show this help

Commands:
{verbs}"
    )
}

pub const DOCTOR_HELP: &str = "Usage: lichen doctor [--json]

Check this host and the engine on it, with a fix for whatever is wrong.
";

pub fn parse(words: &[String]) -> Result<Arguments> {
    let (mut force, mut json, mut verb) = (false, false, None);
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            "-f" | "--force" => force = true,
            // dockerd needs iptables, which its tool looks for unless told not to.
            "--skip-iptables" => {}
            "--json" => json = true,
            "-h" | "--help" | "help" => return Ok(Arguments { verb: Verb::Help, force, json }),
            _ if word.starts_with('-') => return Err(Error::Usage(format!("unknown flag: {word}"))),
            _ if verb.is_some() => return Err(Error::Usage(format!("unexpected argument {word:?}"))),
            "check" => verb = Some(Verb::Check),
            "install" => verb = Some(Verb::Install),
            "uninstall" => verb = Some(Verb::Uninstall),
            // The rest is another program's.
            "nsenter" => {
                let verb = Verb::Nsenter(rest.cloned().collect());
                return Ok(Arguments { verb, force, json });
            }
            "probe" => {
                let verb = Verb::Probe(rest.cloned().collect());
                return Ok(Arguments { verb, force, json });
            }
            _ => return Err(Error::UnknownCommand(word.clone())),
        }
    }
    let verb = verb.ok_or(Error::NoCommand)?;
    if json && verb != Verb::Check {
        return Err(Error::Usage("--json belongs to check".to_owned()));
    }
    Ok(Arguments { verb, force, json })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Arguments> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn flags_stand_before_and_after_the_verb() {
        let install = Arguments { verb: Verb::Install, force: true, json: false };
        assert_eq!(parsed("--force install").unwrap(), install);
        assert_eq!(parsed("install --skip-iptables -f").unwrap(), install);
        assert_eq!(
            parsed("check --json").unwrap(),
            Arguments { verb: Verb::Check, force: false, json: true }
        );
        assert_eq!(parsed("--help").unwrap().verb, Verb::Help);
    }

    #[test]
    fn what_follows_nsenter_is_not_ours() {
        let words = ["rm", "-f", "check"].map(str::to_owned).to_vec();
        assert_eq!(parsed("nsenter rm -f check").unwrap().verb, Verb::Nsenter(words));
    }

    #[test]
    fn other_words_are_named() {
        assert!(parsed("instal").unwrap_err().to_string().starts_with("Unknown command: instal."));
        assert!(parsed("-f").unwrap_err().to_string().starts_with("No command was specified."));
        assert!(parsed("check --jason").unwrap_err().to_string().contains("unknown flag: --jason"));
        assert!(parsed("check install").unwrap_err().to_string().contains("\"install\""));
        assert!(parsed("install --json").unwrap_err().to_string().contains("--json"));
    }
}
