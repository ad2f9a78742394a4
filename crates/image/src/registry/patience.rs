//! How long registries are borne with: silence, failures that may pass, and being asked to come again later.

use super::Error;
use reqwest::{Response, header};
use std::time::Duration;

/// What users get is the default; tests have less time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// A registry that sends nothing for so long has stalled; the transfer is resumed.
    pub silence: Duration,
    /// The pause before the first retry; each further one is twice as long.
    pub retry: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { silence: Duration::from_secs(60), retry: Duration::from_secs(1) }
    }
}

/// A registry that wants a longer pause than this is told of at once: users would take the wait for a hang.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(60);

impl Patience {
    /// Before the attempt that follows the `attempt`th (counted from one), or as long as the registry asks.
    pub(crate) fn pause(&self, attempt: u32, after: &Error) -> Duration {
        match after {
            Error::TooManyRequests { retry_after: Some(asked), .. } => *asked,
            _ => self.retry * (1 << attempt.saturating_sub(1).min(6)),
        }
    }

    /// For a registry that is being sent something: committing a large blob takes some storage backends a while.
    pub(super) fn while_sending(&self) -> Duration {
        self.silence * 2
    }
}

/// `Retry-After` in seconds (RFC 9110, 10.2.3). Registries send no dates.
pub(super) fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// `Retrying in 4 seconds`, as Docker tells it.
pub(crate) fn retrying(pause: Duration) -> String {
    let seconds = pause.as_secs().max(1);
    format!("Retrying in {seconds} second{}", if seconds == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_unless_the_registry_says_how_long() {
        let patience = Patience::default();
        let broken =
            Error::Transport { method: "Get", url: String::new(), reason: "connection reset".to_owned() };
        let pauses: Vec<_> = (1..5).map(|attempt| patience.pause(attempt, &broken).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8]);
        assert_eq!(patience.pause(u32::MAX, &broken).as_secs(), 64);
        let busy = Error::TooManyRequests {
            message: "slow down".to_owned(),
            retry_after: Some(Duration::from_secs(7)),
        };
        assert_eq!(patience.pause(1, &busy).as_secs(), 7);
        assert_eq!(retrying(patience.pause(1, &busy)), "Retrying in 7 seconds");
        assert_eq!(retrying(Duration::from_millis(10)), "Retrying in 1 second");
    }
}
