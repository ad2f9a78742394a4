//! Shell completion: `completion SHELL` prints a small script, which asks `__complete WORDS…` for candidates.
//!
//! The protocol is cobra's, on which docker's own completion is built: a line for each candidate, `VALUE TAB
//! DESCRIPTION`, and at the end `:` and a sum of directives. So docker's scripts work with this program, and these with
//! docker's. Everything is read off the tables that the parser uses: commands, flags, and the words of usage lines,
//! which say where a container's name belongs (`CONTAINER [CONTAINER...]`).

mod names;
#[cfg(test)]
mod tests;

use crate::Part;
use crate::args::{Action, Arity, Command, Entry, Flag, Kind, Parsed, parse};
use crate::cli::{Cli, print};
use crate::commands;
use crate::error::Error;
use names::Source;

/// No space after the word: more of it follows.
const NO_SPACE: u8 = 2;
/// The shell's own file names are of no use here.
const NO_FILES: u8 = 4;

pub static COMMAND: Command = Command {
    usage: "bash|zsh|fish",
    about: "Print a completion script for a shell",
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[],
    action: Action::Run(|cli, args| Box::pin(script(cli, args))),
};

async fn script(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let script = match args.args[0].as_str() {
        "bash" => include_str!("scripts/lichen.bash"),
        "zsh" => include_str!("scripts/lichen.zsh"),
        "fish" => include_str!("scripts/lichen.fish"),
        other => return Err(Error::invalid(format!("no completion for {other}: use bash, zsh or fish"))),
    };
    print(script.replace("PROGRAM", &cli.program)).map(|()| 0)
}

/// What a position on the command line takes.
#[derive(Clone, Copy)]
enum Wanted {
    /// Any command.
    Tree,
    /// A command of a group.
    Group(&'static [Entry]),
    /// A flag of these tables.
    Flags(&'static [&'static [Flag]]),
    /// A flag of a part of the program that is not the client's, or one of its words.
    Part(usize),
    Name(Source),
    /// One of these words, which the tables know.
    Word(&'static [&'static str]),
    /// Something that only the shell or the user knows.
    File,
    Nothing,
}

struct Position {
    wanted: Wanted,
    /// What there is of the word, without the `--flag=` before it.
    typed: String,
    /// The words before the command, for the connection.
    globals: Parsed,
}

/// Answers `__complete` (`describe`) and `__completeNoDesc`.
pub fn answer(program: &str, words: &[String], parts: &[Part], describe: bool) -> Result<i32, Error> {
    let position = find(words, parts);
    let (mut candidates, directive) = match position.wanted {
        Wanted::Name(source) => {
            let cli = Cli::new(program, commands::globals(&position.globals));
            let names = names::list(&cli, source)?;
            (names, if source.continues() { NO_SPACE } else { NO_FILES })
        }
        wanted => known(wanted, parts),
    };
    candidates.retain(|(value, _)| value.starts_with(&position.typed));
    candidates.sort();
    candidates.dedup();
    let mut out = String::new();
    for (value, about) in candidates {
        out.push_str(&value);
        if describe && !about.is_empty() {
            out.push('\t');
            out.push_str(about.lines().next().unwrap_or_default());
        }
        out.push('\n');
    }
    print(format!("{out}:{directive}\n")).map(|()| 0)
}

/// What the tables themselves hold.
fn known(wanted: Wanted, parts: &[Part]) -> (Vec<(String, String)>, u8) {
    let pair = |name: &str, about: &str| (name.to_owned(), about.to_owned());
    let command = |entry: &Entry| pair(entry.names[0], entry.command.about);
    let list = match wanted {
        Wanted::Tree => {
            let entries = commands::TREE.iter().flat_map(|table| table.iter());
            let parts = parts.iter().filter(|part| part.command).map(|part| pair(part.name, part.about));
            entries.filter(|entry| !entry.hidden).map(command).chain(parts).collect()
        }
        Wanted::Group(entries) => entries.iter().filter(|entry| !entry.hidden).map(command).collect(),
        Wanted::Flags(tables) => {
            let flags = tables.iter().flat_map(|table| table.iter()).filter(|flag| !flag.hidden);
            flags.map(|flag| pair(&format!("--{}", flag.name), flag.usage)).collect()
        }
        Wanted::Part(at) => {
            let flags = parts[at].flags.iter().map(|flag| pair(&format!("--{}", flag.name), &flag.about));
            flags.chain(parts[at].words.iter().map(|(word, about)| pair(word, about))).collect()
        }
        Wanted::Word(words) => words.iter().map(|word| pair(word, "")).collect(),
        Wanted::File => return (Vec::new(), 0),
        Wanted::Name(_) | Wanted::Nothing => Vec::new(),
    };
    (list, NO_FILES)
}

