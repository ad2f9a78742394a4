//! Docker's defaults rendered to an OCI runtime specification: capabilities, seccomp, masks, devices, users.
#![forbid(unsafe_code)]
