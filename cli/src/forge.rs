//! Deliveries that a receiver must refuse, each forged in one known way.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;
use std::ops::Range;
use std::time::{Duration, SystemTime};

use countersign::Secret;
use countersign::http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::provider::{NamePlace, Provider};
use crate::signed::{Request, Signer};
use crate::{json, layout};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Forgery {
    /// Signed with another secret
    WrongSecret,
    /// One byte of the body changed after signing
    FlippedByte,
    /// The body parsed and written again after signing, as a proxy or a middleware does
    Reserialized,
    /// A newline added to the body after signing
    NewlineBody,
    /// Not signed at all
    MissingSignature,
    /// The right signature, twice
    DuplicateSignature,
    /// Correctly signed, an hour before what is accepted (if a signed time has a tolerance)
    StaleTime,
    /// The right signature in upper-case hex (if it is hex)
    UpperCase,
    /// The right signature in base64 (if it is hex)
    Base64,
    /// The right signature without `sha256=` (if it has that)
    NoPrefix,
    /// The right signature with the prefix `sha1=` (if it has `sha256=`)
    WrongPrefix,
    /// The right signature without its last character
    Truncated,
    /// Correctly signed, but not JSON
    NotJson,
    /// Correctly signed, but its data lacks a documented field (quote.completed, quote.received)
    InvalidEvent,
    /// Correctly signed, but the event header names another event (Quote3D)
    LyingEvent,
    /// Correctly signed, without the event header (Quote3D)
    MissingEvent,
    /// Correctly signed, with the event header twice (Quote3D)
    DuplicateEvent,
    /// Each of them in turn
    All,
}

impl Forgery {
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// The status and code that a receiver built with this crate answers.
    pub(crate) fn expected(self) -> (u16, &'static str) {
        match self {
            Self::WrongSecret | Self::FlippedByte | Self::Reserialized | Self::NewlineBody => {
                (401, "signature_mismatch")
            }
            Self::MissingSignature => (401, "missing_signature"),
            Self::DuplicateSignature => (401, "duplicate_signature"),
            Self::UpperCase | Self::Base64 | Self::NoPrefix | Self::WrongPrefix | Self::Truncated => {
                (401, "malformed_signature")
            }
            Self::StaleTime => (400, "stale"),
            Self::NotJson => (400, "malformed_payload"),
            Self::InvalidEvent => (422, "invalid_event"),
            Self::LyingEvent => (400, "event_mismatch"),
            Self::MissingEvent => (400, "missing_event_header"),
            Self::DuplicateEvent => (400, "duplicate_event_header"),
            Self::All => (400, ""),
        }
    }

    /// The forgeries of this kind that the delivery allows.
    pub(crate) fn each(self, signer: &Signer, body: &[u8], event: &str) -> Result<Vec<Self>, Failure> {
        let fits = |kind: &Self| kind.lacks(signer, body, event).is_none();
        if self == Self::All {
            let each = Self::value_variants().iter().copied();
            return Ok(each.filter(|kind| *kind != Self::All && fits(kind)).collect());
        }
        match self.lacks(signer, body, event) {
            None => Ok(vec![self]),
            Some(why) => Err(Failure::usage(format!("--forge {} is not possible here: {why}", self.name()))),
        }
    }

    /// What the delivery lacks for this forgery.
    fn lacks(self, signer: &Signer, body: &[u8], event: &str) -> Option<String> {
        let provider = &signer.provider;
        let has_header = matches!(provider.members().name, NamePlace::Both(..));
        let value = || signer.sign_anything(body.to_vec()).text(&signer.signature_header);
        let (fits, why) = match self {
            Self::LyingEvent | Self::DuplicateEvent if !has_header => {
                (false, format!("{provider} has no event header that repeats the body's event"))
            }
            Self::MissingEvent => {
                (provider.event_header().is_some(), format!("{provider} has no event header"))
            }
            Self::InvalidEvent => (
                provider.is_built_in() && matches!(
                    (provider.slug(), event),
                    ("quote3d", "quote.completed") | ("nowtoprint", "quote.received")
                ),
                "it needs an event with a documented payload: quote3d's quote.completed or nowtoprint's quote.received"
                    .to_owned(),
            ),
            Self::FlippedByte => (!body.is_empty(), "the body is empty".to_owned()),
            Self::Reserialized => (layout::json(body).is_some(), "the body is not JSON".to_owned()),
            Self::NotJson => (provider.is_json(), format!("{provider}'s bodies need not be JSON")),
            Self::StaleTime => {
                (provider.tolerance().is_some(), format!("{provider} has no tolerance of a signed time"))
            }
            Self::UpperCase | Self::Base64 => {
                let value = value();
                (is_hex(&value[tag_in(&value, provider.before_tag())]), format!("{provider}'s signatures are not hex"))
            }
            Self::NoPrefix | Self::WrongPrefix => {
                (value().starts_with("sha256="), format!("{provider}'s signatures do not begin with sha256="))
            }
            _ => return None,
        };
        (!fits).then_some(why)
    }

