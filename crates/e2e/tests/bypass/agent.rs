//! An agent that listeners of seccomp(2) are sent to, and that lets go of each at once.

use e2e::Host;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use std::{
    io::IoSliceMut,
    mem::MaybeUninit,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::PathBuf,
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

pub struct Agent {
    /// Of rules that ask it about directories that are made.
    pub profile: PathBuf,
    states: Receiver<serde_json::Value>,
}

impl Agent {
    pub fn new(host: &Host) -> Self {
        let path = host.path("agent.sock");
        let listener = UnixListener::bind(&path).expect("listen");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666))
            .expect("let the engine connect");
        let (tell, states) = channel();
        thread::spawn(move || {
            while let Ok((socket, _)) = listener.accept() {
                let mut bytes = vec![0; 65_536];
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
                let mut control = RecvAncillaryBuffer::new(&mut space);
                let mut slices = [IoSliceMut::new(&mut bytes)];
                let message =
                    recvmsg(&socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC).expect("receive");
                let listeners: usize = control
                    .drain()
                    .map(|part| if let RecvAncillaryMessage::ScmRights(fds) = part { fds.count() } else { 0 })
                    .sum();
                assert_eq!(listeners, 1);
                let state = serde_json::from_slice(&bytes[..message.bytes]).expect("a state");
                // The test may have ended.
                tell.send(state).ok();
            }
        });
        let rules = serde_json::json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": path,
            "listenerMetadata": "mine",
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}],
        });
        Self { profile: host.write("profile.json", rules.to_string()), states }
    }

    /// What it was told with the next listener.
    pub fn next(&self) -> serde_json::Value {
        self.states.recv_timeout(Duration::from_secs(30)).expect("a listener comes")
    }
}
