//! Docker's defaults rendered to an OCI runtime specification.
//!
//! The engine decides *what* a container may do and writes it down as a [`ContainerPlan`]; [`fn@render`] turns the plan
//! into the [`oci_spec::runtime::Spec`] that the runtime carries out. Everything that is a fact about Docker's
//! defaults lives in one of the tables here: [`caps`], [`seccomp`], [`paths`], [`devices`].
#![forbid(unsafe_code)]

pub mod caps;
pub mod devices;
mod error;
mod mounts;
pub mod paths;
mod plan;
mod render;
pub mod seccomp;
pub mod user;

pub use error::Error;
pub use oci_spec::runtime as oci;
pub use plan::{BindPropagation, ContainerPlan, Ipc, Namespace, Namespaces, PlannedMount, Rlimit};
pub use render::render;
