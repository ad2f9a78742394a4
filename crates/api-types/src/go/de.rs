//! A deserializer over a JSON value that gives zero values for `null` and matches field names without regard to case.

use serde::de::{self, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Error, Value, map};

pub(super) struct GoValue(pub(super) Value);

/// Numbers and booleans: `null` visits the zero, anything else is left to `serde_json`.
macro_rules! scalars {
    ($($method:ident => $visit:ident($zero:expr)),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.0 {
                Value::Null => visitor.$visit($zero),
                value => value.$method(visitor),
            }
        }
    )*};
}

impl<'de> de::Deserializer<'de> for GoValue {
    type Error = Error;

    scalars! {
        deserialize_bool => visit_bool(false),
        deserialize_i8 => visit_i8(0),
        deserialize_i16 => visit_i16(0),
        deserialize_i32 => visit_i32(0),
        deserialize_i64 => visit_i64(0),
        deserialize_i128 => visit_i128(0),
        deserialize_u8 => visit_u8(0),
        deserialize_u16 => visit_u16(0),
        deserialize_u32 => visit_u32(0),
        deserialize_u64 => visit_u64(0),
        deserialize_u128 => visit_u128(0),
        deserialize_f32 => visit_f32(0.0),
        deserialize_f64 => visit_f64(0.0),
        deserialize_char => visit_str(""),
        deserialize_str => visit_str(""),
        deserialize_string => visit_str(""),
        deserialize_bytes => visit_bytes(&[]),
        deserialize_byte_buf => visit_bytes(&[]),
        deserialize_unit => visit_unit_with(()),
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(items) => visitor.visit_seq(GoSeq { items: items.into_iter(), index: 0 }),
            Value::Object(entries) => visitor.visit_map(GoMap::new(entries, &[])),
            value => value.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_seq(GoSeq { items: Vec::new().into_iter(), index: 0 }),
            Value::Array(items) => visitor.visit_seq(GoSeq { items: items.into_iter(), index: 0 }),
            value => value.deserialize_seq(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            // A Go array keeps its zeros where the JSON list is short, and drops what it has too much.
            Value::Null => Self(Value::Array(vec![Value::Null; len])).deserialize_seq(visitor),
            Value::Array(mut items) => {
                items.resize(len, Value::Null);
                Self(Value::Array(items)).deserialize_seq(visitor)
            }
            value => value.deserialize_seq(visitor),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_struct("", &[], visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_map(GoMap::new(map::Map::new(), fields)),
            Value::Object(entries) => visitor.visit_map(GoMap::new(entries, fields)),
            value => value.deserialize_map(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.0.deserialize_identifier(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}

/// Lets the table above name a `visit_…` that takes a value for `()` as well.
trait VisitUnit<'de>: Visitor<'de> {
    fn visit_unit_with(self, (): ()) -> Result<Self::Value, Error> {
        self.visit_unit()
    }
}
impl<'de, V: Visitor<'de>> VisitUnit<'de> for V {}

struct GoSeq {
    items: std::vec::IntoIter<Value>,
    index: usize,
}

impl<'de> SeqAccess<'de> for GoSeq {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        seed.deserialize(GoValue(item)).map(Some).map_err(|error| at(&format!("[{index}]"), &error))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct GoMap {
    entries: map::IntoIter,
    fields: &'static [&'static str],
    seen: Vec<&'static str>,
    current: Option<(String, Value)>,
}

impl GoMap {
    fn new(entries: map::Map<String, Value>, fields: &'static [&'static str]) -> Self {
        Self { entries: entries.into_iter(), fields, seen: Vec::new(), current: None }
    }
}

impl<'de> MapAccess<'de> for GoMap {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        for (key, value) in self.entries.by_ref() {
            let field = self.fields.iter().find(|field| field.eq_ignore_ascii_case(&key));
            // Two spellings of one field: serde would call it a duplicate, Go takes one of them.
            if field.is_some_and(|field| self.seen.contains(field)) {
                continue;
            }
            self.seen.extend(field);
            let name = field.map_or_else(|| key.clone(), |field| (*field).to_owned());
            self.current = Some((key, value));
            let key: de::value::StringDeserializer<Error> = name.into_deserializer();
            return seed.deserialize(key).map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let (key, value) =
            self.current.take().ok_or_else(|| de::Error::custom("a value was asked for before its key"))?;
        seed.deserialize(GoValue(value)).map_err(|error| at(&key, &error))
    }
}

/// Puts the name of the enclosing field before an error: `HostConfig.Binds[0]: invalid type…`.
fn at(place: &str, error: &Error) -> Error {
    let text = error.to_string();
    let path_follows = text.starts_with('[');
    let joint = if path_follows {
        ""
    } else if names_a_path(&text) {
        "."
    } else {
        ": "
    };
    de::Error::custom(format_args!("{place}{joint}{text}"))
}

/// Whether an error text already starts with a path that [`at`] put there.
fn names_a_path(text: &str) -> bool {
    text.split_once(": ")
        .is_some_and(|(path, _)| !path.contains(' ') && path.starts_with(|c: char| c.is_ascii_uppercase()))
}
