//! The strict reading of a signed body: a JSON object, and the members that an envelope names.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, SystemTime};

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::Error;
use crate::event::envelope::{Envelope, Name, Place};
use crate::event::json_object::Text;
use crate::event::private;

/// The members that an envelope names.
#[derive(Debug)]
pub(crate) struct Members {
    event: Option<Box<str>>,
    is_event_optional: bool,
    id: Option<Box<str>>,
    time: Option<Box<str>>,
    is_time_numeric: bool,
    data: Option<Box<str>>,
    is_opaque: bool,
}

impl Members {
    pub(crate) fn of(envelope: &Envelope<'_>) -> Self {
        let event = match envelope.name {
            Name::Member(name) | Name::OptionalMember(name) => Some(name),
            Name::Header(_) | Name::Nowhere => None,
        };
        let id = match envelope.id {
            Some(Place::Member(name)) => Some(name),
            Some(Place::Header(_)) | None => None,
        };
        Self {
            event: event.map(Into::into),
            is_event_optional: matches!(envelope.name, Name::OptionalMember(_)),
            id: id.map(Into::into),
            time: envelope.time.map(Into::into),
            is_time_numeric: envelope.is_time_numeric,
            data: envelope.data.map(Into::into),
            is_opaque: envelope.is_opaque,
        }
    }
}

/// Checks that a body is one JSON object.
pub(crate) fn check_object(body: &[u8]) -> Result<(), Error> {
    let any = Envelope::new().without_name().without_id().without_time().with_whole_body();
    Contents::parse(body, &Members::of(&any)).map(drop)
}

/// What an envelope names in a delivery. It borrows from the body, unless a string has escapes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Contents<'a> {
    pub(crate) event: Option<Cow<'a, str>>,
    pub(crate) id: Option<Cow<'a, str>>,
    /// The text of the time: a string's, or a number's.
    pub(crate) timestamp: Option<Cow<'a, str>>,
    pub(crate) is_timestamp_numeric: bool,
    /// The text of the data, unchanged, or `None` if it is absent.
    pub(crate) data: Option<Cow<'a, str>>,
}

impl<'a> Contents<'a> {
    /// Reads a body.
    pub(crate) fn parse(body: &'a [u8], members: &Members) -> Result<Self, Error> {
        if members.is_opaque {
            return Ok(Self::default());
        }
        // The whole body first, because the parser does not check the strings that it skips.
        let text =
            std::str::from_utf8(body).map_err(|error| Error::MalformedPayload { source: error.into() })?;
        let contents =
            Self::read(text, members).map_err(|error| Error::MalformedPayload { source: error.into() })?;
        if private::is_a_name_in(text) {
            return Err(Error::MalformedPayload { source: private::REFUSED.into() });
        }
        Ok(contents)
    }

    /// Makes it independent of the body.
    pub(crate) fn into_owned(self) -> Contents<'static> {
        fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
            Cow::Owned(text.into_owned())
        }

        Contents {
            event: self.event.map(owned),
            id: self.id.map(owned),
            timestamp: self.timestamp.map(owned),
            is_timestamp_numeric: self.is_timestamp_numeric,
            data: self.data.map(owned),
        }
    }

    /// The timestamp, if there is one in RFC 3339, or as a number of seconds or milliseconds.
    pub(crate) fn time(&self) -> Option<SystemTime> {
        let text = self.timestamp.as_deref()?;
        if !self.is_timestamp_numeric {
            return crate::event::time::rfc3339(text);
        }
        /// As seconds, this is the year 5138. As milliseconds, it is 1973.
        const LEAST_MILLISECONDS: u64 = 100_000_000_000;
        let number: u64 = text.parse().ok()?;
        let distance = match number {
            ..LEAST_MILLISECONDS => Duration::from_secs(number),
            LEAST_MILLISECONDS.. => Duration::from_millis(number),
        };
        SystemTime::UNIX_EPOCH.checked_add(distance)
    }

    /// Whether there is a timestamp, and it is at most `max_age` from `now`.
    pub(crate) fn is_within(&self, max_age: Duration, now: SystemTime) -> bool {
        self.time().is_some_and(|time| {
            let distance = now.duration_since(time).unwrap_or_else(|later| later.duration());
            distance <= max_age
        })
    }

    fn read(text: &'a str, members: &Members) -> Result<Self, serde_json::Error> {
        let mut reader = serde_json::Deserializer::from_str(text);
        // By hand, because a derived struct would accept an array as well.
        let mut contents = reader.deserialize_map(ObjectVisitor { members })?;
        reader.end()?;
        if members.data.is_none() {
            contents.data = Some(Cow::Borrowed(text.trim_matches([' ', '\t', '\r', '\n'])));
        }
        Ok(contents)
    }
}

struct ObjectVisitor<'m> {
    members: &'m Members,
}

