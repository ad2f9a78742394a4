//! Layer archives: a hostile-input extractor on directory descriptors, and the diff writer.
#![forbid(unsafe_code)]
