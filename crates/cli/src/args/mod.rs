//! The command line grammar: commands and flags as tables, and a parser with the rules and texts of the library that
//! docker's own command line is built on (spf13/pflag), which scripts rely on.
//!
//! A [`Command`] is data; [`parse::parse`] turns words into [`Parsed`] (raw: flag names and their texts, each
//! checked by its grammar); commands resolve that into requests.

pub mod help;
pub mod parse;
mod values;

pub use parse::{Parsed, UsageError};

use std::future::Future;
use std::pin::Pin;

use crate::cli::Cli;
use crate::error::Error;

/// Checks one value; the error is the text after `invalid argument "…" for "…" flag: `.
pub type Check = fn(&str) -> Result<(), String>;

/// How a flag's values combine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Needs no value; `--flag=false` takes it back.
    Bool,
    /// The last value counts.
    Single,
    /// Every value counts.
    Many,
    /// Every value counts, and each may hold several separated by commas.
    Commas,
}

#[derive(Clone, Copy)]
pub struct Flag {
    pub name: &'static str,
    pub short: Option<char>,
    pub kind: Kind,
    /// The word that stands for the value in the help text.
    pub metavar: &'static str,
    /// The default as the help text shows it; empty hides it.
    pub default: &'static str,
    pub usage: &'static str,
    pub check: Check,
    pub hidden: bool,
}

fn anything(_: &str) -> Result<(), String> {
    Ok(())
}

impl Flag {
    const fn new(
        name: &'static str,
        kind: Kind,
        metavar: &'static str,
        check: Check,
        usage: &'static str,
    ) -> Self {
        Self { name, short: None, kind, metavar, default: "", usage, check, hidden: false }
    }

    pub const fn bool(name: &'static str, usage: &'static str) -> Self {
        Self::new(name, Kind::Bool, "", values::bool, usage)
    }

    pub const fn string(name: &'static str, usage: &'static str) -> Self {
        Self::new(name, Kind::Single, "string", anything, usage)
    }

    pub const fn int(name: &'static str, usage: &'static str) -> Self {
        Self::new(name, Kind::Single, "int", values::int, usage)
    }

    pub const fn uint(name: &'static str, usage: &'static str) -> Self {
        Self::new(name, Kind::Single, "uint", values::uint, usage)
    }

    pub const fn uint16(name: &'static str, usage: &'static str) -> Self {
        Self::new(name, Kind::Single, "uint16", values::uint16, usage)
    }

    pub const fn duration(name: &'static str, usage: &'static str) -> Self {
        Self::new(name, Kind::Single, "duration", values::duration, usage)
    }

    pub const fn bytes(name: &'static str, usage: &'static str) -> Self {
        Self::new(name, Kind::Single, "bytes", values::bytes, usage)
    }

    pub const fn list(name: &'static str, usage: &'static str) -> Self {
        Self::new(name, Kind::Many, "list", anything, usage)
    }

    pub const fn strings(name: &'static str, usage: &'static str) -> Self {
        Self::new(name, Kind::Commas, "strings", anything, usage)
    }

    pub const fn map(name: &'static str, usage: &'static str) -> Self {
        Self::new(name, Kind::Many, "map", anything, usage)
    }

    pub const fn filter(usage: &'static str) -> Self {
        Self::new("filter", Kind::Many, "filter", values::filter, usage)
    }

    pub const fn short(mut self, short: char) -> Self {
        self.short = Some(short);
        self
    }

    pub const fn default(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    pub const fn metavar(mut self, metavar: &'static str) -> Self {
        self.metavar = metavar;
        self
    }

    pub const fn check(mut self, check: Check) -> Self {
        self.check = check;
        self
    }

    /// Accepted for compatibility, not shown.
    pub const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// The flag as messages name it: `-n, --last`.
    pub fn display(&self) -> String {
        match self.short {
            Some(short) => format!("-{short}, --{}", self.name),
            None => format!("--{}", self.name),
        }
    }
}

/// How many arguments a command takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    None,
    Exactly(usize),
    AtLeast(usize),
    AtMost(usize),
    Between(usize, usize),
}

/// What a command does once its words are parsed; the number is the exit code.
pub type Run = for<'a> fn(&'a Cli, &'a Parsed) -> Pin<Box<dyn Future<Output = Result<i32, Error>> + 'a>>;

pub enum Action {
    Run(Run),
    Group(&'static [Entry]),
}

/// A command under the names by which its parent knows it, the first being the one shown.
pub struct Entry {
    pub names: &'static [&'static str],
    pub command: &'static Command,
    pub hidden: bool,
}

impl Entry {
    pub const fn new(names: &'static [&'static str], command: &'static Command) -> Self {
        Self { names, command, hidden: false }
    }
}

pub struct Command {
    /// What follows the command's name in its usage line.
    pub usage: &'static str,
    pub about: &'static str,
    pub arity: Arity,
    /// Whether options may follow arguments. Where a command line follows (run, exec, top) they may not.
    pub interspersed: bool,
    /// Tables of flags, shared between commands.
    pub flags: &'static [&'static [Flag]],
    pub action: Action,
}

impl Command {
    pub fn flags(&self) -> impl Iterator<Item = &'static Flag> {
        self.flags.iter().flat_map(|table| table.iter())
    }
}

/// The `--format` flag of the commands that print tables.
pub const FORMAT: Flag = Flag::string(
    "format",
    "How to print each item:\n'table':            a table with column headers (default)\n'table TEMPLATE':   a table of the columns that the Go template names\n'json':             one JSON object per line\n'TEMPLATE':         the Go template, filled in",
);

/// The `--format` flag of inspect and the like.
pub const FORMAT_ONE: Flag = Flag::string(
    "format",
    "How to print the result:\n'json':             as JSON on one line\n'TEMPLATE':         the Go template, filled in",
)
.short('f');
