//! Words to [`Parsed`], by pflag's rules: `--flag value`, `--flag=value`, `-abc`, `-fvalue`, `-f=value`, `--`.

use super::{Arity, Command, Flag, Kind, values};
use crate::template::go_quote;

/// A command's words, each value checked. Names of flags are those of the command's table.
#[derive(Default)]
pub struct Parsed {
    /// The command as typed: `docker container ls`.
    pub path: String,
    /// What is not a flag.
    pub args: Vec<String>,
    values: Vec<(&'static str, String)>,
    pub help: bool,
    /// The table, to tell an unset flag from an unknown one.
    known: Vec<&'static Flag>,
}

/// What is wrong with the words of a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("unknown flag: --{0}")]
    UnknownFlag(String),
    #[error("unknown shorthand flag: '{0}' in -{1}")]
    UnknownShort(char, String),
    #[error("bad flag syntax: {0}")]
    Syntax(String),
    #[error("flag needs an argument: --{0}")]
    NeedsValue(String),
    #[error("flag needs an argument: '{0}' in -{1}")]
    ShortNeedsValue(char, String),
    #[error("invalid argument {} for {} flag: {message}", go_quote(value), go_quote(flag))]
    Invalid { value: String, flag: String, message: String },
    #[error("{message}")]
    Arity { message: String, least: bool },
}

pub fn parse(command: &'static Command, path: &str, words: &[String]) -> Result<Parsed, UsageError> {
    let mut parsed = Parsed { path: path.to_owned(), known: command.flags().collect(), ..Parsed::default() };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut next = || words.next().cloned();
        if word == "--" {
            parsed.args.extend(words.by_ref().cloned());
        } else if let Some(long) = word.strip_prefix("--") {
            parsed.long(long, word, &mut next)?;
        } else if let Some(short) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            parsed.short(short, &mut next)?;
        } else {
            parsed.args.push(word.clone());
            if !command.interspersed {
                parsed.args.extend(words.by_ref().cloned());
            }
        }
        if parsed.help {
            return Ok(parsed);
        }
    }
    check_arity(command.arity, parsed.args.len(), path)?;
    Ok(parsed)
}

/// For words that may not be finished: what cannot be understood is as if it were not there.
pub fn lenient(command: &'static Command, words: &[String]) -> Parsed {
    parse(command, "", words)
        .unwrap_or_else(|_| Parsed { known: command.flags().collect(), ..Parsed::default() })
}

fn check_arity(arity: Arity, given: usize, path: &str) -> Result<(), UsageError> {
    let plural = |n: usize| if n == 1 { "argument" } else { "arguments" };
    let (fits, what) = match arity {
        Arity::None => (given == 0, "accepts no arguments".to_owned()),
        Arity::Exactly(n) => (given == n, format!("requires {n} {}", plural(n))),
        Arity::AtLeast(n) => (given >= n, format!("requires at least {n} {}", plural(n))),
        Arity::AtMost(n) => (given <= n, format!("requires at most {n} {}", plural(n))),
        Arity::Between(low, high) => (
            (low..=high).contains(&given),
            format!("requires at least {low} and at most {high} {}", plural(high)),
        ),
    };
    match fits {
        true => Ok(()),
        false => Err(UsageError::Arity {
            message: format!("'{path}' {what}"),
            least: matches!(arity, Arity::AtLeast(_)),
        }),
    }
}

