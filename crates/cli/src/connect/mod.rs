//! Finding the engine and speaking to it.

pub mod client;
pub mod dial;
pub mod endpoint;
pub mod host;
pub mod stream;
mod tls;

pub use client::{Client, Query, Request};
