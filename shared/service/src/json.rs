//! JSON as our routes take it: an object where one is expected and nothing else, each field once, and a refusal that
//! names the field in plain words and repeats nothing of what was sent.
//!
//! serde's own readers take `[1, 2]` for any structure of two fields, which no schema says and `deny_unknown_fields` does
//! not see.

use std::fmt::{self, Display, Formatter};

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{
    DeserializeOwned, Deserializer, Error, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};

/// A JSON value. Unlike `serde_json`'s it keeps what stands in an object twice, for [`Error::duplicate_field`] to be said.
enum Json {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

/// Why a body is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Where in the value, as `items[0].quantity`; `None`: the value as a whole.
    pub(crate) field: Option<String>,
    /// In plain words.
    pub(crate) reason: String,
}

/// Reads a body.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Misfit> {
    let parse = || serde_json::from_slice::<Json>(bytes);
    let whole = |reason: String| Misfit { field: None, reason };
    if bytes.trim_ascii().is_empty() {
        return Err(whole("the body is empty".to_owned()));
    }
    let json = parse().map_err(|error| whole(format!("not JSON: {error}")))?;
    T::deserialize(json).map_err(|reason| match parse() {
        Ok(again) => misfit::<T>(again),
        Err(_) => whole(reason.to_string()),
    })
}

/// Reads again, now keeping track of the path: only those who are refused pay for it.
fn misfit<T: DeserializeOwned>(json: Json) -> Misfit {
    match serde_path_to_error::deserialize::<_, T>(json) {
        Ok(_) => Misfit { field: None, reason: "not what this route takes".to_owned() },
        Err(error) => {
            let path = Some(error.path().to_string()).filter(|path| path != ".");
            let field = match (path, error.inner()) {
                (Some(path), Refusal::Missing(name)) => Some(format!("{path}.{name}")),
                (None, Refusal::Missing(name) | Refusal::Twice(name)) => Some((*name).to_owned()),
                (path, _) => path,
            };
            Misfit { field, reason: error.inner().to_string() }
        }
    }
}

/// What is wrong with a value.
#[derive(Debug)]
enum Refusal {
    Expected(String),
    Missing(&'static str),
    Twice(&'static str),
    Unknown(&'static [&'static str]),
    Nul,
    /// A type's own words.
    Other(String),
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expected(what) => write!(f, "expected {what}"),
            Self::Missing(_) => f.write_str("is required"),
            Self::Twice(_) => f.write_str("is there twice"),
            Self::Unknown([]) => f.write_str("is not known"),
            Self::Unknown(known) => write!(f, "is not known; expected {}", known.join(", ")),
            Self::Nul => f.write_str("must not hold a NUL character"),
            Self::Other(words) => f.write_str(words),
        }
    }
}

impl std::error::Error for Refusal {}

impl Error for Refusal {
    fn custom<T: Display>(words: T) -> Self {
        let words = words.to_string();
        // What stands after it repeats the value.
        if words.starts_with("UUID parsing failed") { Self::Expected("a UUID".to_owned()) } else { Self::Other(words) }
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Expected(plain(expected))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Expected(plain(expected))
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::Expected(plain(expected))
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self::Unknown(known)
    }

    fn unknown_field(_: &str, known: &'static [&'static str]) -> Self {
        Self::Unknown(known)
    }

    fn missing_field(name: &'static str) -> Self {
        Self::Missing(name)
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self::Twice(name)
    }
}

