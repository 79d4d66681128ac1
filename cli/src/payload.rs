//! The built-in payloads: those that the providers document, and an envelope without data for every other event.

use countersign::http::HeaderValue;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Iso8601;
use time::format_description::well_known::iso8601::{self, EncodedConfig, TimePrecision};

use crate::failure::Failure;
use crate::provider::{Members, NamePlace, Provider, TimeForm};

/// A body, and a note about it for the user.
#[derive(Debug)]
pub(crate) struct Payload {
    pub(crate) body: Vec<u8>,
    pub(crate) note: Option<String>,
}

/// Writes the body of an event. A fresh one has a new id and timestamp, so a receiver has not seen its event.
pub(crate) fn of_event(provider: &Provider, event: &str, fresh: bool) -> Result<Payload, Failure> {
    let is_named = provider.members().name != NamePlace::Nowhere;
    if is_named && (event.is_empty() || HeaderValue::from_str(event).is_err()) {
        return Err(Failure::usage("an event's name must be visible ASCII, and not empty"));
    }
    Ok(match documented(provider, event) {
        Some((text, note)) => {
            let text = if fresh { freshened(text) } else { text.to_owned() };
            Payload { body: text.into_bytes(), note: note.map(str::to_owned) }
        }
        None => Payload { body: minimal(provider.members(), event), note: Some(about(provider, event)) },
    })
}

/// A payload from the provider's own pages, and a note about it.
fn documented(provider: &Provider, event: &str) -> Option<(&'static str, Option<&'static str>)> {
    match (provider.slug(), event) {
        _ if !provider.is_built_in() => None,
        ("quote3d", "quote.completed") => Some((include_str!("payload/quote3d_quote_completed.json"), None)),
        ("nowtoprint", "quote.received") => {
            Some((include_str!("payload/nowtoprint_quote_received.json"), None))
        }
        ("3qpr", "scan.created") => Some((
            include_str!("payload/threeqpr_scan_created.json"),
            Some("3QPR documents no event's data: this is the example scan from its API, in an envelope"),
        )),
        _ => None,
    }
}

/// Writes the envelope with empty data.
fn minimal(members: &Members, event: &str) -> Vec<u8> {
    let mut fields = Vec::new();
    // Without an id, nothing tells two events of a provider apart that has no data either.
    let needs_id = members.data.is_none().then_some("id");
    if let Some(id) = members.id.as_deref().or(needs_id) {
        fields.push((id, Value::from(fresh_id())));
    }
    if let NamePlace::Member(name) | NamePlace::Both(name, _) = &members.name {
        fields.push((name, event.into()));
    }
    if let Some((name, form)) = &members.time {
        fields.push((name, time_value(OffsetDateTime::now_utc(), *form)));
    }
    if let Some(data) = &members.data {
        fields.push((data, Value::Object(serde_json::Map::new())));
    }
    let fields: Vec<_> =
        fields.into_iter().map(|(name, value)| format!("{}: {value}", Value::from(name))).collect();
    format!("{{\n  {}\n}}\n", fields.join(",\n  ")).into_bytes()
}

fn about(provider: &Provider, event: &str) -> String {
    let named = provider.events();
    if named.is_empty() {
        format!(
            "no sample payload of {provider} is built in: an envelope without data is sent (--data FILE sends yours)"
        )
    } else if named.contains(&event) {
        format!(
            "{provider} documents no payload for {event}: its `data` is empty here (--data FILE sends yours)"
        )
    } else {
        let named = named.join(", ");
        format!(
            "{provider}'s pages do not name the event {event} (they name {named}): its `data` is empty here"
        )
    }
}

/// Replaces the id and the timestamp, and keeps every other byte.
fn freshened(body: &'static str) -> String {
    let envelope: Value = serde_json::from_str(body).expect("a built-in payload is JSON");
    let fresh = [("id", fresh_id()), ("timestamp", time_text(OffsetDateTime::now_utc()))];
    fresh.into_iter().fold(body.to_owned(), |body, (field, fresh)| match &envelope[field] {
        Value::Null => body,
        old => body.replacen(&old.to_string(), &Value::from(fresh).to_string(), 1),
    })
}

fn fresh_id() -> String {
    let random = getrandom::u64().expect("the system has random numbers");
    format!("evt_test_{random:016x}")
}

