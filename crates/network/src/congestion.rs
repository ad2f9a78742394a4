//! Congestion control where there is no congestion.
//!
//! When the forwarder leads out, every TCP connection of a container ends in the router namespace: it crosses a veth pair
//! and a bridge, which lose nothing. What the host has chosen for the world may be wrong there. BBR paces each flow by a
//! high-resolution timer (net/ipv4/tcp_output.c, tcp_pacing_check), and on such a link the timer costs more than what it
//! holds back: without it the forwarder spends half the processor time on what a container receives.
//! The forwarder's sockets towards the world stay with the host's choice, and so does a container with `--sysctl` of its
//! own, which is applied later.

use crate::{error::Result, netns};

const KEY: &str = "ipv4/tcp_congestion_control";
/// Those that go by losses alone.
const BY_LOSS: [&str; 2] = ["cubic", "reno"];

/// Has the calling thread's namespace send without pacing. A new one takes over what the host's has (tcp_sk_init).
pub(crate) fn by_loss() -> Result<()> {
    let inherited = netns::get(KEY)?;
    if BY_LOSS.contains(&inherited.trim()) {
        return Ok(());
    }
    // Built into every kernel, and open to every namespace (net/ipv4/tcp_cong.c, tcp_set_default_congestion_control).
    netns::set(KEY, "reno")
}
