//! Networks: bridges, address management, container sandboxes, outer drivers, port plans.
#![forbid(unsafe_code)]

mod adopt;
mod books;
mod bypass;
pub mod config;
mod configuration;
mod congestion;
mod connect;
mod create;
mod daemon;
mod endpoint;
pub mod error;
pub mod flows;
mod forwarder;
mod halt;
mod ipam;
mod lan;
mod lead;
mod listeners;
pub mod mac;
pub mod names;
mod naming;
mod netlink;
mod netns;
pub mod networks;
pub mod options;
mod outward;
mod plumbing;
pub mod pools;
mod port_driver;
mod ports;
mod predefined;
mod reaper;
pub mod record;
pub mod request;
mod router;
mod start;
mod stock;
mod stop;
mod undo;
mod validate;

pub use config::{
    AddressPool, Config, DefaultBridge, DefaultBridgeV6, Launcher, OutwardChoice, OutwardConfig, Program,
    Toggle,
};
pub use configuration::Refusal as ConfigurationRefusal;
pub use error::{Error, OutwardError, PortError, Result};
pub use mac::MacAddr;
pub use netd::proto::{self, Protocol};
pub use networks::{Attached, Created, Networks, OutwardStatus};
pub use port_driver::PortDriver;
pub use record::{Driver, Endpoint, Network, Pool, PublishedPort, SandboxRecord};
pub use request::{EndpointRequest, HostPorts, NewNetwork, NewPool, PortRequest, Sandbox, SandboxRequest};

#[cfg(test)]
mod tests;
