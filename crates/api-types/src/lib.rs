//! Docker Engine API wire structures, with Go's zero-value rules.
#![forbid(unsafe_code)]
