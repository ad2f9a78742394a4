//! Wire structures of the Docker Engine API, versions 1.40 to 1.51, with the rules of Go's `encoding/json`.
//!
//! The server that clients know is written in Go, and its JSON follows Go's rules. What that means here:
//!
//! * **Reading** ([`go::from_slice`], [`go::from_value`]): an absent field and `null` are the type's zero value, unknown
//!   fields are skipped, and field names match without regard to case.
//! * **Writing**: a field is always written, with its zero value if need be, unless Go's tag says `omitempty`. An empty
//!   list or map that Go leaves nil is written as `null` ([`mod@go::list`], [`mod@go::map`]); a few are always `[]` or `{}`.
//!   What was written so is also read back by serde's own rules, because the engine stores some of these structures.
//! * A Go pointer is an `Option` (`null`, or absent with `omitempty`).
//!
//! Structures are grouped by resource. They carry no behaviour beyond their zero values and no validation: the engine
//! derives validated plans from them.
#![forbid(unsafe_code)]

pub mod container;
pub mod error;
pub mod events;
pub mod exec;
pub mod filters;
pub mod go;
pub mod host_config;
pub mod image;
pub mod inspect;
pub mod mount;
pub mod network;
pub mod progress;
pub mod registry;
pub mod stats;
pub mod system;
pub mod volume;

pub use container::*;
pub use error::ErrorResponse;
pub use events::{Actor, EventMessage};
pub use exec::*;
pub use filters::Filters;
pub use go::{Empty, Map, Set};
pub use host_config::*;
pub use image::*;
pub use inspect::*;
pub use mount::*;
pub use network::*;
pub use progress::*;
pub use registry::*;
pub use stats::*;
pub use system::*;
pub use volume::*;
