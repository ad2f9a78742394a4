//! The Docker Engine API over HTTP: routes, version quirks, streaming, wire to engine and back.
#![forbid(unsafe_code)]
