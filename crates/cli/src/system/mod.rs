//! `system` commands, `info`, `version` and `events`.

pub mod check;
pub mod df;
pub mod dial_stdio;
pub mod events;
pub mod info;
pub mod prune;
pub mod version;

use crate::args::{Action, Arity, Command, Entry};

pub static GROUP: Command = Command {
    usage: "COMMAND",
    about: "Manage the engine",
    arity: Arity::None,
    interspersed: false,
    flags: &[],
    action: Action::Group(ENTRIES),
};

static ENTRIES: &[Entry] = &[
    Entry::new(&["check"], &check::COMMAND),
    Entry::new(&["df"], &df::COMMAND),
    Entry { names: &["dial-stdio"], command: &dial_stdio::COMMAND, hidden: true },
    Entry::new(&["events"], &events::COMMAND),
    Entry::new(&["info"], &info::COMMAND),
    Entry::new(&["prune"], &prune::COMMAND),
];
