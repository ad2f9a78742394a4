//! The `filters` query parameter, as a client writes it. (The engine reads it, in its two forms: `engine::filters`.)

use crate::go::Map;
use std::collections::BTreeSet;

/// Filter names and the values asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filters(Map<BTreeSet<String>>);

impl Filters {
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.entry(name.into()).or_default().insert(value.into());
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `{"name": {"value": true}}`; empty text when there are none.
    pub fn to_json(&self) -> String {
        if self.is_empty() {
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
}

#[cfg(test)]
mod tests {
    use super::Filters;

    #[test]
    fn written_as_docker_writes_it() {
        let mut filters = Filters::default();
        assert_eq!(filters.to_json(), "");
        for (name, value) in [("label", "b"), ("label", "a=1"), ("all", "true")] {
            filters.add(name, value);
        }
        assert_eq!(filters.to_json(), r#"{"all":{"true":true},"label":{"a=1":true,"b":true}}"#);
    }
}
