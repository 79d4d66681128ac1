//! What the headers claim: which tags, how they were made, and what they cover.

use super::cause::Cause;
use super::hash::Algorithm;
use super::secret::base64_decoded;

/// The most values that are read, and the greatest length of each, in bytes.
const MAX_VALUES: usize = 4;
const MAX_VALUE_LEN: usize = 2048;
/// The most parts that a joined value is split into.
const MAX_PARTS: usize = 4;
/// The longest name of a header that is shown, in bytes.
const MAX_NAME_LEN: usize = 64;

/// The headers that concern signatures.
#[derive(Default)]
pub(super) struct Found<'a> {
    /// The values of the provider's own header.
    pub(super) own: Vec<&'a [u8]>,
    /// Other headers that look like a signature header, with their names in lower case.
    pub(super) other: Vec<(String, &'a [u8])>,
    /// The id and the time of Standard Webhooks.
    id: Option<&'a [u8]>,
    timestamp: Option<&'a [u8]>,
    pub(super) content_length: Option<u64>,
    pub(super) is_encoded: bool,
}

impl<'a> Found<'a> {
    pub(super) fn add(&mut self, signature_header: &str, name: &str, value: &'a [u8]) {
        let name = name.to_ascii_lowercase();
        if name == signature_header {
            if self.own.len() < MAX_VALUES {
                self.own.push(value);
            }
            return;
        }
        match &*name {
            "webhook-id" | "svix-id" => self.id = Some(value),
            "webhook-timestamp" | "svix-timestamp" => self.timestamp = Some(value),
            "content-length" => {
                self.content_length =
                    std::str::from_utf8(value).ok().and_then(|text| text.trim().parse().ok());
            }
            "content-encoding" => self.is_encoded = !value.eq_ignore_ascii_case(b"identity"),
            _ => {}
        }
        let is_shown = name.len() <= MAX_NAME_LEN
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        let is_signature = name.contains("signature") || name.contains("hmac");
        if is_shown && is_signature && !name.contains("input") && self.other.len() < MAX_VALUES {
            self.other.push((name, value));
        }
    }

    /// Every way in which the values can be read.
    pub(super) fn claims(&self) -> Vec<Claim> {
        let mut claims = Claims(Vec::new());
        let repeated = (self.own.len() > 1).then_some(Cause::SignatureRepeated);
        let own = self.own.iter().map(|value| (None, *value, repeated.clone()));
        let other = self.other.iter().map(|(name, value)| {
            (Some(&**name), *value, Some(Cause::SignatureInOtherHeader { name: name.clone() }))
        });
        for (name, value, cause) in own.chain(other) {
            if value.len() > MAX_VALUE_LEN {
                continue;
            }
            let causes: Vec<_> = cause.into_iter().collect();
            if let Some((time, tags)) = stripes(value) {
                let causes =
                    if name.is_none_or(|name| name == "stripe-signature") { Vec::new() } else { causes };
                claims.of_message(&causes, Cause::SignatureOfStripe, &[time, b"."].concat(), tags);
            } else if let Some((before, tags)) = self.standard_webhooks(value) {
                let is_theirs = |name| matches!(name, "webhook-signature" | "svix-signature");
                let causes = if name.is_none_or(is_theirs) { Vec::new() } else { causes };
                claims.of_message(&causes, Cause::SignatureOfStandardWebhooks, &before, tags);
            } else {
                claims.of_value(&causes, value);
            }
        }
        claims.0
    }

    /// Reads values of `v1,` and base64, separated by spaces.
    fn standard_webhooks(&self, value: &[u8]) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
        let id = self.id.filter(|id| is_id(id))?;
        let timestamp = self.timestamp.filter(|timestamp| is_time(timestamp))?;
        let values = value.split(|byte| *byte == b' ').take(MAX_PARTS);
        let tags: Vec<_> =
            values.filter_map(|value| Some(base64_decoded(value.strip_prefix(b"v1,")?)?.to_vec())).collect();
        (!tags.is_empty()).then(|| ([id, b".", timestamp, b"."].concat(), tags))
    }
}

/// The sender chooses what stands before the body. If it could be any text, an attacker could cut a genuine body at a
/// period and call its first part a time, and its signature would seem to belong to another scheme. A JSON object begins
/// with neither.
fn is_time(value: &[u8]) -> bool {
    (1..=20).contains(&value.len()) && value.iter().all(u8::is_ascii_digit)
}

fn is_id(value: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_graphic() && !b"{\"".contains(byte);
    (1..=256).contains(&value.len()) && value.iter().all(is_allowed)
}