    /// Forges the delivery of this body.
    pub(crate) fn forge(self, signer: &Signer, body: Vec<u8>) -> Result<Request, Failure> {
        let genuine = signer.sign(body.clone())?;
        let header = &signer.signature_header;
        let signature = genuine.text(header);
        let tag = tag_in(&signature, signer.provider.before_tag());
        let with_tag =
            |new: &str| value(&format!("{}{new}{}", &signature[..tag.start], &signature[tag.end..]));
        let event_header = signer.provider.event_header();
        let mut request = genuine.clone();
        match self {
            Self::WrongSecret => {
                let other = secret_of(&[b"a-secret-that-nobody-was-told-", &random()[..]].concat())?;
                request = signer.sign_by(other.into(), body)?;
            }
            Self::FlippedByte => {
                // A changed digit, such as another price, keeps the body JSON.
                let digit = body.iter().rposition(u8::is_ascii_digit);
                let mut flipped = body;
                if let Some(byte) = flipped.get_mut(digit.unwrap_or(0)) {
                    *byte ^= 1;
                }
                request.body = flipped.into();
            }
            Self::Reserialized => request.body = reserialized(&body)?.into(),
            Self::NewlineBody => request.body = [&body[..], b"\n"].concat().into(),
            Self::MissingSignature => request.set(header, &[]),
            Self::DuplicateSignature => request.set(header, &[value(&signature), value(&signature)]),
            Self::StaleTime => request = signer.sign_at(too_old(&signer.provider), body),
            Self::UpperCase => request.set(header, &[with_tag(&signature[tag.clone()].to_uppercase())]),
            Self::Base64 => {
                request.set(header, &[with_tag(&STANDARD.encode(unhex(&signature[tag.clone()])))])
            }
            Self::NoPrefix => request.set(header, &[value(signature.trim_start_matches("sha256="))]),
            Self::WrongPrefix => request.set(header, &[value(&signature.replacen("sha256=", "sha1=", 1))]),
            Self::Truncated => request.set(header, &[with_tag(&signature[tag.start..tag.end - 1])]),
            Self::NotJson => request = signer.sign_like(&genuine, [b"not json: ", &body[..]].concat()),
            Self::InvalidEvent => {
                let envelope = json::object::<Map<String, Value>>(&body);
                let mut envelope = envelope
                    .map_err(|error| Failure::usage(format!("the body cannot be changed: {error}")))?;
                envelope.insert("data".to_owned(), Value::Object(Map::new()));
                request = signer.sign(Value::Object(envelope).to_string().into_bytes())?;
            }
            Self::LyingEvent => set_event(&mut request, event_header, &[value("countersign.lie")]),
            Self::MissingEvent => set_event(&mut request, event_header, &[]),
            Self::DuplicateEvent => {
                let event = event_header.and_then(|name| genuine.value(name)).cloned();
                let twice: Vec<_> = event.into_iter().flat_map(|event| [event.clone(), event]).collect();
                set_event(&mut request, event_header, &twice);
            }
            Self::All => return Err(Failure::usage("--forge all stands for many deliveries")),
        }
        Ok(request)
    }
}

