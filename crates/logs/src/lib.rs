//! Container log formats: json-file and local, written by shims, read by the engine.
#![forbid(unsafe_code)]