/// Reads `t=` with a time, and `v1=` with a tag in hex.
fn stripes(value: &[u8]) -> Option<(&[u8], Vec<Vec<u8>>)> {
    let parts = || value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let time = parts().find_map(|part| part.strip_prefix(b"t=")).filter(|time| is_time(time))?;
    let tags: Vec<_> =
        parts().filter_map(|part| hex::decode(part.strip_prefix(b"v1=")?).ok()).take(MAX_PARTS).collect();
    (!tags.is_empty()).then_some((time, tags))
}

/// A tag, and the accidents that it would have had.
pub(super) struct Claim {
    pub(super) algorithm: Algorithm,
    /// The signed bytes before the body.
    pub(super) before: Vec<u8>,
    pub(super) tag: Vec<u8>,
    pub(super) causes: Vec<Cause>,
}

struct Claims(Vec<Claim>);

impl Claims {
    /// Adds the tags of a scheme that signs more than the body.
    fn of_message(&mut self, causes: &[Cause], scheme: Cause, before: &[u8], tags: Vec<Vec<u8>>) {
        for tag in tags.into_iter().filter(|tag| tag.len() == 32) {
            let causes = [causes, std::slice::from_ref(&scheme)].concat();
            self.0.push(Claim { algorithm: Algorithm::Sha256, before: before.to_vec(), tag, causes });
        }
    }

    fn of_value(&mut self, causes: &[Cause], value: &[u8]) {
        self.of_part(causes, value);
        if value.contains(&b',') {
            for part in value.split(|byte| *byte == b',').take(MAX_PARTS) {
                self.of_part(&[causes, &[Cause::SignatureJoined]].concat(), part.trim_ascii());
            }
        }
    }

    fn of_part(&mut self, causes: &[Cause], value: &[u8]) {
        let mut causes = causes.to_vec();
        let value = bare(value, &mut causes);
        let (prefix, value) = split_prefix(value);
        let value = bare(value, &mut causes);
        let tag = if value.iter().all(u8::is_ascii_hexdigit) && matches!(value.len(), 40 | 64 | 128) {
            if value.iter().any(u8::is_ascii_uppercase) {
                causes.push(Cause::SignatureUpperCase);
            }
            hex::decode(value).ok()
        } else {
            causes.push(Cause::SignatureBase64);
            base64_decoded(value).map(|tag| tag.to_vec())
        };
        let Some(tag) = tag else { return };
        let (algorithm, name, cause) = match tag.len() {
            32 => (Algorithm::Sha256, "sha256", None),
            20 => (Algorithm::Sha1, "sha1", Some(Cause::SignatureSha1)),
            64 => (Algorithm::Sha512, "sha512", Some(Cause::SignatureSha512)),
            _ => return,
        };
        causes.extend(cause);
        match prefix {
            None => causes.push(Cause::SignaturePrefixMissing),
            Some(prefix) if prefix == format!("{name}=").as_bytes() || prefix == b"sha256=" => {}
            Some(_) => causes.push(Cause::SignaturePrefixOther),
        }
        if algorithm == Algorithm::Sha256 {
            let causes = [&*causes, &[Cause::SignatureWithoutSecret]].concat();
            let (before, tag) = (Vec::new(), tag.clone());
            self.0.push(Claim { algorithm: Algorithm::PlainSha256, before, tag, causes });
        }
        self.0.push(Claim { algorithm, before: Vec::new(), tag, causes });
    }
}

/// Removes the white space and the quotes around a value.
fn bare<'a>(value: &'a [u8], causes: &mut Vec<Cause>) -> &'a [u8] {
    let mut add = |cause: Cause| {
        if !causes.contains(&cause) {
            causes.push(cause);
        }
    };
    let mut bare = value.trim_ascii();
    if bare != value {
        add(Cause::SignaturePadded);
    }
    for quote in [b'"', b'\''] {
        if let [first, within @ .., last] = bare
            && *first == quote
            && *last == quote
        {
            add(Cause::SignatureQuoted);
            bare = within.trim_ascii();
        }
    }
    bare
}

/// Splits off a short name with its `=`, `:` or `,`.
fn split_prefix(value: &[u8]) -> (Option<&[u8]>, &[u8]) {
    const MAX_PREFIX_LEN: usize = 16;
    let at = value.iter().take(MAX_PREFIX_LEN).position(|byte| matches!(byte, b'=' | b':' | b','));
    at.map_or((None, value), |at| {
        let (prefix, rest) = value.split_at(at + 1);
        (Some(prefix), rest)
    })
}