fn time_value(time: OffsetDateTime, form: TimeForm) -> Value {
    match form {
        TimeForm::Text => time_text(time).into(),
        TimeForm::Seconds => time.unix_timestamp().into(),
        TimeForm::Milliseconds => (time.unix_timestamp() * 1000 + i64::from(time.millisecond())).into(),
    }
}

/// A time in UTC as the providers write it: RFC 3339 with milliseconds.
fn time_text(time: OffsetDateTime) -> String {
    const FORMAT: EncodedConfig = iso8601::Config::DEFAULT
        .set_time_precision(TimePrecision::Second { decimal_digits: std::num::NonZeroU8::new(3) })
        .encode();
    time.format(&Iso8601::<FORMAT>).expect("a time of this era can be written")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::of_json;

    const DOCUMENTED: [&str; 3] = ["quote3d", "nowtoprint", "3qpr"];

    fn provider(slug: &str) -> Provider {
        Provider::of_slug(slug).unwrap()
    }

    #[test]
    fn the_built_in_payloads_are_those_of_the_librarys_tests() {
        for (file, slug) in [
            ("quote3d_quote_completed.json", "quote3d"),
            ("nowtoprint_quote_received.json", "nowtoprint"),
            ("threeqpr_scan_created.json", "3qpr"),
        ] {
            let path = format!("{}/../tests/data/{file}", env!("CARGO_MANIFEST_DIR"));
            let provider = provider(slug);
            let payload = of_event(&provider, provider.default_event(), false).unwrap();
            assert_eq!(payload.body, std::fs::read(path).unwrap(), "{file}");
        }
    }

    #[test]
    fn a_fresh_payload_differs_in_its_id_and_its_time_alone() {
        for provider in DOCUMENTED.map(provider) {
            let read = |fresh| -> Value {
                let payload = of_event(&provider, provider.default_event(), fresh).unwrap();
                serde_json::from_slice(&payload.body).unwrap()
            };
            let (documented, mut fresh) = (read(false), read(true));
            assert_ne!(documented, fresh);
            let ids = [&fresh, &read(true)].map(|fresh| fresh.get("id").cloned());
            assert!(ids[0].is_none() || ids[0] != ids[1], "{ids:?}");
            for field in ["id", "timestamp"] {
                assert_eq!(documented.get(field).is_some(), fresh.get(field).is_some());
                if let Some(value) = documented.get(field) {
                    assert_ne!(Some(value), fresh.get(field), "{field}");
                    fresh[field] = value.clone();
                }
            }
            assert_eq!(documented, fresh);
        }
    }

    #[test]
    fn a_time_is_written_in_each_form() {
        let time = OffsetDateTime::from_unix_timestamp_nanos(1_614_265_330_123_456_789).unwrap();
        for (form, written) in [
            (TimeForm::Text, Value::from("2021-02-25T15:02:10.123Z")),
            (TimeForm::Seconds, 1_614_265_330.into()),
            (TimeForm::Milliseconds, 1_614_265_330_123_i64.into()),
        ] {
            assert_eq!(time_value(time, form), written);
        }
    }

    #[test]
    fn what_is_not_documented_is_empty_and_says_so() {
        let payload = of_event(&provider("quote3d"), "file.uploaded", false).unwrap();
        let body: Value = serde_json::from_slice(&payload.body).unwrap();
        assert_eq!((&body["data"], body.get("id")), (&serde_json::json!({}), None));
        assert!(body["timestamp"].as_str().unwrap().ends_with('Z'), "{body}");
        assert!(payload.note.unwrap().contains("documents no payload for file.uploaded"));

        let payload = of_event(&provider("3qpr"), "scan.deleted", false).unwrap();
        assert!(payload.note.unwrap().contains("do not name the event scan.deleted"));
        let body: Value = serde_json::from_slice(&payload.body).unwrap();
        assert!(body["id"].is_string() && body.get("timestamp").is_none(), "{body}");

        // A file may declare another provider with a built-in one's name.
        let declared = r#"{"name":"quote3d","signature":{"header":"x-s"}}"#;
        let payload = of_event(&of_json(declared).unwrap(), "quote.completed", false).unwrap();
        assert!(payload.note.unwrap().contains("no sample payload of quote3d is built in"));

        assert!(of_event(&provider("quote3d"), "a\nb", false).is_err());
    }
}
