//! The engine's records: typed collections of JSON documents in one SQLite file.
#![forbid(unsafe_code)]
