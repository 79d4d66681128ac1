//! A webhook's secrets: checked when they are made, and never shown.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::mac::{KeyEncoding, SecretError};

/// A webhook's signing secret, as its provider issued it.
///
/// [`new`](Secret::new) takes the text that nearly all providers issue. A webhook decodes it if its provider's scheme
/// says so ([`KeyEncoding`]); otherwise the key is the text unchanged, and a `whsec_` at its start is part of it.
/// [`from_bytes`](Secret::from_bytes) takes a binary key, which is never decoded.
///
/// A secret shorter than [`MIN_LEN`](Secret::MIN_LEN) bytes is refused. A text is also refused if it begins or ends
/// with white space or a byte order mark (the newline of an env file is the commonest cause of signatures that do not
/// match), if it is in quotation marks, or if it is a common placeholder, such as `your_secret_here` or
/// `${WEBHOOK_SECRET}`. No check recognizes all placeholders or all weak secrets.
///
/// A secret has no `Display` and no `Serialize`. Its `Debug` shows only the label. Its memory is overwritten when it
/// is dropped.
///
/// ```
/// use countersign::Secret;
///
/// let secret = Secret::new("whsec_0123456789abcdef")?.with_label("2026-03");
/// assert_eq!(format!("{secret:?}"), r#"Secret { label: Some("2026-03"), .. }"#);
/// assert!(Secret::new("whsec_0123456789abcdef\n").is_err());
/// # Ok::<(), countersign::SetupError>(())
/// ```
#[derive(Clone)]
pub struct Secret {
    bytes: Zeroizing<Vec<u8>>,
    /// The shortest key that it may spell, in bytes.
    min_len: usize,
    /// Whether the bytes are the key itself.
    is_key: bool,
    label: Option<Arc<str>>,
    /// The environment variable that it came from.
    variable: Option<Arc<str>>,
}

impl Secret {
    /// The length of the shortest secret that [`new`](Secret::new) accepts, in bytes: 128 bits. RFC 2104 advises
    /// twice that for HMAC-SHA256. Most placeholder words are shorter.
    pub const MIN_LEN: usize = 16;

    /// Makes a secret from text, usually what the provider shows once. A `String` is moved, not copied.
    ///
    /// # Errors
    /// [`SecretError::TooShort`], [`SecretError::Padded`], [`SecretError::Quoted`] or
    /// [`SecretError::Placeholder`]. The value is wiped in any case.
    ///
    /// ```
    /// # use countersign::Secret;
    /// assert!(Secret::new("your-provider-showed-this-once").is_ok());
    /// assert!(Secret::new("undefined").is_err());
    /// assert!(Secret::new("your_secret_here").is_err());
    /// ```
    pub fn new(text: impl Into<String>) -> Result<Self, SecretError> {
        let secret = Self::checked(text.into().into_bytes(), Self::MIN_LEN)?;
        match std::str::from_utf8(&secret.bytes) {
            Ok(text) => check_text(text).map(|()| secret),
            // This does not occur: the bytes were a `String`.
            Err(_) => Ok(secret),
        }
    }

    /// Makes a secret from a binary key. A `Vec<u8>` is moved, not copied.
    ///
    /// No scheme decodes it. If the provider shows the key as hex or base64, give [`new`](Secret::new) the text as it
    /// is shown.
    ///
    /// # Errors
    /// [`SecretError::TooShort`], and [`SecretError::Placeholder`] if all bytes are zero, as in a buffer that
    /// was not filled. The value is wiped in any case.
    ///
    /// ```
    /// # use countersign::Secret;
    /// let key = [0x20, 0xb0, 0x11, 0x5c, 0x07, 0xee, 0x31, 0x9a, 0xd2, 0x46, 0x88, 0x63, 0xf5, 0x1d, 0xbe, 0x0a];
    /// assert!(Secret::from_bytes(key).is_ok());
    /// assert!(Secret::from_bytes([0; 32]).is_err());
    /// ```
    pub fn from_bytes(key: impl Into<Vec<u8>>) -> Result<Self, SecretError> {
        let secret = Self::checked(key.into(), Self::MIN_LEN)?;
        if is_blank(&secret.bytes) {
            return Err(SecretError::Placeholder { variable: None, label: None });
        }
        Ok(Self { is_key: true, ..secret })
    }

