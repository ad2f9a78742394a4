//! `wait`: for an end, or the removal.

use crate::{Engine, Error, container::Record};
use std::sync::Arc;
use tokio::sync::watch;

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Condition {
    /// That it does not run; met at once when it does not.
    #[default]
    NotRunning,
    /// The next end of a run, also of one that is not yet begun.
    NextExit,
    Removed,
}

impl Condition {
    /// The API's word; none for an unknown one.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "" | "not-running" => Some(Self::NotRunning),
            "next-exit" => Some(Self::NextExit),
            "removed" => Some(Self::Removed),
            _ => None,
        }
    }
}

/// How the wait ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waited {
    pub exit_code: i32,
    /// What the engine itself could not do about the container.
    pub error: Option<String>,
}

/// A wait that has begun: what happens from now on counts, whenever it is awaited.
pub struct Wait {
    changes: watch::Receiver<Arc<Record>>,
    condition: Condition,
    exits: u64,
}

/// Begins to wait. A client that is told so (the API sends its headers) may start the container and will not miss its
/// end.
pub fn wait(engine: &Engine, reference: &str, condition: Condition) -> Result<Wait, Error> {
    let container = engine.containers.find(reference)?;
    let changes = container.watch();
    let exits = changes.borrow().exits;
    Ok(Wait { changes, condition, exits })
}

impl Wait {
    /// Waits for it to come about.
    pub async fn done(mut self) -> Waited {
        let (condition, exits) = (self.condition, self.exits);
        let met = |record: &Arc<Record>| {
            record.gone
                || match condition {
                    Condition::NotRunning => record.exits > exits || !record.state.counts_as_running(),
                    Condition::NextExit => record.exits > exits,
                    Condition::Removed => false,
                }
        };
        let seen = self.changes.wait_for(met).await.map(|record| record.clone());
        // Without a sender the container was dropped, after its last record was sent.
        let last = seen.unwrap_or_else(|_| self.changes.borrow().clone());
        Waited {
            exit_code: last.state.exit_code(),
            error: Some(last.state.error().to_owned()).filter(|e| !e.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::{Exit, State, testing};
    use model::{Id, Timestamp};
    use std::time::Duration;

    fn begin(container: &crate::Container, condition: Condition) -> Wait {
        let changes = container.watch();
        let exits = changes.borrow().exits;
        Wait { changes, condition, exits }
    }

    async fn pending(wait: &mut (impl Future<Output = Waited> + Unpin)) -> bool {
        tokio::time::timeout(Duration::from_millis(20), wait).await.is_err()
    }

    #[tokio::test]
    async fn conditions_are_met_when_docker_meets_them() {
        let container = testing::container(Id::random(), "c");
        assert_eq!(begin(&container, Condition::NotRunning).done().await.exit_code, 0);
        let mut next = Box::pin(begin(&container, Condition::NextExit).done());
        let mut removed = Box::pin(begin(&container, Condition::Removed).done());
        assert!(pending(&mut next).await && pending(&mut removed).await);
        let exit = Exit {
            code: 7,
            oom_killed: false,
            started: Timestamp::ZERO,
            finished: Timestamp::ZERO,
            error: None,
        };
        container.change(|r| {
            r.state = State::Exited { exit, failure: None };
            r.exits += 1;
        });
        assert_eq!(next.await.exit_code, 7);
        assert!(pending(&mut removed).await);
        container.erase().unwrap();
        assert_eq!(removed.await.exit_code, 7);
    }
}
