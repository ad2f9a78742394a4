//! `volume` commands.

pub mod create;
pub mod list;
pub mod prune;
pub mod rm;

use crate::args::{Action, Arity, Command, Entry};
use crate::inspect;

pub static GROUP: Command = Command {
    usage: "COMMAND",
    about: "Manage volumes",
    arity: Arity::None,
    interspersed: false,
    flags: &[],
    action: Action::Group(ENTRIES),
};

static ENTRIES: &[Entry] = &[
    Entry::new(&["create"], &create::COMMAND),
    Entry::new(&["inspect"], &inspect::VOLUME),
    Entry::new(&["ls", "list"], &list::COMMAND),
    Entry::new(&["prune"], &prune::COMMAND),
    Entry::new(&["rm", "remove"], &rm::COMMAND),
];
