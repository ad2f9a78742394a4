//! Why a container cannot join or leave a network. The texts are moby's (`runconfig/errors.go`).

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ModeConflict {
    #[error(
        "container sharing network namespace with another container or host cannot be connected to any other network"
    )]
    Shared,
    #[error("cannot connect container to host network - container must be created in host network mode")]
    ConnectToHost,
    #[error("cannot disconnect container from host network - container was created in host network mode")]
    DisconnectFromHost,
    #[error(
        "container cannot be connected to multiple networks with one of the networks in private (none) mode"
    )]
    WithNone,
}

/// Whether a container of this network mode may join `network`.
pub(super) fn may_connect(mode: &str, network: &str) -> Result<(), ModeConflict> {
    match (mode, network) {
        ("host", _) => Err(ModeConflict::Shared),
        (_, "host") => Err(ModeConflict::ConnectToHost),
        (mode, _) if mode.starts_with("container:") => Err(ModeConflict::Shared),
        ("none", _) | (_, "none") => Err(ModeConflict::WithNone),
        _ => Ok(()),
    }
}

/// Whether a container of this network mode may leave `network`.
pub(super) fn may_disconnect(mode: &str, network: &str) -> Result<(), ModeConflict> {
    if mode == "host" && network == "host" { Err(ModeConflict::DisconnectFromHost) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_that_share_or_isolate_do_not_mix() {
        assert_eq!(may_connect("bridge", "mine"), Ok(()));
        assert_eq!(may_connect("host", "mine"), Err(ModeConflict::Shared));
        assert_eq!(may_connect("container:x", "mine"), Err(ModeConflict::Shared));
        assert_eq!(may_connect("bridge", "host"), Err(ModeConflict::ConnectToHost));
        assert_eq!(may_connect("none", "mine"), Err(ModeConflict::WithNone));
        assert_eq!(may_disconnect("host", "host"), Err(ModeConflict::DisconnectFromHost));
        assert_eq!(may_disconnect("none", "none"), Ok(()));
    }
}
