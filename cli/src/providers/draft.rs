//! A declaration in the making, from what a person knows of a provider: above all a header as it arrives.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What the questions do not ask.
pub(super) const WHAT_TO_CHECK: &str =
    "look at `secret` (text, hex or base64), at `event`, and at the signature that you gave as an example";

pub(super) struct Draft {
    name: String,
    algorithm: &'static str,
    signature: Map<String, Value>,
    timestamp: Option<Map<String, Value>>,
    signed: String,
    event: Map<String, Value>,
}

/// How long a tag is, by its algorithm and its encoding.
const TAGS: [(&str, &str, usize); 9] = [
    ("hmac-sha512", "hex", 128),
    ("hmac-sha256", "hex", 64),
    ("hmac-sha1", "hex", 40),
    ("hmac-sha512", "base64", 88),
    ("hmac-sha512", "base64url", 86),
    ("hmac-sha256", "base64", 44),
    ("hmac-sha256", "base64url", 43),
    ("hmac-sha1", "base64", 28),
    ("hmac-sha1", "base64url", 27),
];

/// The tolerance of most providers' libraries.
const TOLERANCE: u64 = 300;

impl Draft {
    /// Reads the form of the signature from an example, `Name: value`.
    pub(super) fn new(name: &str, header: &str) -> Result<Self, String> {
        let (header, value) = line(header)?;
        let mut signature = Map::from_iter([("header".to_owned(), header.into())]);
        let (form, tag) = form(value).ok_or_else(|| {
            let lengths = "40, 64 or 128 hex digits, or 28, 44 or 88 characters of base64";
            format!("no signature is found in {value:?}\n  It needs {lengths}. Give a whole one: its value does not matter.")
        })?;
        let (algorithm, encoding, _) = tag;
        signature.insert("encoding".to_owned(), encoding.into());
        let timestamp = form.time.map(|(field, unit)| {
            Map::from_iter([("field".to_owned(), field.into()), ("unit".to_owned(), unit.into())])
        });
        signature.extend(form.members);
        Ok(Self {
            name: name.to_owned(),
            algorithm,
            signature,
            timestamp,
            signed: "{body}".to_owned(),
            event: Map::new(),
        })
    }

    /// The template that is likely.
    pub(super) fn usual_template(&self) -> &'static str {
        if self.timestamp.is_some() { "{timestamp}.{body}" } else { "{body}" }
    }

    /// Whether a template signs a time of which no header is known yet.
    pub(super) fn needs_time(&self, template: &str) -> bool {
        self.timestamp.is_none() && template.contains("{timestamp}")
    }

    /// Sets what is signed, with an example of the header that has the time, if one is needed.
    pub(super) fn sign(&mut self, template: &str, time: Option<&str>) -> Result<(), String> {
        if let Some(time) = time {
            let (header, value) = line(time)?;
            let unit = unit(value).ok_or_else(|| {
                format!("{value:?} is no time: neither RFC 3339 nor a number of seconds or milliseconds")
            })?;
            self.timestamp = Some(Map::from_iter([
                ("header".to_owned(), header.into()),
                ("unit".to_owned(), unit.into()),
            ]));
        }
        if let Some(timestamp) = &mut self.timestamp {
            timestamp.insert("tolerance_s".to_owned(), TOLERANCE.into());
        }
        template.clone_into(&mut self.signed);
        Ok(())
    }

    /// Sets where the event's name stands: a member, `header:NAME` or `none`.
    pub(super) fn name_events(&mut self, place: &str) {
        let (name, has_data) = match place.split_once(':') {
            Some(("header", name)) => (json!({ "header": name.trim() }), false),
            _ if place == "none" => (Value::Null, false),
            _ => (place.into(), true),
        };
        let data = if has_data { "data".into() } else { Value::Null };
        self.event = Map::from_iter([
            ("name".to_owned(), name),
            ("id".to_owned(), "id".into()),
            ("timestamp".to_owned(), "timestamp".into()),
            ("data".to_owned(), data),
        ]);
    }

    pub(super) fn to_json(&self) -> String {
        let mut declaration = Map::from_iter([
            ("name".to_owned(), Value::from(&*self.name)),
            ("algorithm".to_owned(), self.algorithm.into()),
            ("secret".to_owned(), "text".into()),
            ("signature".to_owned(), self.signature.clone().into()),
            ("signed".to_owned(), (&*self.signed).into()),
        ]);
        if let Some(timestamp) = &self.timestamp {
            declaration.insert("timestamp".to_owned(), timestamp.clone().into());
        }
        declaration.insert("event".to_owned(), self.event.clone().into());
        serde_json::to_string_pretty(&declaration).expect("a declaration is JSON") + "\n"
    }
}

