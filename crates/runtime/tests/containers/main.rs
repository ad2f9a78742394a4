//! Containers as an unprivileged user sees them, made by crate `runtime` without an engine.

mod cgroups;
mod console;
mod errors;
mod escapes;
mod exec;
mod external;
mod mounts;
mod namespaces;
mod process;
mod seccomp;
mod support;
