//! The exec sessions of this engine.

use crate::Error;
use api_types::ExecCreateRequest;
use model::Id;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, PoisonError, RwLock},
};
use tokio::sync::watch;

/// One exec session.
pub struct Session {
    pub id: Id,
    pub container: Id,
    pub request: ExecCreateRequest,
    state: watch::Sender<SessionState>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionState {
    Made,
    /// Asked of the shim.
    Starting,
    Running {
        pid: u32,
    },
    /// `pid` is 0 when it never ran.
    Ended {
        code: i32,
        pid: u32,
    },
}

impl Session {
    pub(super) fn new(container: Id, request: ExecCreateRequest) -> Arc<Self> {
        Arc::new(Self { id: Id::random(), container, request, state: watch::Sender::new(SessionState::Made) })
    }

    pub fn state(&self) -> SessionState {
        *self.state.borrow()
    }

    pub fn is_running(&self) -> bool {
        matches!(self.state(), SessionState::Running { .. })
    }

    /// The exit code, once the process has ended.
    pub async fn exit_code(&self) -> i32 {
        let mut states = self.state.subscribe();
        let ended = states.wait_for(|s| matches!(s, SessionState::Ended { .. })).await.map(|s| *s);
        match ended {
            Ok(SessionState::Ended { code, .. }) => code,
            _ => unreachable!("the sender lives in self, and wait_for returns what it waited for"),
        }
    }

    /// Claims the one start there is; false for the second to try.
    pub(super) fn begin(&self) -> bool {
        self.change(|state| match state {
            SessionState::Made => {
                *state = SessionState::Starting;
                true
            }
            _ => false,
        })
    }

    /// The end may have been told first: a short process, and a reply that was read late.
    pub(super) fn running(&self, pid: u32) {
        self.change(|state| match state {
            SessionState::Ended { pid: slot, .. } => *slot = pid,
            _ => *state = SessionState::Running { pid },
        });
    }

    pub(super) fn ended(&self, code: i32) {
        self.change(|state| {
            let pid = if let SessionState::Running { pid } = state { *pid } else { 0 };
            *state = SessionState::Ended { code, pid };
        });
    }

    fn change<R>(&self, change: impl FnOnce(&mut SessionState) -> R) -> R {
        let mut result = None;
        self.state.send_modify(|state| result = Some(change(state)));
        result.expect("send_modify calls its closure once")
    }
}

/// How many ended sessions are kept for inspection: health checks alone would otherwise fill the memory. moby drops
/// them after five minutes.
const KEPT: usize = 1024;

/// Sessions by ID.
#[derive(Default)]
pub struct Registry {
    sessions: RwLock<Sessions>,
}

#[derive(Default)]
struct Sessions {
    by_id: HashMap<String, Arc<Session>>,
    /// IDs in order of creation; some may be forgotten already.
    order: VecDeque<String>,
}

impl Registry {
    /// # Errors
    /// [`Error::NoSuchExec`].
    pub fn find(&self, reference: &str) -> Result<Arc<Session>, Error> {
        let sessions = self.sessions.read().unwrap_or_else(PoisonError::into_inner);
        sessions
            .by_id
            .get(reference)
            .cloned()
            .ok_or_else(|| Error::NoSuchExec { reference: reference.to_owned() })
    }

    pub(super) fn insert(&self, session: Arc<Session>) {
        let mut sessions = self.sessions.write().unwrap_or_else(PoisonError::into_inner);
        sessions.order.push_back(session.id.to_string());
        sessions.by_id.insert(session.id.to_string(), session);
        for _ in KEPT..sessions.order.len() {
            let Some(oldest) = sessions.order.pop_front() else { break };
            match sessions.by_id.get(&oldest).map(|s| s.state()) {
                Some(SessionState::Starting | SessionState::Running { .. }) => {
                    sessions.order.push_back(oldest)
                }
                _ => drop(sessions.by_id.remove(&oldest)),
            }
        }
    }

    /// Drops the sessions of a removed container.
    pub(crate) fn forget_container(&self, container: &Id) {
        let mut sessions = self.sessions.write().unwrap_or_else(PoisonError::into_inner);
        sessions.by_id.retain(|_, session| session.container != *container);
    }
}
