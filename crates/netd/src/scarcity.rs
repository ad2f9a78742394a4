//! Saying that descriptors have run out, and what to do: in the log once, and again after a while for as long as it
//! lasts; to whoever asks for some minutes afterwards.

use rustix::{
    io::Errno,
    process::{Resource, getrlimit},
};
use std::time::{Duration, Instant};

/// A flood of connections must not become one of lines.
const PAUSE: Duration = Duration::from_secs(60);
/// So long afterwards it is still told to whoever asks: connections that are tried again may go by then.
const LATELY: Duration = Duration::from_secs(600);

/// What needs a descriptor: which of them it was does not change what to do.
const WHAT: &str = "connections of containers, connections to published ports, or the publishing of a port";

/// What was met of it so far.
#[derive(Debug, Default)]
pub(crate) struct Scarcity {
    told: Option<Instant>,
    /// By this process, and by the system.
    own: Option<Instant>,
    system: Option<Instant>,
}

impl Scarcity {
    /// Says so if that is what an error means.
    pub(crate) fn met(&mut self, errno: Errno) {
        if let Some(line) = self.line(errno, Instant::now()) {
            eprintln!("netd: {line}");
        }
    }

    fn line(&mut self, errno: Errno, now: Instant) -> Option<String> {
        let (last, remedy): (_, fn() -> String) = match errno {
            Errno::MFILE => (&mut self.own, own),
            Errno::NFILE => (&mut self.system, system),
            _ => return None,
        };
        *last = Some(now);
        if self.told.is_some_and(|told| now.duration_since(told) < PAUSE) {
            return None;
        }
        self.told = Some(now);
        Some(format!("{WHAT} fail: {}", remedy()))
    }

    /// What was met in the last minutes.
    pub(crate) fn lately(&self, now: Instant) -> Vec<String> {
        let line = |last: Option<Instant>, remedy: fn() -> String| {
            let ago = now.duration_since(last?);
            (ago < LATELY).then(|| {
                let seconds = ago.as_secs();
                let remedy = remedy();
                format!("{WHAT} failed, last {seconds} s ago: {remedy}")
            })
        };
        line(self.own, own).into_iter().chain(line(self.system, system)).collect()
    }
}

fn own() -> String {
    let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    format!(
        "all {limit} descriptors are in use; raise the limit (LimitNOFILE= of the engine's unit, or nofile in \
         /etc/security/limits.conf) and restart the engine"
    )
}

fn system() -> String {
    "the system has no more open files to give; raise the sysctl fs.file-max".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_a_minute_with_what_to_do() {
        let (mut scarcity, start) = (Scarcity::default(), Instant::now());
        assert_eq!(scarcity.line(Errno::CONNREFUSED, start), None);
        assert!(scarcity.line(Errno::MFILE, start).unwrap().contains("LimitNOFILE="));
        assert_eq!(scarcity.line(Errno::MFILE, start + Duration::from_secs(59)), None);
        assert!(scarcity.line(Errno::NFILE, start + PAUSE).unwrap().contains("fs.file-max"));
    }

    #[test]
    fn whoever_asks_within_minutes_is_told() {
        let (mut scarcity, start) = (Scarcity::default(), Instant::now());
        scarcity.line(Errno::CONNREFUSED, start);
        assert_eq!(scarcity.lately(start), Vec::<String>::new());
        // Also of what was not worth another line in the log.
        scarcity.line(Errno::NFILE, start);
        scarcity.line(Errno::MFILE, start + Duration::from_secs(3));
        let lines = scarcity.lately(start + Duration::from_secs(5));
        assert!(lines[0].contains("last 2 s ago: all ") && lines[1].contains("last 5 s ago: "), "{lines:?}");
        assert_eq!(scarcity.lately(start + LATELY).len(), 1);
        assert_eq!(scarcity.lately(start + LATELY + Duration::from_secs(3)), Vec::<String>::new());
    }
}
