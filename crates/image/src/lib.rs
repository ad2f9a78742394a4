//! Images: references, manifests, content, load and save, the registry transport.
#![forbid(unsafe_code)]
