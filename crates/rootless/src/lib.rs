//! User namespace entry: subordinate IDs, ID maps, copy-up, the namespace holder.
#![forbid(unsafe_code)]
