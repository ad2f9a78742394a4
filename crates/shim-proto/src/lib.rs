//! Messages between the engine, the holder and the shims, and how they travel.
#![forbid(unsafe_code)]
