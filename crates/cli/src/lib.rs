//! The docker-compatible command line client.
#![forbid(unsafe_code)]
