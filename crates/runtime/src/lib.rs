//! OCI runtime core: from a specification to a process.
#![forbid(unsafe_code)]
