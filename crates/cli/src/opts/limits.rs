//! `--ulimit`, `--cpus`, `--memory-swap`, `--sysctl`.

use api_types::Ulimit;

use crate::format::units;

const NAMES: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

pub fn check_ulimit(text: &str) -> Result<(), String> {
    ulimit(text).map(drop)
}

/// `name=soft[:hard]`; -1 is no limit.
pub fn ulimit(text: &str) -> Result<Ulimit, String> {
    let (name, values) = text.split_once('=').ok_or_else(|| format!("invalid ulimit argument: {text}"))?;
    if !NAMES.contains(&name) {
        return Err(format!("invalid ulimit type: {name}"));
    }
    let number = |value: &str| -> Result<i64, String> {
        value.parse().map_err(|_| {
            format!("strconv.ParseInt: parsing {}: invalid syntax", crate::template::go_quote(value))
        })
    };
    let (soft, hard) = match values.split(':').collect::<Vec<_>>().as_slice() {
        [soft] => (number(soft)?, number(soft)?),
        [soft, hard] => (number(soft)?, number(hard)?),
        _ => {
            return Err(format!(
                "too many limit value arguments - {values}, can only have up to two, `soft[:hard]`"
            ));
        }
    };
    if hard != -1 && (soft == -1 || soft > hard) {
        let soft = if soft == -1 { "-1 (unlimited)".to_owned() } else { soft.to_string() };
        return Err(format!("ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"));
    }
    Ok(Ulimit { name: name.into(), hard, soft })
}

pub fn check_cpus(text: &str) -> Result<(), String> {
    nano_cpus(text).map(drop)
}

/// A number of processors in billionths.
pub fn nano_cpus(text: &str) -> Result<i64, String> {
    let invalid = || format!("failed to parse {text} as a rational number");
    let cpus = match text.split_once('/') {
        Some((a, b)) => a.parse::<f64>().map_err(|_| invalid())? / b.parse::<f64>().map_err(|_| invalid())?,
        None => text.parse::<f64>().map_err(|_| invalid())?,
    };
    if !cpus.is_finite() {
        return Err(invalid());
    }
    let nanos = cpus * 1e9;
    match (nanos - nanos.round()).abs() > 1e-6 * nanos.abs().max(1.0) {
        true => Err("value is too precise".into()),
        false => Ok(nanos.round() as i64),
    }
}

pub fn check_swap(text: &str) -> Result<(), String> {
    swap(text).map(drop)
}

/// Bytes, or -1 for no limit.
pub fn swap(text: &str) -> Result<i64, String> {
    if text == "-1" { Ok(-1) } else { units::parse_bytes(text) }
}

/// Names of kernel parameters that containers have of their own.
pub fn check_sysctl(text: &str) -> Result<(), String> {
    const NAMES: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    let name = text.split_once('=').map_or("", |(name, _)| name);
    match NAMES.contains(&name) || name.starts_with("net.") || name.starts_with("fs.mqueue.") {
        true => Ok(()),
        false => Err(format!("sysctl '{text}' is not allowed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        assert_eq!(
            ulimit("nofile=1024:2048").unwrap(),
            Ulimit { name: "nofile".into(), soft: 1024, hard: 2048 }
        );
        assert_eq!(ulimit("core=-1").unwrap().hard, -1);
        assert_eq!(ulimit("foo").unwrap_err(), "invalid ulimit argument: foo");
        assert_eq!(ulimit("foo=1").unwrap_err(), "invalid ulimit type: foo");
        assert!(ulimit("nofile=3:2").is_err());
        assert_eq!(nano_cpus("1.5"), Ok(1_500_000_000));
        assert_eq!(nano_cpus("1/4"), Ok(250_000_000));
        assert_eq!(nano_cpus("0.00000000001"), Err("value is too precise".into()));
        assert_eq!(nano_cpus("a"), Err("failed to parse a as a rational number".into()));
        assert!(check_sysctl("net.ipv4.ip_forward=1").is_ok() && check_sysctl("kernel.x=1").is_err());
    }
}
