//! Commands about registries: login, logout, search.

pub mod login;
pub mod search;
