//! JSON that is kept as its original text.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::event::json_object::Text;

/// A JSON value of any kind, kept as its text. Numbers keep their digits, objects keep their order and
/// their repeated fields, and nesting of any depth costs no stack.
///
/// The text is well-formed JSON in UTF-8. It was not checked further, so a reader of it must expect
/// - arrays and objects that are nested as deep as the body is long: a recursive reader needs a limit
///   (`serde_json` fails at more than 127 levels);
/// - a field that is repeated in one object: some readers use the first, some the last (`serde_json::Value` does),
///   and some fail;
/// - numbers of any size and precision: `serde_json::Value` fails at `1e400`, and rounds a number that is neither an
///   `f64` nor a 64-bit integer, unless its feature `arbitrary_precision` is on;
/// - escapes such as `\ud800` that are not a character: `serde_json` cannot read them as a `String`. (In the name of a
///   field of the envelope, or of a payload with required fields, such an escape refuses the delivery or the event.)
/// - the escape `\u0000`, which ends a string in C.
///
/// This type needs `serde_json`'s feature `raw_value`, which Cargo then enables for your whole program. **With that
/// feature, every `serde_json::Value` reads an object whose first member is named
/// `$serde_json::private::RawValue` as the JSON in that member's string**: it reads
/// `{"$serde_json::private::RawValue":"{\"amount\":1000000}"}` as `{"amount":1000000}`. With the feature
/// `arbitrary_precision`, it reads an object with `$serde_json::private::Number` as a number.
/// [`Webhook::verify`](crate::Webhook::verify) and everything else that reads an envelope refuse a body with a field
/// of either name, at any depth and in any spelling, as
/// [`Error::MalformedPayload`](crate::Error::MalformedPayload). JSON that reaches your program in another way, such as
/// a body after [`verify_signature`](crate::Webhook::verify_signature), is not checked.
///
/// Two values are equal if their texts are. The type can be written to and read from JSON only: `serde_json`'s
/// text and its `Value`.
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

/// The name under which `serde_json` passes a value's text.
pub(crate) const RAW_VALUE: &str = "$serde_json::private::RawValue";

/// The text of a JSON value, borrowed from the deserializer's text if possible, so that the inner levels of a
/// body are not copied more often than the outer ones.
pub(crate) struct JsonText<'de>(Cow<'de, str>);

impl JsonText<'_> {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether arrays and objects are nested in more than `levels` levels.
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

    /// Does not fail on text from a JSON reader.
    pub(crate) fn into_json<E: serde::de::Error>(self) -> Result<Json, E> {
        RawValue::from_string(self.0.into_owned()).map(Json).map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for JsonText<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(RAW_VALUE, JsonTextVisitor)
    }
}

/// Like a `RawValue`'s visitor, but accepts borrowed text as well as owned text.
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

    /// If `serde_json` uses another name, `RawValue` itself knows it.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        Json::deserialize(deserializer).map(|json| JsonText(Cow::Owned(json.as_str().to_owned())))
    }
}

/// A JSON number, kept as its text: a price of `25.50` stays `25.50`, at any precision.
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
    /// The number as it was written, in JSON's syntax: `25.50`, `-0`, `1e3`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Parses the number as any type. For money, use a decimal type, not `f64`.
    ///
    /// # Errors
    /// The type's own, if the text is not one of its values, such as a fraction for an integer.
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
        // The first byte of a JSON value tells its kind.
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