/// Splits `Name: value`.
fn line(text: &str) -> Result<(&str, &str), String> {
    let (name, value) = text.split_once(':').ok_or("a header is needed as it arrives: NAME: VALUE")?;
    Ok((name.trim(), value.trim()))
}

/// The unit of a time, as an example shows it.
fn unit(example: &str) -> Option<&'static str> {
    let is_number = !example.is_empty() && example.bytes().all(|byte| byte.is_ascii_digit());
    match example.len() {
        _ if OffsetDateTime::parse(example, &Rfc3339).is_ok() => Some("rfc3339"),
        ..=11 if is_number => Some("s"),
        12.. if is_number => Some("ms"),
        _ => None,
    }
}

type Tag = (&'static str, &'static str, usize);

/// The algorithm and the encoding of a text that is a tag as a whole.
fn tag(text: &str) -> Option<Tag> {
    let (is_hex, is_base64) = (
        |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')),
        |text: &str, more: &[u8]| {
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
        },
    );
    TAGS.into_iter().find(|(_, encoding, length)| {
        text.len() == *length
            && match *encoding {
                "hex" => is_hex(text),
                "base64" => text.ends_with('=') && is_base64(text, b"+/="),
                _ => is_base64(text, b"-_"),
            }
    })
}

/// What stands around the tags of a value.
#[derive(Default)]
struct Form<'a> {
    members: Vec<(String, Value)>,
    /// The key of the time, and its unit.
    time: Option<(&'a str, &'static str)>,
}

