//! The strict reading of a signed body: a JSON object that names an event.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, SystemTime};

use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::Error;
use crate::event::json_object::{Text, once};
use crate::event::private;

/// The common part of every provider's body. It borrows from the body, unless a string has escapes.
#[derive(Debug, Clone)]
pub(crate) struct Envelope<'a> {
    pub(crate) event: Cow<'a, str>,
    pub(crate) id: Option<Cow<'a, str>>,
    pub(crate) timestamp: Option<Cow<'a, str>>,
    /// The text of `data`, unchanged, or `None` if it is absent.
    pub(crate) data: Option<Cow<'a, str>>,
}

impl<'a> Envelope<'a> {
    /// Reads a body. `id` is the name of the member that identifies the event, if there is one.
    pub(crate) fn parse(body: &'a [u8], id: Option<&'static str>) -> Result<Self, Error> {
        // The whole body first, because the parser does not check the strings that it skips.
        let text =
            std::str::from_utf8(body).map_err(|error| Error::MalformedPayload { source: error.into() })?;
        let envelope =
            Self::read(text, id).map_err(|error| Error::MalformedPayload { source: error.into() })?;
        if private::is_a_name_in(text) {
            return Err(Error::MalformedPayload { source: private::REFUSED.into() });
        }
        Ok(envelope)
    }

    /// Makes it independent of the body.
    pub(crate) fn into_owned(self) -> Envelope<'static> {
        fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
            Cow::Owned(text.into_owned())
        }

        Envelope {
            event: owned(self.event),
            id: self.id.map(owned),
            timestamp: self.timestamp.map(owned),
            data: self.data.map(owned),
        }
    }

    /// The timestamp, if there is one in RFC 3339.
    pub(crate) fn time(&self) -> Option<SystemTime> {
        let text = self.timestamp.as_deref()?;
        let since_epoch = OffsetDateTime::parse(text, &Rfc3339).ok()? - OffsetDateTime::UNIX_EPOCH;
        let distance = since_epoch.unsigned_abs();
        // Checked, because not every platform's clock reaches back to the year 0.
        if since_epoch.is_negative() {
            SystemTime::UNIX_EPOCH.checked_sub(distance)
        } else {
            SystemTime::UNIX_EPOCH.checked_add(distance)
        }
    }

    /// Whether there is a timestamp, and it is at most `max_age` from `now`.
    pub(crate) fn is_within(&self, max_age: Duration, now: SystemTime) -> bool {
        self.time().is_some_and(|time| {
            let distance = now.duration_since(time).unwrap_or_else(|later| later.duration());
            distance <= max_age
        })
    }

    fn read(text: &'a str, id: Option<&'static str>) -> Result<Self, serde_json::Error> {
        let mut reader = serde_json::Deserializer::from_str(text);
        // By hand, because a derived struct would accept an array as well.
        let envelope = reader.deserialize_map(EnvelopeVisitor { id })?;
        reader.end()?;
        Ok(envelope)
    }
}

struct EnvelopeVisitor {
    id: Option<&'static str>,
}

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a string `event`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut event: Option<Text<'de>> = None;
        let id_name = self.id.unwrap_or_default();
        let mut id: Option<Option<Text<'de>>> = None;
        let mut timestamp: Option<Option<Text<'de>>> = None;
        let mut data: Option<&'de RawValue> = None;
        let mut ignored = HashSet::new();
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match &*key.0 {
                "event" => once("event", &mut event, &mut map)?,
                "timestamp" => once("timestamp", &mut timestamp, &mut map)?,
                "data" => once("data", &mut data, &mut map)?,
                name if self.id == Some(name) => once(id_name, &mut id, &mut map)?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    if !ignored.insert(key.0) {
                        return Err(A::Error::custom("repeated field"));
                    }
                }
            }
        }
        let text = |field: Option<Option<Text<'de>>>| field.flatten().map(|text| text.0);
        Ok(Envelope {
            event: event.ok_or_else(|| A::Error::missing_field("event"))?.0,
            id: text(id),
            timestamp: text(timestamp),
            data: data.map(|data| Cow::Borrowed(data.get())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &[u8]) -> Result<Envelope<'_>, Error> {
        Envelope::parse(body, Some("id"))
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
        let envelope = parse(br#"{"event":"a","id":"\u0062","data": { "x" : 1 } }"#).unwrap();
        assert!(matches!(envelope.event, Cow::Borrowed("a")));
        assert_eq!(envelope.id.as_deref(), Some("b"));
        assert_eq!(envelope.timestamp, None);
        assert_eq!(envelope.data.as_deref(), Some(r#"{ "x" : 1 }"#));
    }

    #[test]
    fn the_provider_says_which_member_is_the_id() {
        let id = |body: &'static str, name| {
            Envelope::parse(body.as_bytes(), name).map(|envelope| envelope.id.map(Cow::into_owned)).ok()
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
