//! The values of flags, in the shapes that `daemon.json` has.

use super::options::{Kind, Opt};
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

pub(super) fn from_flag(option: &Opt, given: &[&str]) -> Result<Value> {
    let last = given.last().copied().unwrap_or_default();
    let invalid = || format!("invalid argument {last:?} for \"--{}\" flag", option.flag);
    Ok(match option.kind {
        Kind::Bool => Value::Bool(last == "true"),
        Kind::Text => Value::from(last),
        Kind::Number => Value::from(last.parse::<i64>().with_context(invalid)?),
        Kind::Bytes => Value::from(bytes(last).with_context(invalid)?),
        Kind::List | Kind::FileOnly => Value::from(given),
        Kind::Pairs => object(given, |value| Ok(Value::from(value))).with_context(invalid)?,
        Kind::Ulimits => ulimits(given).with_context(invalid)?,
        Kind::Runtimes => object(given, |path| Ok(json!({ "path": path }))).with_context(invalid)?,
        Kind::Pools => given.iter().map(|g| pool(g)).collect::<Result<Vec<_>>>().with_context(invalid)?.into(),
    })
}

/// `NAME=VALUE`s as an object.
fn object(given: &[&str], value: impl Fn(&str) -> Result<Value>) -> Result<Value> {
    let mut object = Map::new();
    for pair in given {
        let (name, text) = pair.split_once('=').context("expected NAME=VALUE")?;
        object.insert(name.to_owned(), value(text)?);
    }
    Ok(object.into())
}

fn ulimits(given: &[&str]) -> Result<Value> {
    let mut object = Map::new();
    for pair in given {
        let (name, limits) = pair.split_once('=').context("expected NAME=SOFT[:HARD]")?;
        let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
        let (soft, hard): (i64, i64) = (soft.parse()?, hard.parse()?);
        if soft > hard && hard != -1 {
            bail!("ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}");
        }
        object.insert(name.to_owned(), json!({ "Name": name, "Soft": soft, "Hard": hard }));
    }
    Ok(object.into())
}

/// `base=172.80.0.0/16,size=24`.
fn pool(given: &str) -> Result<Value> {
    let field = |name: &str| given.split(',').find_map(|f| f.trim().strip_prefix(name)?.strip_prefix('='));
    let (base, size) = (field("base").context("expected base=CIDR,size=N")?, field("size").context("expected size=N")?);
    Ok(json!({ "base": base, "size": size.parse::<u8>()? }))
}

/// A size with a unit of 1024s: `64M`, `1g`, `67108864`.
pub(super) fn bytes(text: &str) -> Result<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let power = match lower[digits.len()..].trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        unit => bail!("unknown unit {unit:?}: expected b, k, m, g or t"),
    };
    let number: u64 = digits.trim().parse().with_context(|| format!("invalid size {text:?}"))?;
    number.checked_mul(1 << (10 * power)).with_context(|| format!("size {text:?} is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, expect) in [("64M", 64 << 20), ("1g", 1 << 30), ("12", 12), ("2KiB", 2048), ("3kb", 3072)] {
            assert_eq!(bytes(text).unwrap(), expect, "{text}");
        }
        for text in ["", "x", "1y", "-1", "99999999999999T"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ulimits_and_pools_become_objects() {
        assert_eq!(ulimits(&["nofile=1:2"]).unwrap()["nofile"]["Hard"], 2);
        assert!(ulimits(&["nofile=3:2"]).is_err());
        assert_eq!(pool("base=10.0.0.0/8,size=24").unwrap(), json!({"base": "10.0.0.0/8", "size": 24}));
    }
}