/// What a type says of itself, without Rust's words.
fn plain(expected: &dyn Expected) -> String {
    let words = expected.to_string();
    match words.as_str() {
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" => "a text".to_owned(),
        "a sequence" => "a JSON array".to_owned(),
        "a map" => "a JSON object".to_owned(),
        other if other.starts_with("struct ") => "a JSON object".to_owned(),
        _ => words,
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Json;

            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
                Ok(Json::Bool(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
                Ok(Json::Unsigned(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
                Ok(Json::Signed(value))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
                Ok(Json::Float(value))
            }

            fn visit_str<E>(self, value: &str) -> Result<Json, E> {
                Ok(Json::Text(value.to_owned()))
            }

            fn visit_string<E>(self, value: String) -> Result<Json, E> {
                Ok(Json::Text(value))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Json, A::Error> {
                let mut array = Vec::new();
                while let Some(value) = values.next_element()? {
                    array.push(value);
                }
                Ok(Json::Array(array))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Json, A::Error> {
                let mut object = Vec::new();
                while let Some(field) = fields.next_entry()? {
                    object.push(field);
                }
                Ok(Json::Object(object))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

impl IntoDeserializer<'_, Refusal> for Json {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Json {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self {
            Self::Null => visitor.visit_unit(),
            Self::Bool(value) => visitor.visit_bool(value),
            Self::Unsigned(value) => visitor.visit_u64(value),
            Self::Signed(value) => visitor.visit_i64(value),
            Self::Float(value) => visitor.visit_f64(value),
            // PostgreSQL cannot store it in text.
            Self::Text(text) if text.contains('\0') => Err(Refusal::Nul),
            Self::Text(text) => visitor.visit_string(text),
            Self::Array(values) => visitor.visit_seq(SeqDeserializer::new(values.into_iter())),
            Self::Object(fields) => visitor.visit_map(MapDeserializer::new(fields.into_iter())),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        if matches!(self, Self::Object(_)) {
            return self.deserialize_any(visitor);
        }
        Err(Refusal::Expected("a JSON object".to_owned()))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        if matches!(self, Self::Null) { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        match self {
            Self::Text(name) => visitor.visit_enum(name.into_deserializer()),
            _ => Err(Refusal::Expected("a text".to_owned())),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Cart {
        items: Vec<Line>,
        #[serde(default)]
        note: Option<String>,
        #[serde(default)]
        kind: Option<Kind>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Line {
        quantity: u8,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Gift,
    }

    fn refused(body: &str) -> (Option<String>, String) {
        let Misfit { field, reason } = read::<Cart>(body.as_bytes()).unwrap_err();
        (field, reason)
    }

    #[test]
    fn what_fits_is_read() {
        let cart: Cart = read(br#" {"items":[{"quantity":2}],"kind":"gift","note":null} "#).unwrap();
        assert_eq!(cart, Cart { items: vec![Line { quantity: 2 }], note: None, kind: Some(Kind::Gift) });
    }

    #[test]
    fn a_list_is_no_object_at_any_depth() {
        assert_eq!(refused("[[[2]],null,null]"), (None, "expected a JSON object".to_owned()));
        assert_eq!(refused(r#"{"items":[[2]]}"#), (Some("items[0]".to_owned()), "expected a JSON object".to_owned()));
    }

    #[test]
    fn what_does_not_fit_is_named_and_not_repeated() {
        for (body, field, reason) in [
            ("", None, "the body is empty"),
            ("\n", None, "the body is empty"),
            ("{", None, "not JSON: EOF while parsing an object at line 1 column 1"),
            (r#"{"items":[]} x"#, None, "not JSON: trailing characters at line 1 column 14"),
            ("null", None, "expected a JSON object"),
            ("{}", Some("items"), "is required"),
            (r#"{"items":[{}]}"#, Some("items[0].quantity"), "is required"),
            (r#"{"items":{}}"#, Some("items"), "expected a JSON array"),
            (r#"{"items":[{"quantity":"canary"}]}"#, Some("items[0].quantity"), "expected a whole number"),
            (r#"{"items":[{"quantity":256}]}"#, Some("items[0].quantity"), "expected a whole number"),
            (r#"{"items":[{"quantity":1.5}]}"#, Some("items[0].quantity"), "expected a whole number"),
            (r#"{"items":[],"items":[]}"#, Some("items"), "is there twice"),
            (r#"{"items":[],"canary":1}"#, Some("canary"), "is not known; expected items, note, kind"),
            (r#"{"items":[],"kind":"canary"}"#, Some("kind"), "is not known; expected gift"),
            (r#"{"items":[],"note":"a\u0000canary"}"#, Some("note"), "must not hold a NUL character"),
            (r#"{"items":[],"note":7}"#, Some("note"), "expected a text"),
        ] {
            assert_eq!(refused(body), (field.map(str::to_owned), reason.to_owned()), "{body}");
        }
        assert!(refused(&"[".repeat(1_000)).1.starts_with("not JSON: recursion limit exceeded"));
    }
}
