//! A second reading of JSON, to hold the crate's against.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// An object's fields with every repetition, in order.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// Whether two texts are the same JSON: equal text, but for white space, the order of an object's
/// fields and the escapes of its strings, to this depth. Numbers keep their digits.
pub(crate) fn is_same(one: &str, other: &str, depth: usize) -> bool {
    if one == other {
        return true;
    }
    if depth == 0 {
        return false;
    }
    let fields = |text| {
        let mut fields = serde_json::from_str::<Fields<'_>>(text).ok()?.0;
        // Stable, so that fields of one name stay in order.
        fields.sort_by(|one, other| one.0.cmp(&other.0));
        Some(fields)
    };
    if let (Some(one), Some(other)) = (fields(one), fields(other)) {
        let same =
            |((name, value), (other_name, other_value)): (&(String, &RawValue), &(String, &RawValue))| {
                name == other_name && is_same(value.get(), other_value.get(), depth - 1)
            };
        return one.len() == other.len() && one.iter().zip(&other).all(same);
    }
    let text = |text| serde_json::from_str::<String>(text).ok();
    text(one).is_some_and(|one| text(other) == Some(one))
}

/// An envelope by the second reading.
pub(crate) struct Envelope<'a> {
    pub(crate) event: String,
    pub(crate) id: Option<String>,
    pub(crate) timestamp: Option<String>,
    pub(crate) data: &'a str,
}

impl<'a> Envelope<'a> {
    /// The envelope, where the body is one.
    pub(crate) fn read(body: &'a [u8]) -> Option<Self> {
        let Fields(fields) = serde_json::from_str(std::str::from_utf8(body).ok()?).ok()?;
        let names: HashSet<_> = fields.iter().map(|(name, _)| name).collect();
        if names.len() < fields.len() {
            return None;
        }
        let value = |name: &str| fields.iter().find(|field| field.0 == name).map(|field| field.1.get());
        let text = |name| serde_json::from_str(value(name).unwrap_or("null")).ok();
        Some(Self {
            event: serde_json::from_str(value("event")?).ok()?,
            id: text("id")?,
            timestamp: text("timestamp")?,
            data: value("data").unwrap_or("null"),
        })
    }
}

/// Whether an object in this text has a member twice, at any depth.
pub(crate) fn has_repeated_member(text: &str) -> bool {
    if let Ok(Fields(fields)) = serde_json::from_str(text) {
        let names: HashSet<_> = fields.iter().map(|(name, _)| name).collect();
        return names.len() < fields.len()
            || fields.iter().any(|(_, value)| has_repeated_member(value.get()));
    }
    let items: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
    items.iter().any(|value| has_repeated_member(value.get()))
}

/// Whether a body is one JSON object, whose own members are all different.
pub(crate) fn is_object(body: &[u8]) -> bool {
    let fields = std::str::from_utf8(body).ok().and_then(|text| serde_json::from_str(text).ok());
    fields.is_some_and(|Fields(fields)| {
        let names: HashSet<_> = fields.iter().map(|(name, _)| name).collect();
        names.len() == fields.len()
    })
}
