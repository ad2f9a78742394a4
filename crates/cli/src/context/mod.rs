//! `context` commands, on docker's own store.

pub mod archive;
pub mod create;
pub mod list;
pub mod rm;
pub mod show;

use crate::args::{Action, Arity, Command, Entry};

pub static GROUP: Command = Command {
    usage: "COMMAND",
    about: "Manage contexts",
    arity: Arity::None,
    interspersed: false,
    flags: &[],
    action: Action::Group(ENTRIES),
};

static ENTRIES: &[Entry] = &[
    Entry::new(&["create"], &create::CREATE),
    Entry::new(&["export"], &archive::EXPORT),
    Entry::new(&["import"], &archive::IMPORT),
    Entry::new(&["inspect"], &show::INSPECT),
    Entry::new(&["ls", "list"], &list::COMMAND),
    Entry::new(&["rm", "remove"], &rm::COMMAND),
    Entry::new(&["show"], &show::SHOW),
    Entry::new(&["update"], &create::UPDATE),
    Entry::new(&["use"], &show::USE),
];
