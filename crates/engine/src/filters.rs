//! The `filters` query parameter: a JSON map of keys to values, in both forms that clients send,
//! `{"label":["a=b"]}` and `{"label":{"a=b":true}}` (what Go clients send), and the ways to match against it.

use crate::Error;
use api_types::Map;
use model::Timestamp;
use std::collections::BTreeMap;

/// Parsed filters: every value given under each key.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filters(BTreeMap<String, Vec<String>>);

impl Filters {
    /// From the query parameter's text; empty text is no filter.
    ///
    /// # Errors
    /// [`Error::InvalidFilter`] when it is not one of the two forms.
    pub fn parse(json: &str) -> Result<Self, Error> {
        let malformed = || Error::MalformedFilters { text: json.to_owned() };
        if json.trim().is_empty() {
            return Ok(Self::default());
        }
        let Ok(serde_json::Value::Object(map)) = serde_json::from_str(json) else { return Err(malformed()) };
        let values = |values| match values {
            serde_json::Value::Array(list) => {
                list.into_iter().map(|v| v.as_str().map(str::to_owned)).collect()
            }
            serde_json::Value::Object(set) => {
                Some(set.into_iter().filter(|(_, on)| on.as_bool() == Some(true)).map(|(v, _)| v).collect())
            }
            _ => None,
        };
        map.into_iter()
            .map(|(key, list)| values(list).map(|list: Vec<String>| (key, list)))
            .collect::<Option<_>>()
            .map(Self)
            .ok_or_else(malformed)
    }

    pub fn from_pairs<K: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let mut filters = Self::default();
        for (key, value) in pairs {
            filters.0.entry(key.into()).or_default().push(value.into());
        }
        filters
    }

    /// Every key with each of its values.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|(key, values)| values.iter().map(move |value| (key.as_str(), value.as_str())))
    }

    /// Refuses keys that are not among `known`.
    pub fn only(&self, known: &[&str]) -> Result<&Self, Error> {
        match self.0.keys().find(|k| !known.contains(&k.as_str())) {
            Some(key) => Err(Error::InvalidFilter { text: key.clone() }),
            None => Ok(self),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|v| !v.is_empty())
    }

    pub fn get(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    /// Whether `key` is not filtered on, or `test` holds for one of its values.
    fn any(&self, key: &str, test: impl Fn(&str) -> bool) -> bool {
        !self.contains(key) || self.get(key).iter().any(|v| test(v))
    }

    /// Whether `key` is not filtered on, or one of its values is `value`.
    pub fn exact(&self, key: &str, value: &str) -> bool {
        self.any(key, |wanted| wanted == value)
    }

    /// As [`Filters::exact`], or one of its values is a prefix of `value`.
    pub fn prefix(&self, key: &str, value: &str) -> bool {
        self.any(key, |wanted| value.starts_with(wanted))
    }

    /// As [`Filters::exact`], or one of its values is a part of `value`.
    pub fn contained(&self, key: &str, value: &str) -> bool {
        self.any(key, |wanted| value.contains(wanted))
    }

    /// As [`Filters::exact`], or one of its values is found in `value` as a regular expression (a malformed one
    /// matches nothing, as in moby's `filters.Args.Match`).
    pub fn matches(&self, key: &str, value: &str) -> bool {
        self.any(key, |wanted| wanted == value || regex::Regex::new(wanted).is_ok_and(|r| r.is_match(value)))
    }

    /// Whether every `key=value`, or bare `key`, under `filter` is among `labels`.
    pub fn labels<'a>(&self, filter: &str, labels: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.get(filter).iter().all(|wanted| match wanted.split_once('=') {
            Some((key, value)) => labels(key) == Some(value),
            None => labels(wanted).is_some(),
        })
    }

    /// `label` and `label!` of a prune.
    pub fn wanted_labels(&self, labels: &Map<String>) -> bool {
        let get = |key: &str| labels.get(key).map(String::as_str);
        self.labels("label", get) && !(self.contains("label!") && self.labels("label!", get))
    }

    /// The one boolean under `key`, or `default`.
    ///
    /// # Errors
    /// [`Error::InvalidFilter`] when it is no boolean, or both.
    pub fn boolean(&self, key: &str, default: bool) -> Result<bool, Error> {
        let truth = |v: &String| match v.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
            _ => None,
        };
        match self.get(key) {
            [] => Ok(default),
            [one] => truth(one).ok_or_else(|| Error::InvalidFilter { text: format!("{key}=[{one}]") }),
            several => Err(Error::InvalidFilter { text: format!("{key}=[{}]", several.join(" ")) }),
        }
    }

    /// `until` of a prune: a time, or how long ago.
    ///
    /// # Errors
    /// [`Error::InvalidFilter`] for what is neither, or more than one.
    pub fn until(&self) -> Result<Option<Timestamp>, Error> {
        match self.get("until") {
            [] => Ok(None),
            [text] => crate::system::time::parse(text)
                .map(Some)
                .ok_or_else(|| Error::InvalidFilter { text: format!("until={text}") }),
            [_, ..] => Err(Error::InvalidFilter { text: "more than one until filter specified".to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_json_are_read() {
        let list = Filters::parse(r#"{"label":["a=b","c"]}"#).unwrap();
        let set = Filters::parse(r#"{"label":{"a=b":true,"c":true,"d":false}}"#).unwrap();
        assert_eq!(list, set);
        assert_eq!(Filters::parse("").unwrap(), Filters::default());
        for bad in ["[]", "{", r#"{"a":"b"}"#, r#"{"a":[1]}"#] {
            assert!(Filters::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_absent_key_passes_everything() {
        let none = Filters::default();
        assert!(none.exact("status", "x") && none.prefix("id", "x") && none.matches("name", "x"));
        assert!(none.labels("label", |_| None));
    }

    #[test]
    fn labels_must_all_match_and_unwanted_ones_exclude() {
        let have =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let filters = Filters::from_pairs([("label", "a=1"), ("label", "b")]);
        assert!(filters.wanted_labels(&have(&[("a", "1"), ("b", "")])));
        assert!(!filters.wanted_labels(&have(&[("a", "2"), ("b", "")])));
        assert!(!filters.wanted_labels(&have(&[("a", "1")])));
        assert!(!Filters::from_pairs([("label!", "keep")]).wanted_labels(&have(&[("keep", "")])));
    }

    #[test]
    fn names_match_as_regular_expressions() {
        let filters = Filters::from_pairs([("name", "^/web")]);
        assert!(filters.matches("name", "/web1") && !filters.matches("name", "/myweb"));
        assert!(!Filters::from_pairs([("name", "[")]).matches("name", "x"));
    }

    #[test]
    fn unknown_keys_and_untrue_booleans_are_named() {
        let text = |e: Error| e.to_string();
        assert_eq!(text(Filters::from_pairs([("x", "y")]).only(&["id"]).unwrap_err()), "invalid filter 'x'");
        let dangling = Filters::from_pairs([("dangling", "maybe")]);
        assert_eq!(
            text(dangling.boolean("dangling", false).unwrap_err()),
            "invalid filter 'dangling=[maybe]'"
        );
    }
}