/// A time that is older than the provider's receivers accept, by an hour.
fn too_old(provider: &Provider) -> SystemTime {
    let age = provider.tolerance().unwrap_or_default().saturating_add(Duration::from_secs(3_600));
    SystemTime::now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The tag in the value of a signature header, after what a file declares to stand before it: the longest run of
/// characters that a tag may have. A time is shorter.
fn tag_in(value: &str, before: &str) -> Range<usize> {
    let from = if value.starts_with(before) { before.len() } else { 0 };
    let is_of_tag = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_');
    let mut longest = from..from;
    let mut at = from;
    for run in value[from..].split(|c: char| !is_of_tag(c)) {
        if run.len() > longest.len() {
            let padding = value[at + run.len()..].bytes().take_while(|byte| *byte == b'=').count();
            longest = at..at + run.len() + padding;
        }
        at = value.len().min(at + run.len() + 1);
    }
    longest
}

fn is_hex(text: &str) -> bool {
    matches!(text.len(), 40 | 64 | 128) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl Request {
    /// Replaces all values of a header with these.
    fn set(&mut self, name: &HeaderName, values: &[HeaderValue]) {
        self.headers.retain(|(present, _)| present != name);
        self.headers.extend(values.iter().map(|value| (name.clone(), value.clone())));
    }

    /// A value that is text, as every signature is.
    fn text(&self, name: &HeaderName) -> String {
        let value = self.value(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        value.unwrap_or_default().into_owned()
    }

    fn value(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.headers.iter().find(|(present, _)| present == name).map(|(_, value)| value)
    }
}

fn set_event(request: &mut Request, name: Option<&HeaderName>, values: &[HeaderValue]) {
    if let Some(name) = name {
        request.set(name, values);
    }
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("hex, base64 and names are ASCII")
}

fn random() -> [u8; 8] {
    getrandom::u64().expect("the system has random numbers").to_be_bytes()
}

fn secret_of(bytes: &[u8]) -> Result<Secret, Failure> {
    Secret::from_bytes(bytes).map_err(|error| Failure::usage(error.to_string()))
}

fn unhex(digits: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("a tag is hex");
    (0..digits.len()).step_by(2).map(pair).collect()
}

/// Lays the same JSON out in another way.
fn reserialized(body: &[u8]) -> Result<Vec<u8>, Failure> {
    let text = layout::json(body).ok_or_else(|| {
        Failure::usage("the body is not JSON, so it cannot be written again\n  Give another --forge, such as flipped-byte.")
    })?;
    let (compact, pretty) = (layout::compact(text), layout::pretty(text));
    let is_new = |other: &str| other.as_bytes() != body;
    let other = match () {
        () if is_new(&compact) => compact,
        () if is_new(&pretty) => pretty,
        // A body such as `{}` has one layout.
        () => format!(" {text}"),
    };
    Ok(other.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_is_found_in_each_form_of_a_signature() {
        let (hex, base64) = (
            "4794b7d0082f007cdce251446147dfa908440fccbb443e264a41757e94b4bb48",
            "R5S30AgvAHzc4lFEYUffqQhED8y7RD4mSkF1fpS0u0g=",
        );
        for (before, tag, after) in [
            ("", hex, ""),
            ("sha256=", hex, ""),
            ("t=1614265330,v1=", hex, ",v0=00"),
            // The first of two.
            ("v1=", hex, &*format!(",v1={}", "0".repeat(64))),
            ("ts=1614265330;h1=", hex, ""),
            ("", base64, ""),
            ("v1,", base64, " v1a,abc"),
        ] {
            let value = format!("{before}{tag}{after}");
            assert_eq!(&value[tag_in(&value, "")], tag, "{value}");
        }
        assert_eq!((tag_in("", ""), tag_in("", "f")), (0..0, 0..0));
        // A prefix of letters is no part of it.
        for before in ["f", "v1-", &"a".repeat(80)] {
            let value = format!("{before}{hex}");
            assert_eq!(&value[tag_in(&value, before)], hex, "{value}");
        }
    }

    #[test]
    fn a_tag_is_hex_by_its_length_and_its_characters() {
        for (digits, is_tag) in [("0f", true), ("0F", false), ("gf", false)] {
            for (length, is_length) in
                [(20, true), (32, true), (64, true), (0, false), (31, false), (48, false)]
            {
                assert_eq!(is_hex(&digits.repeat(length)), is_tag && is_length, "{digits} {length}");
            }
        }
    }

    #[test]
    fn the_same_json_is_laid_out_in_other_bytes() {
        for (body, other) in [
            ("{}", " {}"),
            ("[]", " []"),
            ("1", " 1"),
            ("{ }", "{}"),
            ("{\"a\":1}", "{\n  \"a\": 1\n}"),
            ("{\"a\": 1}", "{\"a\":1}"),
            ("{\n  \"a\": 1\n}", "{\"a\":1}"),
        ] {
            assert_eq!(String::from_utf8(reserialized(body.as_bytes()).unwrap()).unwrap(), other);
        }
        assert!(reserialized(b"{").is_err());
    }
}
