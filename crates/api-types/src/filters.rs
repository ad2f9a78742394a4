//! The `filters` query parameter: JSON in either of the two forms clients send.

use crate::go::Map;
use serde::Deserialize;
use std::collections::BTreeSet;

/// Filter names and the values asked for. `{"label": ["a", "b"]}` (before API 1.22, and docker-py to this day) and
/// `{"label": {"a": true, "b": true}}` mean the same.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filters(Map<BTreeSet<String>>);

/// Why a `filters` parameter was refused. The texts are Docker's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// The parameter is not JSON of either form.
    #[error("invalid filter")]
    Malformed,
    #[error("invalid filter '{0}'")]
    UnknownName(String),
    #[error("invalid filter '{name}={value}'")]
    BadValue { name: String, value: String },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    Set(Map<bool>),
    List(Vec<String>),
}

impl Filters {
    /// From the text of the query parameter; empty text has no filters.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let raw: Option<Map<Values>> = serde_json::from_str(text).map_err(|_| FilterError::Malformed)?;
        let values = |values| match values {
            Values::Set(set) => {
                set.into_iter().filter(|(_, wanted)| *wanted).map(|(value, _)| value).collect()
            }
            Values::List(list) => list.into_iter().collect(),
        };
        Ok(Self(raw.unwrap_or_default().into_iter().map(|(name, set)| (name, values(set))).collect()))
    }

    /// As clients write it today: `{"name": {"value": true}}`; empty text when there are none.
    pub fn to_json(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let object = |values: &BTreeSet<String>| -> serde_json::Value {
            values.iter().map(|value| (value.clone(), serde_json::Value::Bool(true))).collect()
        };
        self.0
            .iter()
            .map(|(name, values)| (name.clone(), object(values)))
            .collect::<serde_json::Value>()
            .to_string()
    }

    pub fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.entry(name.into()).or_default().insert(value.into());
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the filter was given at all.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The values of one filter, sorted; empty when it was not given.
    pub fn get(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.get(name).into_iter().flatten().map(String::as_str)
    }

    /// Refuses names other than `accepted`.
    pub fn only(&self, accepted: &[&str]) -> Result<(), FilterError> {
        match self.0.keys().find(|name| !accepted.contains(&name.as_str())) {
            Some(name) => Err(FilterError::UnknownName(name.clone())),
            None => Ok(()),
        }
    }

    /// Whether `value` is one of the values asked for, or the filter was not given.
    pub fn exact_match(&self, name: &str, value: &str) -> bool {
        self.0.get(name).is_none_or(|wanted| wanted.is_empty() || wanted.contains(value))
    }

    /// A filter of one boolean value, or none when it was not given. `true`, `1`, `false` and `0` are understood.
    pub fn bool(&self, name: &str) -> Result<Option<bool>, FilterError> {
        let Some(wanted) = self.0.get(name) else { return Ok(None) };
        let bad = |value: &str| FilterError::BadValue { name: name.to_owned(), value: value.to_owned() };
        let mut values = wanted.iter();
        match (values.next().map(String::as_str), values.next()) {
            (Some("true" | "1"), None) => Ok(Some(true)),
            (Some("false" | "0"), None) => Ok(Some(false)),
            (first, _) => Err(bad(first.unwrap_or_default())),
        }
    }

    /// Whether `labels` has every label asked for, each as `key` or `key=value`.
    pub fn labels_match(&self, name: &str, labels: &Map<String>) -> bool {
        self.get(name).all(|wanted| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|have| have == value),
            None => labels.contains_key(wanted),
        })
    }
}
