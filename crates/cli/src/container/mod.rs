//! `container` commands and their short names.

pub mod attach;
pub mod commit;
pub mod cp;
pub mod create;
pub mod diff;
pub mod exec;
pub mod export;
mod flags;
pub mod kill;
pub mod list;
pub mod logs;
pub mod pause;
pub mod port;
pub mod prune;
pub mod rename;
pub mod request;
pub mod rm;
pub mod run;
pub mod session;
pub mod start;
pub mod stats;
pub mod stop;
pub mod top;
pub mod update;
pub mod wait;

use crate::args::{Action, Arity, Command, Entry};
use crate::inspect;

pub static GROUP: Command = Command {
    usage: "COMMAND",
    about: "Manage containers",
    arity: Arity::None,
    interspersed: false,
    flags: &[],
    action: Action::Group(ENTRIES),
};

static ENTRIES: &[Entry] = &[
    Entry::new(&["attach"], &attach::COMMAND),
    Entry::new(&["commit"], &commit::COMMAND),
    Entry::new(&["cp"], &cp::COMMAND),
    Entry::new(&["create"], &create::COMMAND),
    Entry::new(&["diff"], &diff::COMMAND),
    Entry::new(&["exec"], &exec::COMMAND),
    Entry::new(&["export"], &export::COMMAND),
    Entry::new(&["inspect"], &inspect::CONTAINER),
    Entry::new(&["kill"], &kill::COMMAND),
    Entry::new(&["logs"], &logs::COMMAND),
    Entry::new(&["ls", "list", "ps"], &list::COMMAND),
    Entry::new(&["pause"], &pause::PAUSE),
    Entry::new(&["port"], &port::COMMAND),
    Entry::new(&["prune"], &prune::COMMAND),
    Entry::new(&["rename"], &rename::COMMAND),
    Entry::new(&["restart"], &stop::RESTART),
    Entry::new(&["rm", "remove"], &rm::COMMAND),
    Entry::new(&["run"], &run::COMMAND),
    Entry::new(&["start"], &start::COMMAND),
    Entry::new(&["stats"], &stats::COMMAND),
    Entry::new(&["stop"], &stop::STOP),
    Entry::new(&["top"], &top::COMMAND),
    Entry::new(&["unpause"], &pause::UNPAUSE),
    Entry::new(&["update"], &update::COMMAND),
    Entry::new(&["wait"], &wait::COMMAND),
];

/// The path of a request about one container.
pub fn path(name: &str, rest: &str) -> String {
    format!("/containers/{}{rest}", crate::connect::client::segment(name))
}

/// Writes bytes to standard error.
pub fn write_stderr(data: &[u8]) -> Result<(), crate::error::Error> {
    session::write(2, data)
}
