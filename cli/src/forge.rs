//! Deliveries that a receiver must refuse, each forged in one known way.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;
use countersign::Secret;
use countersign::http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::provider::ProviderName;
use crate::signed::{Request, Signer, signature};
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
    /// The right signature in upper-case hex
    UpperCase,
    /// The right signature in base64
    Base64,
    /// The right signature without `sha256=`
    NoPrefix,
    /// The right signature with the prefix `sha1=`
    WrongPrefix,
    /// The right signature without its last digit
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
            Self::NotJson => (400, "malformed_payload"),
            Self::InvalidEvent => (422, "invalid_event"),
            Self::LyingEvent => (400, "event_mismatch"),
            Self::MissingEvent => (400, "missing_event_header"),
            Self::DuplicateEvent => (400, "duplicate_event_header"),
            Self::All => (400, ""),
        }
    }

    /// The forgeries of this kind that the delivery allows.
    pub(crate) fn each(self, provider: ProviderName, event: &str) -> Result<Vec<Self>, Failure> {
        if self == Self::All {
            let each = Self::value_variants().iter().copied();
            return Ok(each.filter(|kind| *kind != Self::All && kind.fits(provider, event)).collect());
        }
        if self.fits(provider, event) {
            return Ok(vec![self]);
        }
        let why = match self {
            Self::InvalidEvent => {
                "it needs an event with a documented payload: quote3d's quote.completed or nowtoprint's quote.received"
                    .to_owned()
            }
            _ => format!("{provider} has no event header"),
        };
        Err(Failure::usage(format!("--forge {} is not possible here: {why}", self.name())))
    }

    fn fits(self, provider: ProviderName, event: &str) -> bool {
        match self {
            Self::LyingEvent | Self::MissingEvent | Self::DuplicateEvent => provider.event_header().is_some(),
            Self::InvalidEvent => matches!(
                (provider, event),
                (ProviderName::Quote3d, "quote.completed") | (ProviderName::NowToPrint, "quote.received")
            ),
            _ => true,
        }
    }

    /// Forges the delivery of this body.
    pub(crate) fn forge(self, signer: &Signer, body: Vec<u8>) -> Result<Request, Failure> {
        let genuine = signer.sign(body.clone())?;
        let header = &signer.signature_header;
        let tag = signature(&signer.secret, &body);
        let tag = tag.to_str().unwrap_or_default().trim_start_matches("sha256=").to_owned();
        let event_header = signer.provider.event_header();
        let mut request = genuine.clone();
        match self {
            Self::WrongSecret => {
                let other = secret_of(&[b"a-secret-that-nobody-was-told-", &random()[..]].concat())?;
                request.set(header, &[signature(&other, &body)]);
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
            Self::DuplicateSignature => {
                let value = value(&format!("sha256={tag}"));
                request.set(header, &[value.clone(), value]);
            }
            Self::UpperCase => request.set(header, &[value(&format!("sha256={}", tag.to_uppercase()))]),
            Self::Base64 => {
                request.set(header, &[value(&format!("sha256={}", STANDARD.encode(unhex(&tag))))])
            }
            Self::NoPrefix => request.set(header, &[value(&tag)]),
            Self::WrongPrefix => request.set(header, &[value(&format!("sha1={tag}"))]),
            Self::Truncated => request.set(header, &[value(&format!("sha256={}", &tag[..tag.len() - 1]))]),
            Self::NotJson => {
                request.body = [b"not json: ", &body[..]].concat().into();
                request.set(header, &[signature(&signer.secret, &request.body)]);
            }
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
                let event = event_header.as_ref().and_then(|name| genuine.value(name)).cloned();
                let twice: Vec<_> = event.into_iter().flat_map(|event| [event.clone(), event]).collect();
                set_event(&mut request, event_header, &twice);
            }
            Self::All => return Err(Failure::usage("--forge all stands for many deliveries")),
        }
        Ok(request)
    }
}

impl Request {
    /// Replaces all values of a header with these.
    fn set(&mut self, name: &HeaderName, values: &[HeaderValue]) {
        self.headers.retain(|(present, _)| present != name);
        self.headers.extend(values.iter().map(|value| (name.clone(), value.clone())));
    }

    fn value(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.headers.iter().find(|(present, _)| present == name).map(|(_, value)| value)
    }
}

fn set_event(request: &mut Request, name: Option<HeaderName>, values: &[HeaderValue]) {
    if let Some(name) = name {
        request.set(&name, values);
    }
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("hex, base64 and names are ASCII")
}

fn random() -> [u8; 8] {
    let random = getrandom::u64().expect("the system has random numbers");
    random.to_be_bytes().map(|byte| b'a' + byte % 26)
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
    fn the_same_json_is_laid_out_in_other_bytes() {
        for body in ["{}", "[]", "1", "{ }", "{\"a\":1}", "{\"a\": 1}", "{\n  \"a\": 1\n}"] {
            let other = reserialized(body.as_bytes()).unwrap();
            assert_ne!(other, body.as_bytes());
            let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
            assert_eq!(read(&other), read(body.as_bytes()));
        }
        assert!(reserialized(b"{").is_err());
    }
}
