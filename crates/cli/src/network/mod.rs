//! `network` commands.

pub mod connect;
pub mod create;
pub mod list;
pub mod prune;
pub mod rm;

use crate::args::{Action, Arity, Command, Entry};
use crate::inspect;

pub static GROUP: Command = Command {
    usage: "COMMAND",
    about: "Manage networks",
    arity: Arity::None,
    interspersed: false,
    flags: &[],
    action: Action::Group(ENTRIES),
};

static ENTRIES: &[Entry] = &[
    Entry::new(&["connect"], &connect::CONNECT),
    Entry::new(&["create"], &create::COMMAND),
    Entry::new(&["disconnect"], &connect::DISCONNECT),
    Entry::new(&["inspect"], &inspect::NETWORK),
    Entry::new(&["ls", "list"], &list::COMMAND),
    Entry::new(&["prune"], &prune::COMMAND),
    Entry::new(&["rm", "remove"], &rm::COMMAND),
];

/// The path of a request about one network.
pub fn path(name: &str, rest: &str) -> String {
    format!("/networks/{}{rest}", crate::connect::client::segment(name))
}