    /// Makes a secret that may be shorter than [`MIN_LEN`](Secret::MIN_LEN), for a provider that lets
    /// people choose theirs. Anyone who guesses it can forge deliveries, so ask for a longer one first. White space
    /// at the ends of a text is refused as in [`new`](Secret::new); placeholders are not.
    ///
    /// # Errors
    /// [`SecretError::TooShort`] if the value is empty, and [`SecretError::Padded`]. The value is wiped in any case.
    ///
    /// ```
    /// # use countersign::Secret;
    /// assert!(Secret::dangerously_allow_short("hunter2").is_ok());
    /// assert!(Secret::dangerously_allow_short("").is_err());
    /// ```
    pub fn dangerously_allow_short(value: impl Into<Vec<u8>>) -> Result<Self, SecretError> {
        let secret = Self::checked(value.into(), 1)?;
        match std::str::from_utf8(&secret.bytes) {
            Ok(text) if is_padded(text) => Err(SecretError::Padded { variable: None }),
            _ => Ok(secret),
        }
    }

    /// Reads a secret from an environment variable. Its label is the variable's name.
    ///
    /// To rotate without losing a delivery, use [`Secrets::from_env`], which also reads the previous secret.
    ///
    /// # Errors
    /// [`SecretError::Unset`], [`SecretError::NotUnicode`], and the errors of [`new`](Secret::new). Each
    /// names the variable.
    ///
    /// ```no_run
    /// use countersign::Secret;
    ///
    /// let secret = Secret::from_env("QUOTE3D_WEBHOOK_SECRET")?;
    /// # Ok::<(), countersign::SetupError>(())
    /// ```
    pub fn from_env(variable: &str) -> Result<Self, SecretError> {
        match std::env::var(variable) {
            Ok(value) => Self::new(value)
                .map(|secret| Self { variable: Some(variable.into()), ..secret.with_label(variable) })
                .map_err(|error| error.in_variable(variable)),
            Err(std::env::VarError::NotPresent) => Err(SecretError::Unset { variable: variable.to_owned() }),
            Err(std::env::VarError::NotUnicode(value)) => {
                drop(Zeroizing::new(value.into_encoded_bytes()));
                Err(SecretError::NotUnicode { variable: variable.to_owned() })
            }
        }
    }

    /// Gives the secret a label that is safe to log, such as `2026-03` or a variable's name. A delivery names
    /// the secret that matched by this label. Never put the secret itself in it.
    #[must_use]
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into().into());
        self
    }

    fn checked(value: Vec<u8>, min_len: usize) -> Result<Self, SecretError> {
        let bytes = Zeroizing::new(value);
        if bytes.len() < min_len {
            return Err(SecretError::TooShort { variable: None, label: None, is_decoded: false });
        }
        Ok(Self { bytes, min_len, is_key: false, label: None, variable: None })
    }

    /// The key that the secret spells, which is wiped when it is dropped.
    pub(crate) fn key(&self, encoding: KeyEncoding) -> Result<Key<'_>, SecretError> {
        if self.is_key || encoding == KeyEncoding::Text {
            return Ok(Key::Itself(&self.bytes));
        }
        let variable = self.variable.as_deref().map(str::to_owned);
        let label = self.label.as_deref().filter(|_| variable.is_none()).map(str::to_owned);
        match encoding.decode(&self.bytes) {
            None => Err(SecretError::Encoding { variable, label, expected: encoding }),
            Some(key) if key.len() < self.min_len => {
                Err(SecretError::TooShort { variable, label, is_decoded: true })
            }
            Some(key) if is_blank(&key) => Err(SecretError::Placeholder { variable, label }),
            Some(key) => Ok(Key::Decoded(key)),
        }
    }

    /// The secret's text, which is the key unless the scheme decodes it.
    pub(crate) fn text(&self) -> &[u8] {
        &self.bytes
    }

    /// A stand-in for a service that has no secret. Its MAC is computed, and matches no tag.
    pub(crate) fn reject_all() -> Self {
        Self { bytes: Zeroizing::default(), min_len: 0, is_key: true, label: None, variable: None }
    }

    pub(crate) fn label(&self) -> Option<&Arc<str>> {
        self.label.as_ref()
    }
}

/// The key of a secret.
pub(crate) enum Key<'a> {
    /// The secret itself.
    Itself(&'a [u8]),
    /// The bytes that the secret spells.
    Decoded(Zeroizing<Vec<u8>>),
}

impl Key<'_> {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Itself(bytes) => bytes,
            Self::Decoded(bytes) => bytes,
        }
    }
}

/// Whether all bytes are zero, as in a buffer that was not filled.
fn is_blank(key: &[u8]) -> bool {
    key.iter().all(|byte| *byte == 0)
}

