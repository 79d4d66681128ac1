//! JSON that is kept as the text it came in.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::event::json_object::Text;

/// A JSON value of any kind, kept as its text: numbers keep their digits, objects their order and
/// their repeated fields, and nesting of any depth costs no stack.
///
/// It is well-formed JSON in UTF-8, and no more than that. Whatever reads it has to bear with
/// - arrays and objects that nest as deep as the body is long: a reader that recurses needs a limit
///   (`serde_json` has one, of 127 levels, and fails beyond);
/// - a field that is repeated in one object, of which readers take the first, the last or none
///   (`serde_json::Value` takes the last);
/// - numbers of any size and precision (`serde_json::Value` fails at `1e400`, and rounds what no
///   `f64` and no 64-bit integer is, unless its feature `arbitrary_precision` is on);
/// - escapes such as `\ud800` that are no character (`serde_json` fails to read them as a `String`; as the name of
///   a field of the envelope, or of a payload with required fields, one refuses the delivery or the event),
///   and `\u0000`, at which text ends in C.
///
/// It needs `serde_json`'s feature `raw_value`, which Cargo then turns on for your whole program. **With that
/// feature, every `serde_json::Value` reads an object whose first member is named
/// `$serde_json::private::RawValue` as the JSON that this member's string holds**, so that
/// `{"$serde_json::private::RawValue":"{\"amount\":1000000}"}` becomes `{"amount":1000000}`; with the feature
/// `arbitrary_precision`, an object with `$serde_json::private::Number` becomes a number.
/// [`Webhook::verify`](crate::Webhook::verify) and all that reads an envelope refuse a body with a field of either
/// name, at any depth and in any spelling, as [`Error::MalformedPayload`](crate::Error::MalformedPayload). JSON that
/// comes to your program on another way, such as a body of which only the signature was verified, is not checked.
///
/// Two are equal when their texts are. It can be written to and read from JSON only: `serde_json`'s
/// text, and its `Value`.
///
/// ```
/// use countersign::Json;
///
/// let json: Json = serde_json::from_str(r#"{"price": 25.50}"#)?;
/// assert_eq!(json.as_str(), r#"{"price": 25.50}"#);
/// let value: serde_json::Value = serde_json::from_str(json.as_str())?;
/// assert_eq!(value["price"], 25.5);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone)]
pub struct Json(Box<RawValue>);

impl Json {
    /// The text, without white space around it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({})", self.as_str())
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::deserialize(deserializer).map(Self)
    }
}

/// The name under which `serde_json` passes on a value's text.
pub(crate) const RAW_VALUE: &str = "$serde_json::private::RawValue";

/// The text of a JSON value, borrowed from the deserializer's own where that has it: one level of a
/// body is copied no more often than the next.
pub(crate) struct JsonText<'de>(Cow<'de, str>);

impl JsonText<'_> {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether arrays and objects stand in one another in more levels than these.
    pub(crate) fn nests_deeper_than(&self, levels: usize) -> bool {
        if !self.0.starts_with(['[', '{']) {
            return false;
        }
        let mut bytes = self.0.bytes();
        let mut depth = 0_usize;
        while let Some(byte) = bytes.next() {
            match byte {
                b'[' | b'{' => {
                    depth += 1;
                    if depth > levels {
                        return true;
                    }
                }
                b']' | b'}' => depth = depth.saturating_sub(1),
                b'"' => {
                    while bytes.find(|byte| matches!(byte, b'"' | b'\\')) == Some(b'\\') {
                        bytes.next();
                    }
                }
                _ => {}
            }
        }
        false
    }

    /// Never fails on what a reader of JSON has passed on.
    pub(crate) fn into_json<E: serde::de::Error>(self) -> Result<Json, E> {
        RawValue::from_string(self.0.into_owned()).map(Json).map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for JsonText<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(RAW_VALUE, JsonTextVisitor)
    }
}

/// Does what a `RawValue`'s visitor does, which takes either a borrowed text or an owned one.
struct JsonTextVisitor;

impl<'de> Visitor<'de> for JsonTextVisitor {
    type Value = JsonText<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        match map.next_entry::<Text<'de>, Text<'de>>()? {
            Some((Text(name), Text(text))) if name == RAW_VALUE => Ok(JsonText(text)),
            _ => Err(A::Error::custom("JSON text is kept of JSON only")),
        }
    }

    /// Where the name is another, its own type knows it.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        Json::deserialize(deserializer).map(|json| JsonText(Cow::Owned(json.as_str().to_owned())))
    }
}

/// A JSON number, kept as its text: a price of `25.50` stays `25.50`, whatever its precision.
///
/// ```
/// use countersign::Number;
///
/// let price: Number = serde_json::from_str("25.50")?;
/// assert_eq!(price.as_str(), "25.50");
/// assert_eq!(price.parse::<f64>()?, 25.5); // or any decimal type that is `FromStr`
/// assert!(price.parse::<u64>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Number(Json);

impl Number {
    /// The number as it was written, in JSON's grammar: `25.50`, `-0`, `1e3`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The number as a type of yours. For money, take a decimal type, not `f64`.
    ///
    /// # Errors
    /// That type's own, when the text is not one of its values (a fraction for an integer, say).
    pub fn parse<T: FromStr>(&self) -> Result<T, T::Err> {
        self.as_str().parse()
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Number({})", self.as_str())
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(deserializer)?;
        // JSON's values tell themselves apart by their first byte.
        match json.as_str().as_bytes().first() {
            Some(b'-' | b'0'..=b'9') => Ok(Self(json)),
            _ => Err(D::Error::custom("not a number")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_keeps_its_digits() {
        for text in [
            "0",
            "-0",
            "25.50",
            "1e3",
            "1E-3",
            "0.10000000000000000000001",
            "123456789012345678901234567890",
            "1e99999",
        ] {
            let number: Number = serde_json::from_str(text).unwrap();
            assert_eq!((number.as_str(), &*number.to_string()), (text, text));
            assert_eq!(serde_json::to_string(&number).unwrap(), text);
        }
    }

    #[test]
    fn nothing_but_a_number_is_one() {
        for text in ["null", "true", "\"1\"", "[1]", "{}", "+1", "01", ".5", "1.", "NaN", "-", "0x1", ""] {
            assert!(serde_json::from_str::<Number>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn json_is_its_text_without_the_white_space_around_it() {
        let read = |text| serde_json::from_str::<Json>(text).unwrap();
        assert_eq!(read(" {\"a\" : 1} ").to_string(), "{\"a\" : 1}");
        assert_eq!(read(" [1] "), read("[1]"));
        assert_ne!(read("[ 1]"), read("[1]"));
    }

    #[test]
    fn a_value_is_read_like_text() {
        let value = serde_json::json!({"a": [1.5, "b", null]});
        let json: Json = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(&json).unwrap(), value);
        assert_eq!(serde_json::from_value::<Number>(serde_json::json!(1.5)).unwrap().as_str(), "1.5");
    }
}
