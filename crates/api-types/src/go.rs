//! Go's `encoding/json` rules on top of serde.

mod de;
pub mod syntax;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, ser::SerializeMap};
use serde_json::{Error, Value};
use std::collections::BTreeMap;

/// A Go map with string keys. Go writes map keys sorted, and so does a B-tree.
pub type Map<V> = BTreeMap<String, V>;

/// Go's `map[string]struct{}`, written `{"key": {}}`.
pub type Set = Map<Empty>;

/// Go's `struct{}`, written `{}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Empty {}

/// Reads one JSON value by Go's rules. The error names the path of the field, such as `HostConfig.Binds`.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    from_value(serde_json::from_slice(bytes)?)
}

/// As [`from_slice`], from a value that was parsed already.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, Error> {
    T::deserialize(de::GoValue(value))
}

/// For `skip_serializing_if`: Go's `omitempty`.
pub fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// For `with`: an empty list is Go's nil slice, `null`.
pub mod list {
    use super::*;

    pub fn serialize<T: Serialize, S: Serializer>(list: &[T], serializer: S) -> Result<S::Ok, S::Error> {
        if list.is_empty() { serializer.serialize_none() } else { list.serialize(serializer) }
    }

    pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<T>, D::Error> {
        Ok(Option::deserialize(deserializer)?.unwrap_or_default())
    }
}

/// For `with`: an empty map is Go's nil map, `null`.
pub mod map {
    use super::*;

    pub fn serialize<V: Serialize, S: Serializer>(map: &Map<V>, serializer: S) -> Result<S::Ok, S::Error> {
        if map.is_empty() { serializer.serialize_none() } else { map.serialize(serializer) }
    }

    pub fn deserialize<'de, V: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Map<V>, D::Error> {
        Ok(Option::deserialize(deserializer)?.unwrap_or_default())
    }
}

/// For `with`: a map of lists in which an empty list is `null` (`nat.PortMap`).
pub mod map_of_lists {
    use super::*;

    pub fn serialize<T: Serialize, S: Serializer>(
        map: &Map<Vec<T>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(Some(map.len()))?;
        for (key, list) in map {
            out.serialize_entry(key, &(!list.is_empty()).then_some(list))?;
        }
        out.end()
    }

    pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Map<Vec<T>>, D::Error> {
        let map: Option<Map<Option<Vec<T>>>> = Option::deserialize(deserializer)?;
        Ok(map.unwrap_or_default().into_iter().map(|(key, list)| (key, list.unwrap_or_default())).collect())
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<Option<String>>),
}

impl OneOrMany {
    fn into_list(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(list) => list.into_iter().map(Option::unwrap_or_default).collect(),
        }
    }
}

/// For `deserialize_with`: moby's `strslice.StrSlice`, a list of strings that may also be one string.
pub fn str_slice<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(opt_str_slice(deserializer)?.unwrap_or_default())
}

/// As [`str_slice`], where nil (none) and empty differ.
pub fn opt_str_slice<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        value => OneOrMany::deserialize(value)
            .map(|one_or_many| Some(one_or_many.into_list()))
            .map_err(|_| serde::de::Error::custom("expected a string or a list of strings")),
    }
}
