//! Saying that descriptors have run out, and what to do: once, and again after a while for as long as it lasts.

use rustix::{
    io::Errno,
    process::{Resource, getrlimit},
};
use std::time::{Duration, Instant};

/// A flood of connections must not become one of lines.
const PAUSE: Duration = Duration::from_secs(60);

/// What was said of it so far.
#[derive(Debug, Default)]
pub(crate) struct Scarcity {
    told: Option<Instant>,
}

impl Scarcity {
    /// Says so if that is what an error means.
    pub(crate) fn met(&mut self, errno: Errno) {
        if let Some(line) = self.line(errno, Instant::now()) {
            eprintln!("netd: {line}");
        }
    }

    fn line(&mut self, errno: Errno, now: Instant) -> Option<String> {
        let remedy = match errno {
            Errno::MFILE => {
                let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
                format!(
                    "all {limit} descriptors are in use; raise the limit (LimitNOFILE= of the engine's unit, or nofile \
                     in /etc/security/limits.conf) and restart the engine"
                )
            }
            Errno::NFILE => {
                "the system has no more open files to give; raise the sysctl fs.file-max".to_owned()
            }
            _ => return None,
        };
        if self.told.is_some_and(|told| now.duration_since(told) < PAUSE) {
            return None;
        }
        self.told = Some(now);
        Some(format!("connections of containers and to published ports are refused: {remedy}"))
    }
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
}