impl<'de> Visitor<'de> for ObjectVisitor<'_> {
    type Value = Contents<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.members.event {
            Some(name) if !self.members.is_event_optional => write!(f, "an object with a string `{name}`"),
            _ => f.write_str("an object"),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let members = self.members;
        let mut event: Option<Text<'de>> = None;
        let mut optional_event: Option<Option<Text<'de>>> = None;
        let mut id: Option<Option<Text<'de>>> = None;
        let mut timestamp: Option<Option<Text<'de>>> = None;
        let mut number: Option<&'de RawValue> = None;
        let mut data: Option<&'de RawValue> = None;
        let mut ignored = HashSet::new();
        while let Some(key) = map.next_key::<Text<'de>>()? {
            let name = &*key.0;
            let is = |member: &Option<Box<str>>| member.as_deref() == Some(name);
            if is(&members.event) && members.is_event_optional {
                once(name, &mut optional_event, &mut map)?;
            } else if is(&members.event) {
                once(name, &mut event, &mut map)?;
            } else if is(&members.time) && members.is_time_numeric {
                once(name, &mut number, &mut map)?;
            } else if is(&members.time) {
                once(name, &mut timestamp, &mut map)?;
            } else if is(&members.data) {
                once(name, &mut data, &mut map)?;
            } else if is(&members.id) {
                once(name, &mut id, &mut map)?;
            } else {
                map.next_value::<IgnoredAny>()?;
                if !ignored.insert(key.0) {
                    return Err(A::Error::custom("repeated field"));
                }
            }
        }
        let text = |field: Option<Option<Text<'de>>>| field.flatten().map(|text| text.0);
        let event = match (&members.event, event) {
            (Some(name), None) if !members.is_event_optional => {
                return Err(A::Error::custom(format_args!("missing field `{name}`")));
            }
            (_, Some(event)) => Some(event.0),
            (_, None) => text(optional_event),
        };
        let is_number =
            |json: &&RawValue| json.get().starts_with(|first: char| first == '-' || first.is_ascii_digit());
        let (timestamp, is_timestamp_numeric) = match number {
            Some(json) if is_number(&json) => (Some(Cow::Borrowed(json.get())), true),
            Some(json) => {
                let parsed: Option<Text<'de>> = serde_json::from_str(json.get()).map_err(A::Error::custom)?;
                (parsed.map(|text| text.0), false)
            }
            None => (text(timestamp), false),
        };
        let data = data.map(|data| Cow::Borrowed(data.get()));
        Ok(Contents { event, id: text(id), timestamp, is_timestamp_numeric, data })
    }
}

