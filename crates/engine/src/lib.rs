//! The engine: one file per verb, the container state machine, events, restart policy, health.
#![forbid(unsafe_code)]
