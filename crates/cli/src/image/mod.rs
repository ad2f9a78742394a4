//! `image` commands and their short names.

pub mod archive;
pub mod history;
pub mod import;
pub mod list;
pub mod prune;
pub mod pull;
pub mod push;
pub mod reference;
pub mod rm;
pub mod tag;
mod tree;

use crate::args::{Action, Arity, Command, Entry};
use crate::inspect;

pub static GROUP: Command = Command {
    usage: "COMMAND",
    about: "Manage images",
    arity: Arity::None,
    interspersed: false,
    flags: &[],
    action: Action::Group(ENTRIES),
};

static ENTRIES: &[Entry] = &[
    Entry::new(&["history"], &history::COMMAND),
    Entry::new(&["import"], &import::COMMAND),
    Entry::new(&["inspect"], &inspect::IMAGE),
    Entry::new(&["load"], &archive::LOAD),
    Entry::new(&["ls", "list"], &list::COMMAND),
    Entry::new(&["prune"], &prune::COMMAND),
    Entry::new(&["pull"], &pull::COMMAND),
    Entry::new(&["push"], &push::COMMAND),
    Entry::new(&["rm", "remove"], &rm::COMMAND),
    Entry::new(&["save"], &archive::SAVE),
    Entry::new(&["tag"], &tag::COMMAND),
];