/// Reads a member's value into its place. It must not be repeated.
fn once<'de, T, A>(name: &str, place: &mut Option<T>, map: &mut A) -> Result<(), A::Error>
where
    T: Deserialize<'de>,
    A: MapAccess<'de>,
{
    if place.is_some() {
        return Err(A::Error::custom(format_args!("duplicate field `{name}`")));
    }
    *place = Some(map.next_value()?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &[u8]) -> Result<Contents<'_>, Error> {
        Contents::parse(body, &Members::of(&Envelope::new()))
    }

    #[test]
    fn an_envelope_is_an_object_with_a_string_event() {
        let accepted = [
            r#"{"event":"a"}"#,
            r#" {"event":"a"} "#,
            r#"{"event":""}"#,
            r#"{"event":"a","id":null,"timestamp":null,"data":null}"#,
            r#"{"data":[[]],"timestamp":"yesterday","id":"1","event":"a"}"#,
            r#"{"event":"a","more":{"event":"b","event":"c"},"and":1e99999}"#,
            r#"{"ev\u0065nt":"\u0061"}"#,
        ];
        for body in accepted {
            assert!(parse(body.as_bytes()).is_ok(), "{body}");
        }
    }

    #[test]
    fn anything_else_is_malformed() {
        let refused = [
            "",
            " ",
            "null",
            "7",
            r#""event""#,
            r#"["a"]"#,
            r#"["a",null,null,null]"#,
            "{}",
            r#"{"id":"1","data":{}}"#,
            r#"{"event":null}"#,
            r#"{"event":7}"#,
            r#"{"event":["a"]}"#,
            r#"{"event":"a","id":7}"#,
            r#"{"event":"a","id":{}}"#,
            r#"{"event":"a","timestamp":1773153000}"#,
            r#"{"event":"a"}x"#,
            r#"{"event":"a"}{}"#,
            r#"{"event":"a""#,
            r#"{"event":"a",}"#,
            r#"{'event':'a'}"#,
            r#"{"event":"a","data":}"#,
            r#"{"event":"a","data":undefined}"#,
            r#"{"event":"a","data":NaN}"#,
            r#"{"event":"a" /* b */}"#,
            r#"{"event":"\ud800"}"#,
            "{\"event\":\"a\nb\"}",
            "\u{feff}{\"event\":\"a\"}",
            "{\"event\":\"a\"}\0",
        ];
        for body in refused {
            assert!(matches!(parse(body.as_bytes()), Err(Error::MalformedPayload { .. })), "{body}");
        }
    }

    #[test]
    fn a_refusal_says_to_the_log_what_was_expected() {
        let cases = [
            ("7", "expected an object with a string `event`"),
            ("{}", "missing field `event`"),
            (r#"{"event":7}"#, "expected a string"),
            (r#"{"event":"a","id":null,"id":"1"}"#, "duplicate field `id`"),
            (r#"{"event":"a","x":1,"x":2}"#, "repeated field"),
        ];
        for (body, expected) in cases {
            let Err(Error::MalformedPayload { source }) = parse(body.as_bytes()) else { panic!() };
            assert!(source.to_string().contains(expected), "{source}");
        }
        let optional = Members::of(&Envelope::new().with_optional_name("event"));
        let Err(Error::MalformedPayload { source }) = Contents::parse(b"7", &optional) else { panic!() };
        assert!(source.to_string().contains("expected an object at"), "{source}");
    }

    #[test]
    fn no_key_is_repeated_however_it_is_written() {
        let refused = [
            r#"{"event":"a","event":"a"}"#,
            r#"{"event":"a","ev\u0065nt":"a"}"#,
            r#"{"event":"a","id":null,"id":null}"#,
            r#"{"event":"a","id":null,"id":"1"}"#,
            r#"{"event":"a","timestamp":"t","timestamp":null}"#,
            r#"{"event":"a","data":null,"data":1}"#,
            r#"{"event":"a","x":1,"x":2}"#,
            r#"{"event":"a","x":1,"y":1,"\u0078":2}"#,
        ];
        for body in refused {
            assert!(matches!(parse(body.as_bytes()), Err(Error::MalformedPayload { .. })), "{body}");
        }
    }

    #[test]
    fn the_body_is_utf8_throughout() {
        for body in [
            &b"{\"event\":\"a\",\"more\":\"\xff\"}"[..],
            b"{\"event\":\"a\",\"data\":\"\xff\"}",
            b"{\"event\":\"a\",\"\xc0\x80\":1}",
            b"{\"event\":\"\xed\xa0\x80\"}",
        ] {
            assert!(matches!(parse(body), Err(Error::MalformedPayload { .. })));
        }
    }

    #[test]
    fn nesting_of_any_depth_overflows_no_stack() {
        // Miri, which is some thousand times slower, has a stack of its own.
        let depth = if cfg!(miri) { 200 } else { 1_000_000 };
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            for body in
                [format!(r#"{{"event":"a","data":{deep}}}"#), format!(r#"{{"event":"a","more":{deep}}}"#)]
            {
                assert!(parse(body.as_bytes()).is_ok());
            }
            let body = format!(r#"{{"event":{deep}}}"#);
            assert!(parse(body.as_bytes()).is_err());
        }
    }

    #[test]
    fn fields_are_borrowed_unless_they_have_escapes() {
        let contents = parse(br#"{"event":"a","id":"\u0062","data": { "x" : 1 } }"#).unwrap();
        assert!(matches!(contents.event, Some(Cow::Borrowed("a"))));
        assert_eq!(contents.id.as_deref(), Some("b"));
        assert_eq!(contents.timestamp, None);
        assert_eq!(contents.data.as_deref(), Some(r#"{ "x" : 1 }"#));
    }

    #[test]
    fn the_provider_says_which_member_is_the_id() {
        let id = |body: &'static str, name: Option<&str>| {
            let envelope = match name {
                Some(name) => Envelope::new().with_id(name),
                None => Envelope::new().without_id(),
            };
            let contents = Contents::parse(body.as_bytes(), &Members::of(&envelope));
            contents.map(|contents| contents.id.map(Cow::into_owned)).ok()
        };
        for (body, by_id, by_no_member, by_event_id) in [
            (r#"{"event":"a","id":"1"}"#, Some(Some("1")), Some(None), Some(None)),
            (r#"{"event":"a","id":null}"#, Some(None), Some(None), Some(None)),
            (r#"{"event":"a","id":7}"#, None, Some(None), Some(None)),
            (r#"{"event":"a","id":{"id":[]}}"#, None, Some(None), Some(None)),
            (r#"{"event":"a","i\u0064":[],"x":"id"}"#, None, Some(None), Some(None)),
            (r#"{"event":"a","event_id":"2"}"#, Some(None), Some(None), Some(Some("2"))),
            (r#"{"event":"a","id":"1","event_id":"2"}"#, Some(Some("1")), Some(None), Some(Some("2"))),
            (r#"{"event":"a","id":"1","event_id":7}"#, Some(Some("1")), Some(None), None),
            // It is not repeated, whatever it is.
            (r#"{"event":"a","id":1,"id":1}"#, None, None, None),
            (r#"{"event":"a","event_id":"1","event_id":"1"}"#, None, None, None),
            (r#"{"event":"a","":"1"}"#, Some(None), Some(None), Some(None)),
        ] {
            let owned = |id: Option<Option<&str>>| id.map(|id| id.map(str::to_owned));
            assert_eq!(id(body, Some("id")), owned(by_id), "{body}");
            assert_eq!(id(body, None), owned(by_no_member), "{body}");
            assert_eq!(id(body, Some("event_id")), owned(by_event_id), "{body}");
        }
    }
}
