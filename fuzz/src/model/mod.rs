//! A second reading of a declaration and of a delivery, written from the documentation of `DeclaredProvider` and of
//! `Scheme`: it shares no code with the crate.

mod json;
mod parts;
mod verdict;

pub(crate) use parts::{Part, splits};
pub(crate) use verdict::{Pairs, one};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use ring::hmac;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A declaration that makes sense.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) algorithm: Algorithm,
    pub(crate) key: KeyEncoding,
    pub(crate) encoding: Encoding,
    pub(crate) headers: Vec<String>,
    /// The other beginning of all headers' names, as the built-in Standard Webhooks has one.
    pub(crate) family: Option<(&'static str, &'static str)>,
    pub(crate) separator: Option<char>,
    /// What stands before each tag: the prefix, the version, or the key of a field and `=`.
    pub(crate) before: String,
    pub(crate) time: Option<Time>,
    pub(crate) parts: Vec<Part>,
    pub(crate) is_opaque: bool,
    /// Headers that the envelope reads.
    pub(crate) event_headers: Vec<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Time {
    pub(crate) place: Place,
    pub(crate) unit: Unit,
    pub(crate) tolerance: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Header(String),
    /// The key of the field and `=`.
    Field(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Sha256,
    Sha1,
    Sha512,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyEncoding {
    Text,
    Hex,
    Base64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Hex,
    Base64,
    Base64Url,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Seconds,
    Milliseconds,
    Rfc3339,
}

impl Algorithm {
    pub(crate) fn sign(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha512 => hmac::HMAC_SHA512,
        };
        hmac::sign(&hmac::Key::new(algorithm, key), message).as_ref().to_vec()
    }

    fn length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha1 => 20,
            Self::Sha512 => 64,
        }
    }
}

impl KeyEncoding {
    /// A secret that spells this key.
    pub(crate) fn spell(self, key: &[u8]) -> String {
        match self {
            Self::Text => String::from_utf8(key.to_vec()).expect("a key of letters"),
            Self::Hex => digits(key),
            Self::Base64 => format!("whsec_{}", STANDARD.encode(key)),
        }
    }
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Encoding {
    pub(crate) fn write(self, tag: &[u8]) -> String {
        match self {
            Self::Hex => digits(tag),
            Self::Base64 => STANDARD.encode(tag),
            Self::Base64Url => URL_SAFE.encode(tag),
        }
    }

    /// The tag whose only spelling this is.
    fn read(self, text: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(text).ok()?;
        let tag = match self {
            Self::Hex if text.is_ascii() => {
                let pairs = text.as_bytes().chunks(2);
                let pair = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
                pairs.map(pair).collect::<Option<Vec<u8>>>()?
            }
            Self::Hex => return None,
            Self::Base64 => STANDARD.decode(text).ok()?,
            Self::Base64Url => URL_SAFE.decode(text).ok()?,
        };
        (self.write(&tag) == text).then_some(tag)
    }
}

impl Unit {
    /// Whether a text is a time of this unit.
    pub(crate) fn is_time(self, text: &[u8]) -> bool {
        self.nanoseconds(text).is_some()
    }

    /// The time in nanoseconds since 1970.
    fn nanoseconds(self, text: &[u8]) -> Option<i128> {
        let text = std::str::from_utf8(text).ok()?;
        let number = |length| -> Option<i128> {
            let is_one = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
            if is_one { text.parse().ok() } else { None }
        };
        match self {
            Self::Seconds => number(10).map(|seconds| 1_000_000_000 * seconds),
            Self::Milliseconds => number(13).map(|milliseconds| 1_000_000 * milliseconds),
            Self::Rfc3339 => {
                // Capitals, a digit where a digit is due, and a fraction of at most nine.
                let (beginning, rest) = (text.get(..19)?, text.get(19..)?);
                let form: String =
                    beginning.chars().map(|each| if each.is_ascii_digit() { '0' } else { each }).collect();
                let offset = rest.trim_start_matches(|each: char| each == '.' || each.is_ascii_digit());
                let fraction = &rest[..rest.len() - offset.len()];
                let is_fraction = fraction.is_empty()
                    || (2..=10).contains(&fraction.len())
                        && fraction.starts_with('.')
                        && !fraction[1..].contains('.');
                let is_form = form == "0000-00-00T00:00:00"
                    && is_fraction
                    && (offset == "Z" || offset.len() == 6 && offset.starts_with(['+', '-']));
                if !is_form {
                    return None;
                }
                let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
                Some(time.unix_timestamp_nanos())
            }
        }
    }

    /// Writes a time in seconds.
    pub(crate) fn write(self, seconds: u64) -> String {
        match self {
            Self::Seconds => format!("{seconds:010}"),
            Self::Milliseconds => format!("{:013}", 1000 * seconds),
            Self::Rfc3339 => {
                let time = OffsetDateTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
                let (date, clock) = (time.date(), time.time());
                format!(
                    "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
                    date.year(),
                    u8::from(date.month()),
                    date.day(),
                    clock.hour(),
                    clock.minute(),
                    clock.second()
                )
            }
        }
    }
}

/// Whether a text is a header's name in lower case.
fn is_token(name: &str) -> bool {
    let is_one =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=128).contains(&name.len()) && name.bytes().all(is_one)
}
