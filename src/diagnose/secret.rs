//! The keys that the provider may have signed with, instead of the secret.

use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::cause::Cause;
use crate::mac::{KeyEncoding, Secret};

/// What many providers write before a secret.
const PREFIX: &str = "whsec_";

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
    /// How a secret spells its key under the scheme that the accidents are those of.
    pub(super) encoding: KeyEncoding,
}

/// Lists the key that the secret spells under a scheme with this encoding, then one key for each accident, then those for
/// pairs of accidents.
pub(super) fn keys_of(secret: &Secret, encoding: KeyEncoding, owner: Option<&str>) -> Vec<TriedKey> {
    // A binary key is itself under every encoding.
    let is_binary = secret.key(KeyEncoding::Hex).is_ok_and(|key| key.bytes() == secret.text());
    let owner = owner.map(|name| Cause::SecretOfOther { name: name.to_owned() });
    let first = Spelling {
        text: wiped(secret.text()),
        encoding: if is_binary { KeyEncoding::Text } else { encoding },
        is_decoded: is_binary && encoding != KeyEncoding::Text,
        causes: owner.into_iter().collect(),
    };
    let singles = first.variants();
    let pairs: Vec<_> =
        singles.iter().filter(|single| single.may_go_on()).flat_map(Spelling::variants).collect();
    let mut keys: Vec<TriedKey> = Vec::new();
    for spelling in std::iter::once(first).chain(singles).chain(pairs) {
        let bytes = spelling.encoding.decode(&spelling.text).filter(|bytes| !bytes.is_empty());
        let is_known = |key: &TriedKey, bytes: &Zeroizing<Vec<u8>>| {
            key.bytes == *bytes && key.causes.len() <= spelling.causes.len()
        };
        if let Some(bytes) = bytes.filter(|bytes| !keys.iter().any(|key| is_known(key, bytes))) {
            let label = secret.label().cloned();
            keys.push(TriedKey { bytes, causes: spelling.causes, label, encoding });
        }
    }
    keys
}

/// A secret's text as it may have been, and how it may spell the key.
struct Spelling {
    text: Zeroizing<Vec<u8>>,
    encoding: KeyEncoding,
    /// Whether this is the key that a text should have spelt.
    is_decoded: bool,
    causes: Vec<Cause>,
}

impl Spelling {
    /// Whether a second accident is tried after the last one.
    fn may_go_on(&self) -> bool {
        let goes_on = |cause: &Cause| {
            matches!(
                cause,
                Cause::SecretPrefixDropped
                    | Cause::SecretQuoted
                    | Cause::SecretPadded
                    | Cause::SecretUndecoded
            )
        };
        self.causes.last().is_some_and(goes_on)
    }

    fn variants(&self) -> Vec<Self> {
        let secret = &**self.text;
        let mut all = Vec::new();
        let mut add = |cause: Cause, text: Option<Zeroizing<Vec<u8>>>, encoding: KeyEncoding| {
            let is_new = |text: &Zeroizing<Vec<u8>>| **text != secret || encoding != self.encoding;
            if let Some(text) = text.filter(is_new) {
                let causes = self.causes.iter().cloned().chain([cause.clone()]).collect();
                let is_decoded = self.is_decoded && cause != Cause::SecretUndecoded;
                all.push(Self { text, encoding, is_decoded, causes });
            }
        };
        if self.encoding == KeyEncoding::Text {
            for (before, after) in [("", "\n"), ("", "\r\n"), ("", " "), (" ", ""), ("", "\r")] {
                add(
                    Cause::SecretSignedWithWhitespace,
                    Some(around(before, secret, after)),
                    KeyEncoding::Text,
                );
            }
        }
        let text = std::str::from_utf8(secret).ok();
        add(Cause::SecretPadded, text.map(|text| wiped(text.trim_matches(is_invisible))), self.encoding);
        for quote in ["\"", "'", "`"] {
            let unquoted =
                secret.strip_prefix(quote.as_bytes()).and_then(|rest| rest.strip_suffix(quote.as_bytes()));
            add(Cause::SecretQuoted, unquoted.map(wiped), self.encoding);
        }
        let mut add = |cause, text| add(cause, text, KeyEncoding::Text);
        if self.encoding != KeyEncoding::Text {
            add(Cause::SecretUndecoded, Some(wiped(secret)));
            let key = self.encoding.decode(secret);
            add(
                Cause::SecretDecodedTwice,
                key.as_deref().and_then(|key| base64_decoded(without_prefix(key))),
            );
            add(Cause::SecretDecodedTwice, key.as_deref().and_then(|key| hex_decoded(key)));
            // One of the two is the key itself, which is left out.
            add(Cause::SecretHexDecoded, hex_decoded(secret));
            add(Cause::SecretBase64Decoded, base64_decoded(secret));
            return all;
        }
        for quote in ["\"", "'"] {
            add(Cause::SecretSignedWithQuotes, Some(around(quote, secret, quote)));
        }
        match secret.strip_prefix(PREFIX.as_bytes()) {
            Some(bare) => add(Cause::SecretPrefixDropped, Some(wiped(bare))),
            None => add(Cause::SecretPrefixMissing, Some(around(PREFIX, secret, ""))),
        }
        add(Cause::SecretHexDecoded, hex_decoded(secret));
        // The scheme would decode that text, too.
        let encoded = |cause| if self.is_decoded { Cause::SecretUndecoded } else { cause };
        add(encoded(Cause::SecretHexEncoded), Some(wiped(hex::encode(secret))));
        add(Cause::SecretBase64Decoded, base64_decoded(secret));
        let base64 = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(secret));
        for prefix in ["", PREFIX] {
            add(encoded(Cause::SecretBase64Encoded), Some(around(prefix, base64.as_bytes(), "")));
        }
        all
    }
}

fn without_prefix(secret: &[u8]) -> &[u8] {
    secret.strip_prefix(PREFIX.as_bytes()).unwrap_or(secret)
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
