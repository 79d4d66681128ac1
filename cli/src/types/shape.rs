//! The form of JSON, as far as examples show it.

use std::fmt;

use countersign::Json;
use serde::de::{Deserializer, MapAccess, Visitor};

/// Deeper values stay JSON: a type a level would help nobody.
const DEEPEST: usize = 16;
/// The most fields of a struct. An object with more is a map with keys of its own.
const MOST_FIELDS: usize = 100;

/// What all examples of a value have in common.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Shape {
    /// Whether one was null.
    pub(super) is_nullable: bool,
    /// What those were that were not null, if there were any.
    pub(super) kind: Option<Kind>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Bool,
    /// Integers that an `i64` holds.
    Integer,
    /// Any numbers.
    Number,
    Text,
    List(Box<Shape>),
    Object(Object),
    /// Several forms, or one that has no type.
    Mixed,
}

/// The fields of an object, in the order in which they were first seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Object {
    pub(super) fields: Vec<Field>,
    /// How many objects were seen.
    pub(super) count: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) shape: Shape,
    /// How many objects had it.
    pub(super) count: usize,
}

impl Shape {
    pub(super) fn null() -> Self {
        Self { is_nullable: true, kind: None }
    }

    pub(super) fn of(json: &Json) -> Self {
        Self::at_depth(json, 0)
    }

    fn at_depth(json: &Json, depth: usize) -> Self {
        let text = json.as_str();
        let kind = match text.as_bytes().first() {
            Some(b'n') => return Self::null(),
            Some(b't' | b'f') => Kind::Bool,
            // Half of a surrogate pair is JSON, and no Rust string.
            Some(b'"') if serde_json::from_str::<String>(text).is_ok() => Kind::Text,
            Some(b'-' | b'0'..=b'9') => {
                // `-0` and `1e3` are other texts when they are written again.
                let integer = text.parse::<i64>().is_ok_and(|integer| integer.to_string() == text);
                if integer { Kind::Integer } else { Kind::Number }
            }
            _ if depth == DEEPEST => Kind::Mixed,
            Some(b'[') => match serde_json::from_str::<Vec<Json>>(text) {
                Ok(items) => {
                    let mut shape = Self::default();
                    items.iter().for_each(|item| shape.merge(Self::at_depth(item, depth + 1)));
                    Kind::List(Box::new(shape))
                }
                Err(_) => Kind::Mixed,
            },
            _ => members_of(text).map_or(Kind::Mixed, |members| object(members, depth)),
        };
        Self { is_nullable: false, kind: Some(kind) }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.is_nullable |= other.is_nullable;
        self.kind = match (self.kind.take(), other.kind) {
            (kind, None) | (None, kind) => kind,
            (Some(kind), Some(other)) => Some(kind.merged(other)),
        };
    }
}

fn object(members: Vec<(String, Json)>, depth: usize) -> Kind {
    let mut object = Object { fields: Vec::new(), count: 1 };
    for (name, value) in members {
        // A struct cannot hold a name twice.
        if object.fields.iter().any(|field| field.name == name) || object.fields.len() == MOST_FIELDS {
            return Kind::Mixed;
        }
        let shape = Shape::at_depth(&value, depth + 1);
        object.fields.push(Field { name, shape, count: 1 });
    }
    Kind::Object(object)
}

impl Kind {
    fn merged(self, other: Self) -> Self {
        match (self, other) {
            (Self::Integer, Self::Number) | (Self::Number, Self::Integer) => Self::Number,
            (Self::List(mut items), Self::List(others)) => {
                items.merge(*others);
                Self::List(items)
            }
            (Self::Object(mut object), Self::Object(other)) => {
                object.count += other.count;
                for field in other.fields {
                    match object.fields.iter_mut().find(|known| known.name == field.name) {
                        Some(known) => {
                            known.count += field.count;
                            known.shape.merge(field.shape);
                        }
                        None => object.fields.push(field),
                    }
                }
                if object.fields.len() > MOST_FIELDS { Self::Mixed } else { Self::Object(object) }
            }
            (kind, other) if kind == other => kind,
            _ => Self::Mixed,
        }
    }
}

/// The members of an object in their order, each as often as it is there. `None` if the text is no object.
pub(super) fn members_of(text: &str) -> Option<Vec<(String, Json)>> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, Json)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }

    let mut deserializer = serde_json::Deserializer::from_str(text);
    let members = deserializer.deserialize_map(Members).ok()?;
    deserializer.end().is_ok().then_some(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(examples: &[&str]) -> Shape {
        let mut shape = Shape::default();
        for example in examples {
            shape.merge(Shape::of(&serde_json::from_str(example).unwrap()));
        }
        shape
    }

    #[test]
    fn a_shape_is_what_all_examples_have_in_common() {
        for (examples, is_nullable, kind) in [
            (&["1", "2"][..], false, Some(Kind::Integer)),
            (&["1", "2.50"], false, Some(Kind::Number)),
            (&["-0"], false, Some(Kind::Number)),
            (&["18446744073709551615"], false, Some(Kind::Number)),
            (&["null"], true, None),
            (&["null", "\"a\""], true, Some(Kind::Text)),
            (&["\"\\ud800\""], false, Some(Kind::Mixed)),
            (&["1", "\"1\""], false, Some(Kind::Mixed)),
            (&["true", "false"], false, Some(Kind::Bool)),
            (&["[]"], false, Some(Kind::List(Box::default()))),
            (
                &["[1, null]", "[]"],
                false,
                Some(Kind::List(Box::new(Shape { is_nullable: true, kind: Some(Kind::Integer) }))),
            ),
            (&[r#"{"a":1,"a":2}"#], false, Some(Kind::Mixed)),
        ] {
            assert_eq!(of(examples), Shape { is_nullable, kind }, "{examples:?}");
        }
        let Some(Kind::Object(object)) = of(&[r#"{"a":1,"b":null}"#, r#"{"a":2.5}"#]).kind else { panic!() };
        let fields: Vec<_> = object.fields.iter().map(|field| (&*field.name, field.count)).collect();
        assert_eq!((object.count, &fields[..]), (2, &[("a", 2), ("b", 1)][..]));
    }

    #[test]
    fn a_deep_or_a_wide_value_stays_json() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let mut shape = of(&[&format!("{}1{}", open.repeat(100), close.repeat(100))]);
            let mut depth = 0;
            let innermost = loop {
                shape = match shape.kind {
                    Some(Kind::List(items)) => *items,
                    Some(Kind::Object(mut object)) => object.fields.remove(0).shape,
                    other => break other,
                };
                depth += 1;
            };
            assert_eq!((depth, innermost), (DEEPEST, Some(Kind::Mixed)), "{open}");
        }
        let object = |names: std::ops::Range<usize>| {
            let fields: Vec<_> = names.map(|name| format!("\"{name}\":1")).collect();
            format!("{{{}}}", fields.join(","))
        };
        for (one, other, is_mixed) in [
            (0..MOST_FIELDS, 0..0, false),
            (0..MOST_FIELDS + 1, 0..0, true),
            (0..MOST_FIELDS - 1, 1..MOST_FIELDS, false),
            (0..MOST_FIELDS, 1..MOST_FIELDS + 1, true),
            (0..MOST_FIELDS, 1..MOST_FIELDS + 2, true),
        ] {
            let shape = of(&[&object(one.clone()), &object(other.clone())]);
            assert_eq!(shape.kind == Some(Kind::Mixed), is_mixed, "{one:?} {other:?}");
        }
    }
}