fn form(value: &str) -> Option<(Form<'_>, Tag)> {
    // Of `v1-` and hex digits, all could be base64url.
    let is_hex_at_end = |text: &str| {
        let length = text.bytes().rev().take_while(u8::is_ascii_hexdigit).count();
        length < text.len() && matches!(length, 40 | 64 | 128)
    };
    if let Some(tag) = tag(value).filter(|_| !is_hex_at_end(value)) {
        return Some((Form::default(), tag));
    }
    for separator in [',', ';', ' ', '&'] {
        let items: Vec<_> = value.split(separator).map(|item| item.trim().split_once('=')).collect();
        let of_items = || items.iter().flatten();
        // Not `sha256=…` alone, which is a prefix.
        if items.len() > 1
            && let Some((key, tag)) = of_items().find_map(|(key, value)| Some((*key, tag(value)?)))
        {
            let time =
                of_items().find_map(|(key, value)| Some((*key, unit(value).filter(|_| value.len() >= 9)?)));
            let members = vec![
                ("separator".to_owned(), separator.to_string().into()),
                ("field".to_owned(), key.into()),
            ];
            return Some((Form { members, time }, tag));
        }
    }
    let first = value.split(' ').next().unwrap_or_default();
    for (text, is_list) in [(first, true), (value, false)] {
        for (algorithm, encoding, length) in TAGS {
            let Some((before, rest)) =
                text.len().checked_sub(length).and_then(|at| text.split_at_checked(at))
            else {
                continue;
            };
            // A letter or a digit before it would be a part of a longer tag.
            let is_whole = !before.ends_with(|last: char| last.is_ascii_alphanumeric());
            if !is_whole || tag(rest) != Some((algorithm, encoding, length)) {
                continue;
            }
            // `v1,` begins an item of a list, as Standard Webhooks write it.
            let members = match is_list && before.ends_with(',') {
                true => vec![("separator".to_owned(), " ".into()), ("each".to_owned(), before.into())],
                false => vec![("prefix".to_owned(), before.into())],
            };
            return Some((Form { members, time: None }, (algorithm, encoding, length)));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::of_json;

    const HEX: &str = "4794b7d0082f007cdce251446147dfa908440fccbb443e264a41757e94b4bb48";
    const BASE64: &str = "R5S30AgvAHzc4lFEYUffqQhED8y7RD4mSkF1fpS0u0g=";

    #[test]
    fn the_form_of_a_signature_is_read_from_an_example() {
        let sha1 = &HEX[..40];
        for (value, signature, time) in [
            (HEX.to_owned(), json!({"encoding": "hex"}), None),
            (BASE64.to_owned(), json!({"encoding": "base64"}), None),
            (format!("sha256={HEX}"), json!({"encoding": "hex", "prefix": "sha256="}), None),
            (format!("sha1={sha1}"), json!({"encoding": "hex", "prefix": "sha1="}), None),
            (format!("v1-{sha1}"), json!({"encoding": "hex", "prefix": "v1-"}), None),
            (format!("HMAC {BASE64}"), json!({"encoding": "base64", "prefix": "HMAC "}), None),
            (
                format!("t=1614265330,v1={HEX},v0={HEX}"),
                json!({"encoding": "hex", "separator": ",", "field": "v1"}),
                Some(json!({"field": "t", "unit": "s"})),
            ),
            (
                format!("ts=1614265330123;h1={HEX}"),
                json!({"encoding": "hex", "separator": ";", "field": "h1"}),
                Some(json!({"field": "ts", "unit": "ms"})),
            ),
            (format!("v1,{BASE64}"), json!({"encoding": "base64", "separator": " ", "each": "v1,"}), None),
            (
                format!("v1,{BASE64} v1a,abc"),
                json!({"encoding": "base64", "separator": " ", "each": "v1,"}),
                None,
            ),
        ] {
            let draft = Draft::new("acme", &format!("X-Acme-Signature: {value}")).unwrap();
            let mut expected = signature;
            expected["header"] = "X-Acme-Signature".into();
            assert_eq!(Value::from(draft.signature.clone()), expected, "{value}");
            assert_eq!(draft.timestamp.clone().map(Value::from), time, "{value}");
            let algorithm = if value.ends_with(sha1) { "hmac-sha1" } else { "hmac-sha256" };
            assert_eq!(draft.algorithm, algorithm, "{value}");
            let mut draft = draft;
            draft.sign(draft.usual_template(), None).unwrap();
            draft.name_events("event");
            of_json(&draft.to_json()).unwrap_or_else(|error| panic!("{error}: {}", draft.to_json()));
        }
    }

    #[test]
    fn what_shows_no_signature_or_no_time_is_refused() {
        let sha384 = "ab".repeat(48);
        let upper = HEX.to_uppercase();
        // As long as base64, and without its end or its characters.
        let (endless, strange) = ("a".repeat(44), format!("{}=", "!".repeat(43)));
        for value in
            ["", "sha256=4f0c…", "é", &sha384, &upper, &format!("sha256={upper}"), &endless, &strange]
        {
            assert!(Draft::new("acme", &format!("X-S: {value}")).is_err(), "{value}");
        }
        assert!(Draft::new("acme", "X-Acme-Signature").is_err());
        for (time, unit) in
            [("1614265330", "s"), ("1614265330123", "ms"), ("2026-03-10T14:30:00Z", "rfc3339")]
        {
            let mut draft = Draft::new("acme", &format!("X-S: {HEX}")).unwrap();
            draft.sign("{timestamp}.{body}", Some(&format!("X-T: {time}"))).unwrap();
            assert_eq!(draft.timestamp.unwrap()["unit"], unit);
        }
        for time in ["hello", "", "-1", "half past seven"] {
            let mut draft = Draft::new("acme", &format!("X-S: {HEX}")).unwrap();
            assert!(draft.sign("{timestamp}.{body}", Some(&format!("X-T: {time}"))).is_err(), "{time}");
        }
    }
}