/// Refuses texts that no provider issues. It does not copy the text.
fn check_text(text: &str) -> Result<(), SecretError> {
    if is_padded(text) {
        return Err(SecretError::Padded { variable: None });
    }
    if QUOTES.iter().any(|(open, close)| is_between(text, open, close)) {
        return Err(SecretError::Quoted { variable: None });
    }
    if is_placeholder(text) {
        return Err(SecretError::Placeholder { variable: None, label: None });
    }
    Ok(())
}

/// Whether white space is at an end, or the byte order mark that some editors write at the beginning of a file.
fn is_padded(text: &str) -> bool {
    // A vertical tab is not added by accident, and the first key of RFC 4231 consists of it.
    let is_padding = |end: char| end.is_whitespace() && end != '\u{b}' || end == '\u{feff}';
    text.starts_with(is_padding) || text.ends_with(is_padding)
}

const QUOTES: [(&str, &str); 5] =
    [("\"", "\""), ("'", "'"), ("`", "`"), ("\u{201c}", "\u{201d}"), ("\u{2018}", "\u{2019}")];

/// The brackets that templates put around the name of a value.
const BRACKETS: [(&str, &str); 6] =
    [("${", "}"), ("$(", ")"), ("{{", "}}"), ("<", ">"), ("[", "]"), ("%", "%")];

/// Phrases of placeholders, without the separators of their words. Each is too long to occur in a random secret.
const PHRASES: [&str; 12] = [
    "changeme",
    "changethis",
    "replaceme",
    "replacethis",
    "replacewith",
    "placeholder",
    "secrethere",
    "yoursecret",
    "yourwebhook",
    "yoursigning",
    "yourshared",
    "insertyour",
];

fn is_between(text: &str, open: &str, close: &str) -> bool {
    // A password may begin and end with the same character. A quoted secret has only these inside.
    let is_of_a_secret = |byte: u8| byte.is_ascii_alphanumeric() || b"_-+/=. ".contains(&byte);
    let inner = text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    inner.is_some_and(|inner| inner.bytes().all(is_of_a_secret))
}

fn is_placeholder(text: &str) -> bool {
    // A password may contain any characters. Between brackets, a template has a name.
    let is_of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b" _-.:".contains(&byte);
    let is_bracketed = BRACKETS.iter().any(|(open, close)| {
        let name = text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
        name.is_some_and(|name| name.bytes().all(is_of_a_name))
    });
    is_bracketed || longest_run(text) >= 16 || has_phrase(text)
}

/// The length of the longest run of one character.
fn longest_run(text: &str) -> usize {
    let (mut longest, mut run, mut last) = (0, 0, None);
    for character in text.chars() {
        run = if last == Some(character) { run + 1 } else { 1 };
        (longest, last) = (longest.max(run), Some(character));
    }
    longest
}

/// Whether the text contains one of the phrases, in any case and with any separators.
fn has_phrase(text: &str) -> bool {
    // In one allocation of the right size, which is wiped.
    let mut letters = Zeroizing::new(String::with_capacity(text.len()));
    letters.extend(
        text.chars().filter(|letter| !" _-.".contains(*letter)).map(|letter| letter.to_ascii_lowercase()),
    );
    PHRASES.iter().any(|phrase| letters.contains(phrase))
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("label", &self.label).finish_non_exhaustive()
    }
}

/// The secrets that are valid at the same time, newest first: one, or two during a rotation.
///
/// ```
/// use countersign::{Secret, Secrets};
///
/// let secrets = Secrets::new(Secret::new("the-new-secret-of-2026")?)
///     .with_older(Secret::new("the-old-secret-of-2025")?)?;
/// # Ok::<(), countersign::SetupError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Secrets(Vec<Secret>);

impl Secrets {
    /// The greatest number of secrets that can be valid at the same time. A forged delivery is hashed once for
    /// each of them, so their number multiplies the work that an attacker can cause.
    pub const MAX: usize = 8;

    /// Makes a set with one secret.
    #[must_use]
    pub fn new(newest: Secret) -> Self {
        Self(vec![newest])
    }

    /// Adds a secret that is older than the ones so far, and still valid. Adding to
    /// [`reject_all`](Secrets::reject_all) has no effect: it still refuses every delivery.
    ///
    /// # Errors
    /// [`SecretError::TooMany`] if there are [`MAX`](Secrets::MAX) secrets already.
    pub fn with_older(mut self, older: Secret) -> Result<Self, SecretError> {
        if self.0.is_empty() {
            return Ok(self);
        }
        if self.0.len() == Self::MAX {
            return Err(SecretError::TooMany);
        }
        self.0.push(older);
        Ok(self)
    }