/// Follows the words as the parser would, as far as they go.
fn find(words: &[String], parts: &[Part]) -> Position {
    let (typed, before) =
        words.split_last().map_or((String::new(), &[][..]), |(last, rest)| (last.clone(), rest));
    let mut walk = Walk { rest: before, typed };
    let root = walk.flags(commands::ROOT.flags);
    let globals = parse::lenient(&commands::ROOT, &before[..before.len() - walk.rest.len()]);
    let wanted = root.unwrap_or_else(|| match walk.rest.split_first() {
        None => walk.or_flags(Wanted::Tree, commands::ROOT.flags),
        Some((name, rest)) => {
            walk.rest = rest;
            match parts.iter().position(|part| part.command && part.name == name) {
                Some(at) => Wanted::Part(at),
                None => commands::find(name).map_or(Wanted::Nothing, |entry| walk.command(entry)),
            }
        }
    });
    Position { wanted, typed: walk.typed, globals }
}

struct Walk<'a> {
    /// The words that were not looked at yet, without the one to complete.
    rest: &'a [String],
    typed: String,
}

impl Walk<'_> {
    /// Skips flags with their values. The answer is what the last word is, when that is a flag's value.
    fn flags(&mut self, tables: &'static [&'static [Flag]]) -> Option<Wanted> {
        while let Some((word, rest)) = self.rest.split_first() {
            if !word.starts_with('-') || word == "-" || word == "--" {
                break;
            }
            self.rest = rest;
            let Some(flag) = waiting(tables, word) else { continue };
            let Some((_, rest)) = self.rest.split_first() else { return Some(value(flag)) };
            self.rest = rest;
        }
        None
    }

    /// The last word, where a flag or something else may stand.
    fn or_flags(&mut self, other: Wanted, tables: &'static [&'static [Flag]]) -> Wanted {
        if !self.typed.starts_with('-') {
            return other;
        }
        match self.typed.clone().split_once('=') {
            Some((name, typed)) => {
                typed.clone_into(&mut self.typed);
                all(tables).find(|flag| name == format!("--{}", flag.name)).map_or(Wanted::Nothing, value)
            }
            None => Wanted::Flags(tables),
        }
    }

    fn command(&mut self, mut entry: &'static Entry) -> Wanted {
        while let Action::Group(entries) = &entry.command.action {
            let Some((name, rest)) = self.rest.split_first() else { return Wanted::Group(entries) };
            self.rest = rest;
            match entries.iter().find(|inner| inner.names.contains(&name.as_str())) {
                Some(inner) => entry = inner,
                None => return Wanted::Nothing,
            }
        }
        self.arguments(entry)
    }

    fn arguments(&mut self, entry: &'static Entry) -> Wanted {
        let (command, mut given, mut closed) = (entry.command, 0, false);
        loop {
            if !closed && let Some(wanted) = self.flags(command.flags) {
                return wanted;
            }
            let Some((word, rest)) = self.rest.split_first() else { break };
            self.rest = rest;
            if word == "--" && !closed {
                closed = true;
                continue;
            }
            given += 1;
            // From here on it is another program's command line.
            closed |= !command.interspersed;
        }
        let argument = argument(entry, given);
        if closed { argument } else { self.or_flags(argument, command.flags) }
    }
}

fn all(tables: &'static [&'static [Flag]]) -> impl Iterator<Item = &'static Flag> {
    tables.iter().flat_map(|table| table.iter())
}

