//! JSON that is kept as the text it came in.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

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
/// - escapes such as `\ud800` that are no character (`serde_json` fails to read them as a `String`),
///   and `\u0000`, at which text ends in C.
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
