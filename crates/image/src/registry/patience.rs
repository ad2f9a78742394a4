//! How long registries are borne with: silence, failures that may pass, and being asked to come again later.

use super::Error;
use reqwest::header::{self, HeaderMap};
use std::time::{Duration, SystemTime};

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
    /// Before the attempt that follows the `attempt`th (counted from one), or as long as the registry asks if that is
    /// longer: one that is busy may say "now" every time.
    pub(crate) fn pause(&self, attempt: u32, after: &Error) -> Duration {
        let own = self.retry * (1 << attempt.saturating_sub(1).min(6));
        match after {
            Error::TooManyRequests { retry_after: Some(asked), .. }
            | Error::Status { retry_after: Some(asked), .. } => own.max(*asked),
            _ => own,
        }
    }

    /// For a registry that is being sent something: committing a large blob takes some storage backends a while.
    pub(super) fn while_sending(&self) -> Duration {
        self.silence * 2
    }
}

/// `Retry-After`, in seconds or as a date (RFC 9110, 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let asked = text(header::RETRY_AFTER)?;
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(asked).ok()?;
    // By the registry's own clock, if it tells that: ours may be wrong, and the pause is what was meant.
    let now = text(header::DATE).and_then(|date| httpdate::parse_http_date(date).ok());
    // What has passed is no pause.
    Some(until.duration_since(now.unwrap_or_else(SystemTime::now)).unwrap_or_default())
}

/// `Retrying in 4 seconds`, as Docker tells it.
pub(crate) fn retrying(pause: Duration) -> String {
    let seconds = pause.as_secs().max(1);
    format!("Retrying in {seconds} second{}", if seconds == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(headers: &[(header::HeaderName, &str)]) -> Option<u64> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        retry_after(&headers).map(|pause| pause.as_secs())
    }

    #[test]
    fn a_registry_says_when_in_seconds_or_by_its_own_clock() {
        let (after, date) = (header::RETRY_AFTER, header::DATE);
        assert_eq!(asked(&[(after.clone(), "120")]), Some(120));
        let noon = (date, "Sun, 06 Nov 1994 12:00:00 GMT");
        // The three forms of RFC 9110, 5.6.7.
        for later in
            ["Sun, 06 Nov 1994 12:00:37 GMT", "Sunday, 06-Nov-94 12:00:37 GMT", "Sun Nov  6 12:00:37 1994"]
        {
            assert_eq!(asked(&[(after.clone(), later), noon.clone()]), Some(37), "{later}");
        }
        let earlier = "Sun, 06 Nov 1994 11:59:00 GMT";
        assert_eq!(asked(&[(after.clone(), earlier), noon.clone()]), Some(0));
        assert_eq!(asked(&[(after.clone(), earlier)]), Some(0), "by our clock");
        let in_an_hour = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3600));
        let pause = asked(&[(after.clone(), &in_an_hour)]).unwrap();
        assert!((3000..=3600).contains(&pause), "{pause}");
        for nonsense in ["soon", "-1", "1.5", ""] {
            assert_eq!(asked(&[(after.clone(), nonsense)]), None, "{nonsense:?}");
        }
        assert_eq!(asked(&[noon]), None);
    }

    #[test]
    fn pauses_double_unless_the_registry_wants_longer_ones() {
        let patience = Patience::default();
        let broken =
            Error::Transport { method: "Get", url: String::new(), reason: "connection reset".to_owned() };
        let pauses: Vec<_> = (1..5).map(|attempt| patience.pause(attempt, &broken).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8]);
        assert_eq!(patience.pause(u32::MAX, &broken).as_secs(), 64);
        let busy = |asked| Error::TooManyRequests {
            message: "slow down".to_owned(),
            retry_after: Some(Duration::from_secs(asked)),
        };
        // "Now", and a date that has passed.
        let pauses: Vec<_> = (1..5).map(|attempt| patience.pause(attempt, &busy(0)).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8]);
        let busy = busy(7);
        assert_eq!(patience.pause(4, &busy).as_secs(), 8);
        assert_eq!(patience.pause(1, &busy).as_secs(), 7);
        assert_eq!(retrying(patience.pause(1, &busy)), "Retrying in 7 seconds");
        assert_eq!(retrying(Duration::from_millis(10)), "Retrying in 1 second");
    }
}