impl Parsed {
    fn long(
        &mut self,
        body: &str,
        word: &str,
        next: &mut dyn FnMut() -> Option<String>,
    ) -> Result<(), UsageError> {
        let (name, value) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (body, None),
        };
        if name.is_empty() || name.starts_with('-') {
            return Err(UsageError::Syntax(word.to_owned()));
        }
        let Some(flag) = self.known.iter().copied().find(|flag| flag.name == name) else {
            if name == "help" {
                self.help = true;
                return Ok(());
            }
            return Err(UsageError::UnknownFlag(name.to_owned()));
        };
        let value = match (value, flag.kind) {
            (Some(value), _) => value,
            (None, Kind::Bool) => "true".to_owned(),
            (None, _) => next().ok_or_else(|| UsageError::NeedsValue(name.to_owned()))?,
        };
        self.set(flag, value)
    }

    fn short(&mut self, letters: &str, next: &mut dyn FnMut() -> Option<String>) -> Result<(), UsageError> {
        for (at, letter) in letters.char_indices() {
            let rest = &letters[at + letter.len_utf8()..];
            let Some(flag) = self.known.iter().copied().find(|flag| flag.short == Some(letter)) else {
                // pflag answers an undefined -h with the help text.
                if letter == 'h' {
                    self.help = true;
                    return Ok(());
                }
                return Err(UsageError::UnknownShort(letter, letters[at..].to_owned()));
            };
            if let Some(value) = rest.strip_prefix('=').filter(|value| !value.is_empty()) {
                return self.set(flag, value.to_owned());
            }
            if flag.kind == Kind::Bool {
                self.set(flag, "true".to_owned())?;
                continue;
            }
            let value = match rest {
                "" => next().ok_or_else(|| UsageError::ShortNeedsValue(letter, letters[at..].to_owned()))?,
                rest => rest.to_owned(),
            };
            return self.set(flag, value);
        }
        Ok(())
    }

    fn set(&mut self, flag: &'static Flag, value: String) -> Result<(), UsageError> {
        if flag.kind == Kind::Commas {
            let parts = crate::opts::csv::fields(&value).map_err(|message| UsageError::Invalid {
                value: value.clone(),
                flag: flag.display(),
                message,
            })?;
            self.values.extend(parts.into_iter().map(|part| (flag.name, part)));
            return Ok(());
        }
        if let Err(message) = (flag.check)(&value) {
            return Err(UsageError::Invalid { value, flag: flag.display(), message });
        }
        // A flag of the table where -h means something else (`run`): it asks for the text all the same.
        self.help |= flag.name == "help" && values::parse_bool(&value) == Some(true);
        self.values.push((flag.name, value));
        Ok(())
    }

    /// Every value given, in order.
    pub fn all(&self, name: &str) -> Vec<String> {
        debug_assert!(self.known.iter().any(|flag| flag.name == name), "no flag {name}");
        self.values.iter().filter(|(known, _)| *known == name).map(|(_, value)| value.clone()).collect()
    }

    /// The last value given.
    pub fn get(&self, name: &str) -> Option<&str> {
        debug_assert!(self.known.iter().any(|flag| flag.name == name), "no flag {name}");
        self.values.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Whether the flag was given at all.
    pub fn given(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The last value given, or nothing.
    pub fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    /// The last value given, unless it is empty.
    pub fn non_empty(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    pub fn bool(&self, name: &str) -> bool {
        self.get(name).and_then(values::parse_bool).unwrap_or(false)
    }

    /// As [`Parsed::bool`], for flags that are on unless switched off.
    pub fn bool_or_true(&self, name: &str) -> bool {
        self.get(name).and_then(values::parse_bool).unwrap_or(true)
    }

    /// A number of a flag whose grammar is a number's.
    pub fn int(&self, name: &str) -> Option<i64> {
        self.get(name).and_then(values::parse_number).and_then(|value| i64::try_from(value).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Action;
    use super::*;

    fn stop_here<'a>(
        _: &'a crate::cli::Cli,
        _: &'a Parsed,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<i32, crate::error::Error>> + 'a>> {
        Box::pin(async { Ok(0) })
    }

    static FLAGS: &[Flag] = &[
        Flag::bool("interactive", "").short('i'),
        Flag::bool("tty", "").short('t'),
        Flag::list("env", "").short('e'),
        Flag::string("name", ""),
        Flag::int("last", "").short('n'),
        Flag::strings("tag", ""),
        Flag::bytes("memory", "").short('m'),
    ];
    static RUN: Command = Command {
        usage: "",
        about: "",
        arity: Arity::AtLeast(1),
        interspersed: false,
        flags: &[FLAGS],
        action: Action::Run(stop_here),
    };
    static PS: Command = Command {
        usage: "",
        about: "",
        arity: Arity::AtMost(2),
        interspersed: true,
        flags: &[FLAGS],
        action: Action::Run(stop_here),
    };

    fn words(text: &str) -> Vec<String> {
        text.split(' ').filter(|w| !w.is_empty()).map(str::to_owned).collect()
    }

    #[track_caller]
    fn fails(text: &str, expect: &str) {
        let error = parse(&RUN, "docker run", &words(text)).err().map(|e| e.to_string());
        assert_eq!(error.as_deref(), Some(expect), "{text}");
    }

    #[test]
    fn values_and_clusters() {
        let p =
            parse(&RUN, "docker run", &words("-it -eA=1 -e B=2 --name=x --name y -m=1g --tag a,b img -i"))
                .unwrap();
        assert!(p.bool("interactive") && p.bool("tty"));
        assert_eq!(p.all("env"), ["A=1", "B=2"]);
        assert_eq!(p.get("name"), Some("y"));
        assert_eq!(p.all("tag"), ["a", "b"]);
        assert_eq!(p.args, ["img", "-i"]);
    }

    #[test]
    fn options_may_follow_arguments_unless_a_command_line_follows() {
        let p = parse(&PS, "docker ps", &words("a -i b")).unwrap();
        assert!(p.bool("interactive"));
        assert_eq!(p.args, ["a", "b"]);
        let p = parse(&PS, "docker ps", &words("-- -i")).unwrap();
        assert_eq!(p.args, ["-i"]);
        let p = parse(&RUN, "docker run", &words("- -i")).unwrap();
        assert_eq!(p.args, ["-", "-i"]);
    }

    #[test]
    fn booleans_can_be_taken_back() {
        assert!(!parse(&RUN, "", &words("--tty --tty=false x")).unwrap().bool("tty"));
        fails(
            "--tty=maybe x",
            "invalid argument \"maybe\" for \"-t, --tty\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax",
        );
    }

    #[test]
    fn help_is_asked_for_before_the_arguments_are_counted() {
        static OWN: Command = Command {
            usage: "",
            about: "",
            arity: Arity::AtLeast(1),
            interspersed: false,
            flags: &[&[Flag::bool("help", "")]],
            action: Action::Run(stop_here),
        };
        for (command, text) in [(&RUN, "--help"), (&RUN, "-h"), (&OWN, "--help"), (&OWN, "--help img")] {
            assert!(parse(command, "docker run", &words(text)).unwrap().help, "{text}");
        }
        assert!(!parse(&OWN, "docker run", &words("img --help")).unwrap().help);
        assert!(!parse(&OWN, "docker run", &words("--help=false img")).unwrap().help);
    }

    #[test]
    fn complaints() {
        fails("--nope", "unknown flag: --nope");
        fails("-ix", "unknown shorthand flag: 'x' in -x");
        fails("--name", "flag needs an argument: --name");
        fails("-ie", "flag needs an argument: 'e' in -e");
        fails("--=x", "bad flag syntax: --=x");
        fails(
            "-n x y",
            "invalid argument \"x\" for \"-n, --last\" flag: strconv.ParseInt: parsing \"x\": invalid syntax",
        );
        fails("-m zz y", "invalid argument \"zz\" for \"-m, --memory\" flag: invalid size: 'zz'");
        fails("", "'docker run' requires at least 1 argument");
    }
}
