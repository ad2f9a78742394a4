//! The event bus: what happened, told to whoever listens, and kept for a while for those who ask later.
//!
//! Events are published synchronously and never wait for a listener. A listener that falls more than [`BACKLOG`]
//! events behind loses the oldest ones, which its stream reports in the log.

mod filter;

pub use filter::EventFilter;

use model::Timestamp;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, broadcast};

/// How many past events are kept for `since` (moby keeps 256).
const HISTORY: usize = 256;
/// How many events a listener may be behind.
const BACKLOG: usize = 1024;

/// What kind of object an event is about; Docker's `Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Container,
    Image,
    Volume,
    Network,
    Daemon,
    Builder,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Volume => "volume",
            Self::Network => "network",
            Self::Daemon => "daemon",
            Self::Builder => "builder",
        }
    }
}

/// Something that happened to an object of the engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub kind: Kind,
    /// Docker's word for it, such as `start` or `exec_create: sh`.
    pub action: String,
    /// The object's ID (an image's name or digest, a volume's name).
    pub actor: String,
    pub attributes: BTreeMap<String, String>,
    pub at: Timestamp,
}

/// Where events are published and listened to.
pub struct Bus {
    shared: Mutex<Shared>,
    happened: Notify,
}

struct Shared {
    history: VecDeque<Arc<Event>>,
    sender: broadcast::Sender<Arc<Event>>,
}

/// Past and coming events that pass a filter; see [`Bus::listen`].
pub struct Listener {
    replay: VecDeque<Arc<Event>>,
    coming: broadcast::Receiver<Arc<Event>>,
    filter: EventFilter,
}

impl Default for Bus {
    fn default() -> Self {
        Self {
            shared: Mutex::new(Shared {
                history: VecDeque::with_capacity(HISTORY),
                sender: broadcast::Sender::new(BACKLOG),
            }),
            happened: Notify::new(),
        }
    }
}

impl Bus {
    /// Tells of `action` on `actor`, now.
    pub fn publish(
        &self,
        kind: Kind,
        action: impl Into<String>,
        actor: impl Into<String>,
        attributes: BTreeMap<String, String>,
    ) {
        let event =
            Event { kind, action: action.into(), actor: actor.into(), attributes, at: Timestamp::now() };
        tracing::debug!(kind = kind.as_str(), action = event.action, actor = event.actor, "event");
        let event = Arc::new(event);
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.history.len() == HISTORY {
            shared.history.pop_front();
        }
        shared.history.push_back(event.clone());
        // An error means that nobody listens.
        drop(shared.sender.send(event));
        self.happened.notify_one();
    }

    /// Returns when something has happened, and then nothing more for `time`. For one waiter.
    pub(crate) async fn calm(&self, time: Duration) {
        self.happened.notified().await;
        while tokio::time::timeout(time, self.happened.notified()).await.is_ok() {}
    }

    /// How many listen now.
    pub fn listeners(&self) -> usize {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).sender.receiver_count()
    }

    /// Events from now on, after those already published at or after `since` (none without it), that pass `filter`.
    /// No event is lost or told twice between the two.
    pub fn listen(&self, since: Option<Timestamp>, filter: EventFilter) -> Listener {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let coming = shared.sender.subscribe();
        let replay = match since {
            Some(since) => {
                shared.history.iter().filter(|e| e.at >= since && filter.passes(e)).cloned().collect()
            }
            None => VecDeque::new(),
        };
        Listener { replay, coming, filter }
    }
}

impl Listener {
    /// The next event that passes the filter.
    pub async fn next(&mut self) -> Arc<Event> {
        if let Some(event) = self.replay.pop_front() {
            return event;
        }
        loop {
            match self.coming.recv().await {
                Ok(event) if self.filter.passes(&event) => return event,
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(lost)) => {
                    tracing::warn!(lost, "a listener of events is too slow: some were not told to it");
                }
                // The bus lives as long as the engine; a listener that outlives it has nothing to hear.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// The next event that is already there: for `until` in the past.
    pub fn try_next(&mut self) -> Option<Arc<Event>> {
        if let Some(event) = self.replay.pop_front() {
            return Some(event);
        }
        loop {
            match self.coming.try_recv() {
                Ok(event) if self.filter.passes(&event) => return Some(event),
                Ok(_) | Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filters::Filters;

    fn any() -> EventFilter {
        EventFilter::new(&Filters::default()).unwrap()
    }

    fn publish(bus: &Bus, action: &str) {
        bus.publish(Kind::Container, action, "c1", BTreeMap::new());
    }

    #[test]
    fn a_listener_hears_the_past_it_asked_for_then_the_present_once() {
        let bus = Bus::default();
        publish(&bus, "create");
        let mut later = bus.listen(None, any());
        let mut all = bus.listen(Some(Timestamp::ZERO), any());
        publish(&bus, "start");
        let actions = |l: &mut Listener| {
            std::iter::from_fn(|| l.try_next()).map(|e| e.action.clone()).collect::<Vec<_>>()
        };
        assert_eq!(actions(&mut later), ["start"]);
        assert_eq!(actions(&mut all), ["create", "start"]);
    }

    #[test]
    fn history_is_bounded() {
        let bus = Bus::default();
        (0..HISTORY + 10).for_each(|i| publish(&bus, &i.to_string()));
        let mut listener = bus.listen(Some(Timestamp::ZERO), any());
        assert_eq!(listener.try_next().unwrap().action, "10");
    }
}
