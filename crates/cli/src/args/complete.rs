//! Shell completion scripts, made by clap_complete from the same tables as the parser.

use clap::{Arg, ArgAction, Command as Clap};

use super::{Action, Command, Entry, Flag, Kind};

/// The completion script of one shell for a program of this name.
pub fn script(
    shell: clap_complete::Shell,
    globals: &'static [Flag],
    parts: &'static [&'static [Entry]],
    program: &'static str,
) -> Vec<u8> {
    let mut clap = Clap::new(program).disable_help_flag(true).disable_help_subcommand(true);
    clap = clap.args(globals.iter().map(argument));
    clap = clap.subcommands(parts.iter().flat_map(|part| part.iter()).map(subcommand));
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut clap, program, &mut out);
    out
}

fn convert(name: &'static str, command: &'static Command) -> Clap {
    let about = command.about.lines().next().unwrap_or_default();
    let mut clap = Clap::new(name).about(about).disable_help_flag(true).disable_help_subcommand(true);
    clap = clap.args(command.flags().filter(|flag| !flag.hidden).map(argument));
    match &command.action {
        Action::Run(_) => clap.arg(Arg::new("args").num_args(0..).value_hint(clap::ValueHint::AnyPath)),
        Action::Group(entries) => clap.subcommands(entries.iter().map(subcommand)),
    }
}

fn subcommand(entry: &'static Entry) -> Clap {
    convert(entry.names[0], entry.command)
        .visible_aliases(entry.names[1..].iter().copied())
        .hide(entry.hidden)
}

fn argument(flag: &'static Flag) -> Arg {
    let about = flag.usage.lines().next().unwrap_or_default();
    let action = match flag.kind {
        Kind::Bool => ArgAction::SetTrue,
        Kind::Single => ArgAction::Set,
        Kind::Many | Kind::Commas => ArgAction::Append,
    };
    let arg = Arg::new(flag.name).long(flag.name).help(about).action(action);
    match flag.short {
        Some(short) => arg.short(short),
        None => arg,
    }
}
