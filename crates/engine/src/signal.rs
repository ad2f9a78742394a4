//! Signals by name and number (signal(7)); what `--signal` and `STOPSIGNAL` accept.

use crate::create::Invalid;

/// Name without `SIG`, number on x86-64 and aarch64.
const SIGNALS: &[(&str, i32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// The first real-time signal as C libraries count them: they keep 32 and 33 for themselves.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

pub const KILL: i32 = 9;
pub const TERM: i32 = 15;

/// `KILL`, `SIGKILL`, `sigkill`, `9`, `RTMIN+1`, `SIGRTMAX-2`.
pub fn parse(text: &str) -> Result<i32, Invalid> {
    let invalid = || Invalid::Signal(text.to_owned());
    if let Ok(number) = text.parse::<i32>() {
        return if (1..=RTMAX).contains(&number) { Ok(number) } else { Err(invalid()) };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    SIGNALS
        .iter()
        .find(|(n, _)| *n == name)
        .map(|(_, number)| *number)
        .or_else(|| real_time(name))
        .ok_or_else(invalid)
}

fn real_time(name: &str) -> Option<i32> {
    let (base, offset) = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(rest), _) => (RTMIN, rest),
        (_, Some(rest)) => (RTMAX, rest),
        _ => return None,
    };
    let offset = if offset.is_empty() { 0 } else { offset.parse::<i32>().ok()? };
    Some(base + offset).filter(|n| (RTMIN..=RTMAX).contains(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (text, number) in [
            ("KILL", 9),
            ("SIGTERM", 15),
            ("sigusr1", 10),
            ("9", 9),
            ("RTMIN", 34),
            ("RTMIN+3", 37),
            ("SIGRTMAX-2", 62),
        ] {
            assert_eq!(parse(text).unwrap(), number, "{text}");
        }
        for text in ["", "0", "65", "-1", "NOPE", "RTMIN-1", "RTMAX+1", "SIG"] {
            assert_eq!(parse(text).unwrap_err().to_string(), format!("invalid signal: {text}"));
        }
    }
}
