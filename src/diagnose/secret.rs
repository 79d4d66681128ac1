//! The keys that the provider may have signed with, instead of the secret.

use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::cause::Cause;
use crate::mac::{KeyEncoding, Secret};

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
    /// The encoding under which alone this is no accident, if it is one under the scheme.
    pub(super) only_for: Option<KeyEncoding>,
}

/// Lists the key that the secret spells, then one key for each accident, then those for pairs of accidents. At the end
/// stand the keys that it spells under the other encodings, for signatures of other schemes.
pub(super) fn keys_of(
    secret: &Secret,
    encoding: KeyEncoding,
    others: &[KeyEncoding],
    owner: Option<&str>,
) -> Vec<TriedKey> {
    // A binary key is itself under every encoding.
    let is_binary = secret.key(KeyEncoding::Hex).is_ok_and(|key| key.bytes() == secret.text());
    let encoding = if is_binary { KeyEncoding::Text } else { encoding };
    let owner = owner.map(|name| Cause::SecretOfOther { name: name.to_owned() });
    let first = Spelling { text: wiped(secret.text()), encoding, causes: owner.into_iter().collect() };
    let singles = first.variants();
    let pairs: Vec<_> =
        singles.iter().filter(|single| single.may_go_on()).flat_map(Spelling::variants).collect();
    let mut keys: Vec<TriedKey> = Vec::new();
    let mut add = |spelling: Spelling, only_for| {
        let bytes = spelling.encoding.decode(&spelling.text).filter(|bytes| !bytes.is_empty());
        let is_known = |key: &TriedKey, bytes: &Zeroizing<Vec<u8>>| {
            key.bytes == *bytes && key.causes.len() <= spelling.causes.len()
        };
        if let Some(bytes) = bytes.filter(|bytes| !keys.iter().any(|key| is_known(key, bytes))) {
            let label = secret.label().cloned();
            keys.push(TriedKey { bytes, causes: spelling.causes, label, only_for });
        }
    };
    let theirs = others.iter().filter(|other| **other != encoding && !is_binary);
    let theirs: Vec<_> = theirs.map(|other| first.with(*other)).collect();
    std::iter::once(first).chain(singles).chain(pairs).for_each(|spelling| add(spelling, None));
    for spelling in theirs {
        let encoding = spelling.encoding;
        add(spelling, Some(encoding));
    }
    keys
}

/// A secret's text as it may have been, and how it may spell the key.
struct Spelling {
    text: Zeroizing<Vec<u8>>,
    encoding: KeyEncoding,
    causes: Vec<Cause>,
}

impl Spelling {
    fn with(&self, encoding: KeyEncoding) -> Self {
        Self { text: self.text.clone(), encoding, causes: self.causes.clone() }
    }

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
                let causes = self.causes.iter().cloned().chain([cause]).collect();
                all.push(Self { text, encoding, causes });
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
        let bare = secret.strip_prefix(b"whsec_").map(wiped);
        if self.encoding != KeyEncoding::Text {
            add(Cause::SecretUndecoded, Some(wiped(secret)));
            let key = self.encoding.decode(secret);
            add(Cause::SecretDecodedTwice, key.as_deref().and_then(|key| base64_decoded(key)));
            add(Cause::SecretDecodedTwice, key.as_deref().and_then(|key| hex_decoded(key)));
            // One of the two is the key itself, which is left out.
            add(Cause::SecretHexDecoded, hex_decoded(secret));
            add(Cause::SecretBase64Decoded, base64_decoded(secret));
            return all;
        }
        for quote in ["\"", "'"] {
            add(Cause::SecretSignedWithQuotes, Some(around(quote, secret, quote)));
        }
        let is_prefixed = bare.is_some();
        add(Cause::SecretPrefixDropped, bare);
        if !is_prefixed {
            add(Cause::SecretPrefixMissing, Some(around("whsec_", secret, "")));
        }
        add(Cause::SecretHexDecoded, hex_decoded(secret));
        add(Cause::SecretHexEncoded, Some(wiped(hex::encode(secret))));
        add(Cause::SecretBase64Decoded, base64_decoded(secret));
        add(
            Cause::SecretBase64Encoded,
            Some(wiped(base64::engine::general_purpose::STANDARD.encode(secret))),
        );
        all
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
