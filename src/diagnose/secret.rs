//! The keys that the provider may have signed with, instead of the secret.

use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::cause::Cause;
use crate::mac::Secret;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Decodes base64 of either alphabet, with or without padding.
pub(super) fn base64_decoded(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    // The text may be a secret, so the buffer is wiped also when decoding fails half-way.
    let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
    let decoded =
        STANDARD.decode_slice(text, &mut bytes).or_else(|_| URL_SAFE.decode_slice(text, &mut bytes));
    bytes.truncate(decoded.ok()?);
    Some(bytes)
}

/// Decodes hex, into a wiped buffer for the same reason.
fn hex_decoded(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; text.len() / 2]);
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

/// A key to try, and the accidents that would have happened to the secret.
pub(super) struct TriedKey {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    pub(super) causes: Vec<Cause>,
    pub(super) label: Option<Arc<str>>,
}

impl TriedKey {
    pub(super) fn new(secret: &Secret, other: Option<&str>) -> Self {
        Self {
            bytes: Zeroizing::new(secret.text().to_vec()),
            causes: other.map(|name| Cause::SecretOfOther { name: name.to_owned() }).into_iter().collect(),
            label: secret.label().cloned(),
        }
    }

    fn after(&self, cause: Cause, bytes: Zeroizing<Vec<u8>>) -> Self {
        let causes = self.causes.iter().cloned().chain([cause]).collect();
        Self { bytes, causes, label: self.label.clone() }
    }

    /// Lists the key itself, then one key for each accident, then those for pairs of accidents.
    pub(super) fn with_variants(self) -> Vec<Self> {
        let singles = self.variants();
        let pairs = singles.iter().filter(|key| {
            matches!(
                key.causes.last(),
                Some(Cause::SecretPrefixDropped | Cause::SecretQuoted | Cause::SecretPadded)
            )
        });
        let pairs: Vec<_> = pairs.flat_map(Self::variants).filter(|key| key.bytes != self.bytes).collect();
        std::iter::once(self).chain(singles).chain(pairs).collect()
    }

    fn variants(&self) -> Vec<Self> {
        let secret = &**self.bytes;
        let mut keys = Vec::new();
        let mut add = |cause: Cause, bytes: Option<Zeroizing<Vec<u8>>>| {
            let bytes = bytes.filter(|bytes| !bytes.is_empty() && **bytes != secret);
            keys.extend(bytes.map(|bytes| self.after(cause, bytes)));
        };
        for (before, after) in [("", "\n"), ("", "\r\n"), ("", " "), (" ", ""), ("", "\r")] {
            add(Cause::SecretSignedWithWhitespace, Some(around(before, secret, after)));
        }
        add(
            Cause::SecretPadded,
            std::str::from_utf8(secret).ok().map(|text| wiped(text.trim_matches(is_invisible))),
        );
        for quote in ["\"", "'", "`"] {
            let unquoted =
                secret.strip_prefix(quote.as_bytes()).and_then(|rest| rest.strip_suffix(quote.as_bytes()));
            add(Cause::SecretQuoted, unquoted.map(wiped));
        }
        for quote in ["\"", "'"] {
            add(Cause::SecretSignedWithQuotes, Some(around(quote, secret, quote)));
        }
        add(Cause::SecretPrefixDropped, secret.strip_prefix(b"whsec_").map(wiped));
        if !secret.starts_with(b"whsec_") {
            add(Cause::SecretPrefixMissing, Some(around("whsec_", secret, "")));
        }
        add(Cause::SecretHexDecoded, hex_decoded(secret));
        add(Cause::SecretHexEncoded, Some(wiped(hex::encode(secret))));
        add(Cause::SecretBase64Decoded, base64_decoded(secret));
        add(
            Cause::SecretBase64Encoded,
            Some(wiped(base64::engine::general_purpose::STANDARD.encode(secret))),
        );
        keys
    }
}

fn around(before: &str, secret: &[u8], after: &str) -> Zeroizing<Vec<u8>> {
    wiped([before.as_bytes(), secret, after.as_bytes()].concat())
}

/// Bytes that are wiped when they are dropped.
fn wiped(bytes: impl Into<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(bytes.into())
}

fn is_invisible(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || matches!(character, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}')
}
