//! The forwarder process: published ports today, all of user-mode networking tomorrow.
#![forbid(unsafe_code)]

pub mod client;
pub mod proto;
