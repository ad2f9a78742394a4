//! The docker-compatible command line client.
//!
//! [`main`] finds the command in the tables of [`commands`], parses its words by the rules in [`args`], and runs it.
//! Commands speak to the engine through [`connect`] and show what they get through [`mod@format`] and [`template`].
#![forbid(unsafe_code)]

mod args;
mod cli;
mod commands;
mod complete;
pub mod config;
pub mod connect;
mod container;
mod context;
pub mod error;
mod format;
mod image;
mod inspect;
mod man;
mod network;
mod opts;
pub mod out;
mod part;
mod progress;
mod query;
mod registry;
mod system;
pub mod template;
mod tty;
mod volume;

pub use part::{Part, PartFlag};
pub use query::get_json;

use std::ffi::OsString;

/// Runs the client with a program's arguments, the first being its name, and returns the exit code.
///
/// `parts` are what the program can do besides; they are run elsewhere, and named in its help, completion and manual.
pub fn main(argv: impl IntoIterator<Item = OsString>, parts: &[Part]) -> i32 {
    let words: Vec<String> = argv.into_iter().map(|word| word.to_string_lossy().into_owned()).collect();
    commands::dispatch(&words, parts)
}
