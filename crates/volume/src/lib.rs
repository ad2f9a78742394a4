//! Named and anonymous local volumes.
#![forbid(unsafe_code)]