/// The flag of a word whose value is the next word.
fn waiting(tables: &'static [&'static [Flag]], word: &str) -> Option<&'static Flag> {
    if let Some(long) = word.strip_prefix("--") {
        return all(tables).find(|flag| flag.name == long && flag.kind != Kind::Bool);
    }
    let mut letters = word[1..].chars();
    while let Some(letter) = letters.next() {
        let flag = all(tables).find(|flag| flag.short == Some(letter))?;
        if flag.kind != Kind::Bool {
            return letters.as_str().is_empty().then_some(flag);
        }
    }
    None
}

/// What a flag's value is, by the flag's name: the same name means the same everywhere.
fn value(flag: &'static Flag) -> Wanted {
    match flag.name {
        "network" | "net" => Wanted::Name(Source::Networks),
        "volumes-from" | "link" => Wanted::Name(Source::Containers(&[])),
        "context" | "from" => Wanted::Name(Source::Contexts),
        "pull" => Wanted::Word(&["always", "missing", "never"]),
        "restart" => Wanted::Word(&["always", "no", "on-failure", "unless-stopped"]),
        "signal" | "stop-signal" => {
            Wanted::Word(&["SIGHUP", "SIGINT", "SIGKILL", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2"])
        }
        "log-level" => Wanted::Word(&["debug", "error", "fatal", "info", "warn"]),
        "log-driver" => Wanted::Word(&["journald", "json-file", "local", "none", "syslog"]),
        "format" => Wanted::Word(&["json", "table"]),
        "type" => Wanted::Word(&["container", "image", "network", "volume"]),
        "config" | "env-file" | "label-file" | "cidfile" | "input" | "output" | "volume" | "tlscacert"
        | "tlscert" | "tlskey" | "device" => Wanted::File,
        _ => Wanted::Nothing,
    }
}

/// What the argument after `given` others is, by the words of the usage line; its last word may be repeated.
fn argument(entry: &Entry, given: usize) -> Wanted {
    let words = entry.command.usage.split_whitespace().filter(|word| *word != "[OPTIONS]");
    let words: Vec<&str> = words.take_while(|word| *word != "|").collect();
    let word = match words.get(given) {
        Some(word) => word,
        None if words.last().is_some_and(|last| last.contains("...")) => words[words.len() - 1],
        None => return Wanted::Nothing,
    };
    let kind = word.trim_start_matches('[').split(['[', ']', '.']).next().unwrap_or_default();
    let name = entry.names[0];
    match kind {
        "CONTAINER" => Wanted::Name(Source::Containers(states(name))),
        "CONTAINER:SRC_PATH" => Wanted::Name(Source::Paths),
        "IMAGE" | "SOURCE_IMAGE" | "TARGET_IMAGE" | "REPOSITORY" => Wanted::Name(Source::Images),
        "NAME" if matches!(name, "push" | "pull") => Wanted::Name(Source::Images),
        "NAME|ID" => Wanted::Name(Source::Anything),
        // What is to be created has no name yet.
        "NETWORK" | "VOLUME" | "CONTEXT" if matches!(name, "create" | "import") => Wanted::Nothing,
        "NETWORK" => Wanted::Name(Source::Networks),
        "VOLUME" => Wanted::Name(Source::Volumes),
        "CONTEXT" => Wanted::Name(Source::Contexts),
        "bash|zsh|fish" => Wanted::Word(&["bash", "fish", "zsh"]),
        "DEST_PATH|-" => Wanted::Name(Source::Paths),
        _ if kind.contains("FILE") || kind.contains("file") || matches!(kind, "COMMAND" | "ARG" | "DIR") => {
            Wanted::File
        }
        _ => Wanted::Nothing,
    }
}

/// The states of containers that a command can do anything with; none means all.
fn states(command: &str) -> &'static [&'static str] {
    match command {
        "attach" | "exec" | "kill" | "pause" | "port" | "stats" | "stop" | "top" => &["running"],
        "start" => &["created", "exited"],
        "unpause" => &["paused"],
        _ => &[],
    }
}
