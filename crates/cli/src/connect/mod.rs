//! Finding the engine and speaking to it.

pub mod client;
pub mod dial;
pub mod endpoint;
pub mod host;
mod ssh;
pub mod stream;
pub mod tls;

pub use client::{Client, Query, Request};
