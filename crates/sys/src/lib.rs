//! The only crate with unsafe code: one small wrapper per system call that rustix and nix lack.

