//! Networks: bridges, address management, container sandboxes, outer drivers, port plans.
#![forbid(unsafe_code)]