    /// Reads the newest secret from `variable` and, if it is set, the older one from `variable` + `_PREVIOUS`.
    ///
    /// To rotate, move the value to `…_PREVIOUS`, set the new one, restart, change the secret at the provider, and
    /// remove `…_PREVIOUS` when no delivery matches it any more
    /// ([`MatchedSecret::is_newest`](crate::MatchedSecret::is_newest)). The guide to
    /// [rotation](crate::guide::rotation) has the steps. An empty `…_PREVIOUS` counts as unset; an empty `variable`
    /// is an error.
    ///
    /// # Errors
    /// The errors of [`Secret::from_env`], for either variable.
    ///
    /// ```no_run
    /// use countersign::{Secrets, Webhook, provider::Quote3d};
    ///
    /// let webhook = Webhook::<Quote3d>::new(Secrets::from_env("QUOTE3D_WEBHOOK_SECRET")?)?;
    /// # Ok::<(), countersign::SetupError>(())
    /// ```
    pub fn from_env(variable: &str) -> Result<Self, SecretError> {
        let secrets = Self::new(Secret::from_env(variable)?);
        let previous = format!("{variable}_PREVIOUS");
        let value = std::env::var_os(&previous).map(|value| Zeroizing::new(value.into_encoded_bytes()));
        match value {
            Some(value) if !value.is_empty() => secrets.with_older(Secret::from_env(&previous)?),
            _ => Ok(secrets),
        }
    }

    /// Makes a set without a secret, which refuses every delivery. The answer is that of a forged delivery, and
    /// takes as long as a check against one secret. Use it for a tenant that does not exist, so that the answers
    /// do not reveal which tenants do.
    ///
    /// ```
    /// use countersign::{Error, Secrets, Webhook, provider::Quote3d};
    /// # use std::collections::HashMap;
    /// # fn webhook(tenants: &HashMap<String, Secrets>, tenant: &str) -> Result<Webhook<Quote3d>, countersign::SetupError> {
    ///
    /// let secrets = tenants.get(tenant).cloned().unwrap_or_else(Secrets::reject_all);
    /// Ok(Webhook::<Quote3d>::new(secrets)?.with_tenant(tenant))
    /// # }
    /// ```
    #[must_use]
    pub fn reject_all() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Secret> {
        self.0.iter()
    }
}

impl From<Secret> for Secrets {
    fn from(secret: Secret) -> Self {
        Self::new(secret)
    }
}

impl TryFrom<Vec<Secret>> for Secrets {
    type Error = SecretError;

    /// Makes a set of these secrets, newest first. Fails with [`SecretError::NoSecret`] or [`SecretError::TooMany`].
    fn try_from(secrets: Vec<Secret>) -> Result<Self, SecretError> {
        match secrets.len() {
            0 => Err(SecretError::NoSecret),
            1..=Self::MAX => Ok(Self(secrets)),
            _ => Err(SecretError::TooMany),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As one finds words by hand.
    #[test]
    #[cfg_attr(miri, ignore = "it computes much")]
    fn every_phrase_is_found_wherever_it_stands_and_however_it_is_separated() {
        for phrase in PHRASES {
            for text in [
                phrase.to_owned(),
                phrase.to_uppercase(),
                format!("whsec_{phrase}0"),
                format!("{}{phrase}", &phrase[..phrase.len() - 1]),
                format!("your{phrase}"),
                phrase.chars().flat_map(|letter| [letter, '-', '_', '.', ' ']).collect(),
            ] {
                assert!(has_phrase(&text), "{text}");
            }
            for at in 0..phrase.len() {
                let (before, after) = phrase.split_at(at);
                for text in
                    [format!("{before}{}", &after[1..]), format!("{before}0{after}"), before.to_owned()]
                {
                    // One phrase may still contain another, as a part of itself does.
                    let other = PHRASES.iter().any(|other| other != &phrase && text.contains(other));
                    assert!(at == 0 && text.ends_with(phrase) || has_phrase(&text) == other, "{text}");
                }
            }
        }
    }

    /// A search that begins anew at each place would pass over the same separators again and again.
    #[test]
    fn a_long_text_is_read_once() {
        let length = if cfg!(miri) { 200 } else { 500_000 };
        let text = "_-".repeat(length) + "change" + &".".repeat(length) + "me";
        assert!(has_phrase(&text));
        assert!(!has_phrase(&text[..text.len() - 1]));
    }
}
