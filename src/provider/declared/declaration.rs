//! The JSON form of a provider, as serde reads it.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

use crate::scheme::SchemeError;

#[derive(Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Declaration {
    pub(super) name: String,
    #[serde(default)]
    pub(super) algorithm: Hash,
    #[serde(default)]
    pub(super) secret: SecretEncoding,
    #[serde(deserialize_with = "object")]
    pub(super) signature: Signature,
    #[serde(default = "body")]
    pub(super) signed: String,
    #[serde(default, deserialize_with = "optional_object")]
    pub(super) timestamp: Option<Time>,
    #[serde(default = "Parts::standard", deserialize_with = "optional_object")]
    pub(super) event: Option<Parts>,
}

#[derive(Clone, Copy, Default, serde::Deserialize)]
pub(super) enum Hash {
    #[default]
    #[serde(rename = "hmac-sha256")]
    Sha256,
    #[serde(rename = "hmac-sha1")]
    Sha1,
    #[serde(rename = "hmac-sha512")]
    Sha512,
}

#[derive(Clone, Copy, Default)]
pub(super) enum SecretEncoding {
    #[default]
    Text,
    Hex,
    Base64,
}

#[derive(Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Signature {
    #[serde(deserialize_with = "names")]
    pub(super) header: Vec<String>,
    #[serde(default)]
    pub(super) encoding: Encoding,
    pub(super) prefix: Option<String>,
    pub(super) separator: Option<char>,
    pub(super) each: Option<String>,
    pub(super) field: Option<String>,
}

#[derive(Clone, Copy, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Encoding {
    #[default]
    Hex,
    Base64,
    Base64Url,
}

#[derive(Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Time {
    pub(super) header: Option<String>,
    pub(super) field: Option<String>,
    #[serde(default)]
    pub(super) unit: Unit,
    pub(super) tolerance_s: Option<u64>,
}

/// Where the time stands.
pub(super) enum Source<'a> {
    Header(&'a str),
    Field(&'a str),
}

impl Time {
    /// One of the two is there.
    pub(super) fn source(&self) -> Source<'_> {
        match (&self.header, &self.field) {
            (Some(header), _) => Source::Header(header),
            (None, field) => Source::Field(field.as_deref().unwrap_or_default()),
        }
    }
}

#[derive(Clone, Copy, Default, serde::Deserialize)]
pub(super) enum Unit {
    #[default]
    #[serde(rename = "s")]
    Seconds,
    #[serde(rename = "ms")]
    Milliseconds,
    #[serde(rename = "rfc3339")]
    Rfc3339,
}

/// Where the parts of the event stand. What is left out has its usual name, and what is null stands nowhere.
#[derive(Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parts {
    #[serde(default = "event")]
    pub(super) name: Option<EventPart>,
    #[serde(default = "id")]
    pub(super) id: Option<EventPart>,
    #[serde(default = "timestamp")]
    pub(super) timestamp: Option<EventPart>,
    #[serde(default = "data")]
    pub(super) data: Option<EventPart>,
}

impl Parts {
    #[allow(clippy::unnecessary_wraps, reason = "serde takes the field's type")]
    fn standard() -> Option<Self> {
        Some(Self { name: event(), id: id(), timestamp: timestamp(), data: data() })
    }
}

#[derive(Clone)]
pub(super) enum EventPart {
    Member(String),
    Header(String),
}

impl EventPart {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Member(name) | Self::Header(name) => name,
        }
    }
}

fn body() -> String {
    "{body}".to_owned()
}

fn event() -> Option<EventPart> {
    member("event")
}

fn id() -> Option<EventPart> {
    member("id")
}

fn timestamp() -> Option<EventPart> {
    member("timestamp")
}

fn data() -> Option<EventPart> {
    member("data")
}

#[allow(clippy::unnecessary_wraps, reason = "serde takes the field's type")]
fn member(name: &str) -> Option<EventPart> {
    Some(EventPart::Member(name.to_owned()))
}

impl Declaration {
    /// Writes the names of headers in lower case.
    pub(super) fn lower_case(&mut self) {
        self.signature.header.iter_mut().for_each(|name| name.make_ascii_lowercase());
        let time = self.timestamp.as_mut().and_then(|time| time.header.as_mut());
        time.into_iter().for_each(|name| name.make_ascii_lowercase());
        for part in self.event.iter_mut().flat_map(|event| [&mut event.name, &mut event.id]) {
            if let Some(EventPart::Header(name)) = part {
                name.make_ascii_lowercase();
            }
        }
        self.signed = with_lower_case_headers(&self.signed);
    }
}

fn with_lower_case_headers(template: &str) -> String {
    let (mut written, mut rest) = (String::with_capacity(template.len()), template);
    while let Some(at) = rest.find('{') {
        let (literal, part) = rest.split_at(at);
        written.push_str(literal);
        let length = match part.find('}') {
            _ if part.starts_with("{{") => 2,
            Some(end) => end + 1,
            None => part.len(),
        };
        let (part, after) = part.split_at(length);
        if part.starts_with("{header:") {
            written.push_str(&part.to_ascii_lowercase());
        } else {
            written.push_str(part);
        }
        rest = after;
    }
    written + rest
}

/// Reads an object, because a derived type would read an array as well.
pub(super) fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<T, D::Error> {
    struct Object<T>(std::marker::PhantomData<T>);

    impl<'de, T: DeserializeOwned> Visitor<'de> for Object<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_map(Object(std::marker::PhantomData))
}

fn optional_object<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    struct Strict<T>(T);

    impl<'de, T: DeserializeOwned> Deserialize<'de> for Strict<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            object(deserializer).map(Self)
        }
    }

    Ok(Option::<Strict<T>>::deserialize(deserializer)?.map(|strict| strict.0))
}

/// Reads a name, or a list of names.
fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Names;

    impl<'de> Visitor<'de> for Names {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a header's name, or a list of names")
        }

        fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
            Ok(vec![name.to_owned()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while let Some(name) = names.next_element()? {
                all.push(name);
            }
            Ok(all)
        }
    }

    deserializer.deserialize_any(Names)
}

/// By hand, because a derived error shows the value, which somebody may take for the place of the secret.
impl<'de> Deserialize<'de> for SecretEncoding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer).map(Zeroizing::new);
        match text.as_ref().map(|text| text.as_str()) {
            Ok("text") => Ok(Self::Text),
            Ok("hex") => Ok(Self::Hex),
            Ok("base64") => Ok(Self::Base64),
            _ => Err(D::Error::custom(SchemeError::new(
                "secret",
                "this must be `text`, `hex` or `base64`, never the secret itself",
            ))),
        }
    }
}

impl<'de> Deserialize<'de> for EventPart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PartVisitor;

        impl<'de> Visitor<'de> for PartVisitor {
            type Value = EventPart;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member's name, or {\"header\": NAME}")
            }

            fn visit_str<E>(self, name: &str) -> Result<EventPart, E> {
                Ok(EventPart::Member(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<EventPart, A::Error> {
                let mut header = None;
                while let Some(member) = map.next_key::<String>()? {
                    match &*member {
                        "header" if header.is_none() => header = Some(map.next_value()?),
                        "header" => return Err(A::Error::duplicate_field("header")),
                        other => return Err(A::Error::unknown_field(other, &["header"])),
                    }
                }
                header.map(EventPart::Header).ok_or_else(|| A::Error::missing_field("header"))
            }
        }

        deserializer.deserialize_any(PartVisitor)
    }
}
