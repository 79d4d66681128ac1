//! A webhook's secrets: checked when they come in, never shown again.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::mac::SecretError;
use crate::mac::{Mac, WipedStack};

/// A webhook's signing secret, as its provider issued it.
///
/// The key is the secret's bytes as they stand: nothing is decoded, and a `whsec_` prefix is part
/// of it. [`new`](Secret::new) takes text, as nearly all providers issue, and
/// [`from_bytes`](Secret::from_bytes) a binary key.
///
/// A secret is refused when it is shorter than [`MIN_LEN`](Secret::MIN_LEN) bytes. A text is also refused when it
/// has white space or a byte order mark at an end (the newline of an env file is the commonest cause of
/// signatures that never match), when quotation marks surround it, and when it is a common placeholder, such as
/// `your_secret_here` or `${WEBHOOK_SECRET}`. No check can tell every placeholder or every weak secret.
///
/// It has no `Display` and no `Serialize`, its `Debug` shows the label alone, and its memory is
/// overwritten when it is dropped.
///
/// ```
/// use countersign::Secret;
///
/// let secret = Secret::new("whsec_0123456789abcdef")?.with_label("2026-03");
/// assert_eq!(format!("{secret:?}"), r#"Secret { label: Some("2026-03"), .. }"#);
/// assert!(Secret::new("whsec_0123456789abcdef\n").is_err());
/// # Ok::<(), countersign::SecretError>(())
/// ```
#[derive(Clone)]
pub struct Secret {
    bytes: Zeroizing<Vec<u8>>,
    label: Option<Arc<str>>,
}

impl Secret {
    /// The shortest secret that [`new`](Secret::new) takes, in bytes: 128 bits, half of what
    /// RFC 2104 advises for HMAC-SHA256, and more than any placeholder word has.
    pub const MIN_LEN: usize = 16;

    /// A secret that is text, which is most often what a provider shows once. A `String` is taken over without a
    /// copy.
    ///
    /// # Errors
    /// [`SecretError::TooShort`], [`SecretError::Padded`], [`SecretError::Quoted`] or
    /// [`SecretError::Placeholder`]; the value is wiped either way.
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
            // It was a `String`, so this does not occur.
            Err(_) => Ok(secret),
        }
    }

    /// A secret that is a binary key, of any bytes. A `Vec<u8>` is taken over without a copy.
    ///
    /// If the provider shows the key as hex or as Base64, decode it only if its documentation says that
    /// the key is what the text spells.
    ///
    /// # Errors
    /// [`SecretError::TooShort`], and [`SecretError::Placeholder`] if all bytes are zero, as in a buffer that
    /// nothing has filled; the value is wiped either way.
    ///
    /// ```
    /// # use countersign::Secret;
    /// let key = [0x20, 0xb0, 0x11, 0x5c, 0x07, 0xee, 0x31, 0x9a, 0xd2, 0x46, 0x88, 0x63, 0xf5, 0x1d, 0xbe, 0x0a];
    /// assert!(Secret::from_bytes(key).is_ok());
    /// assert!(Secret::from_bytes([0; 32]).is_err());
    /// ```
    pub fn from_bytes(key: impl Into<Vec<u8>>) -> Result<Self, SecretError> {
        let secret = Self::checked(key.into(), Self::MIN_LEN)?;
        if secret.bytes.iter().all(|byte| *byte == 0) {
            return Err(SecretError::Placeholder { variable: None });
        }
        Ok(secret)
    }

    /// A secret that may be shorter than [`MIN_LEN`](Secret::MIN_LEN), for a provider that lets
    /// people choose theirs. Anyone who guesses it can forge deliveries: ask for a longer one first. Of text, the
    /// ends are checked as [`new`](Secret::new) does; whether it is a placeholder is not.
    ///
    /// # Errors
    /// [`SecretError::TooShort`] for the empty value only, and [`SecretError::Padded`]; the value is wiped either
    /// way.
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

    /// The secret in an environment variable, labelled with the variable's name.
    ///
    /// To rotate without losing a delivery, read both with [`Secrets::from_env`].
    ///
    /// # Errors
    /// [`SecretError::Unset`], [`SecretError::NotUnicode`], and those of [`new`](Secret::new); each
    /// names the variable.
    ///
    /// ```no_run
    /// use countersign::Secret;
    ///
    /// let secret = Secret::from_env("QUOTE3D_WEBHOOK_SECRET")?;
    /// # Ok::<(), countersign::SecretError>(())
    /// ```
    pub fn from_env(variable: &str) -> Result<Self, SecretError> {
        match std::env::var(variable) {
            Ok(value) => Self::new(value)
                .map(|secret| secret.with_label(variable))
                .map_err(|error| error.in_variable(variable)),
            Err(std::env::VarError::NotPresent) => Err(SecretError::Unset { variable: variable.to_owned() }),
            Err(std::env::VarError::NotUnicode(value)) => {
                drop(Zeroizing::new(value.into_encoded_bytes()));
                Err(SecretError::NotUnicode { variable: variable.to_owned() })
            }
        }
    }

    /// The same secret with a name that is safe to log, such as `2026-03` or a variable's name. It
    /// is how a delivery tells which secret it was signed with. Never put the secret itself in it.
    #[must_use]
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into().into());
        self
    }

    fn checked(value: Vec<u8>, min_len: usize) -> Result<Self, SecretError> {
        let bytes = Zeroizing::new(value);
        if bytes.len() < min_len {
            return Err(SecretError::TooShort { variable: None });
        }
        Ok(Self { bytes, label: None })
    }

    /// An HMAC-SHA256 under this secret, before any of a body.
    pub(crate) fn to_mac(&self, stack: &WipedStack) -> Mac {
        stack.mac(&self.bytes)
    }

    /// What is worked with where there is no secret.
    pub(crate) fn reject_all() -> Self {
        Self { bytes: Zeroizing::default(), label: None }
    }

    /// The secret itself, to look for what was done to it.
    #[cfg(feature = "diagnose")]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn label(&self) -> Option<&Arc<str>> {
        self.label.as_ref()
    }
}

/// What no provider issues. It copies nothing of the text.
fn check_text(text: &str) -> Result<(), SecretError> {
    if is_padded(text) {
        return Err(SecretError::Padded { variable: None });
    }
    if QUOTES.iter().any(|(open, close)| is_between(text, open, close)) {
        return Err(SecretError::Quoted { variable: None });
    }
    if is_placeholder(text) {
        return Err(SecretError::Placeholder { variable: None });
    }
    Ok(())
}

/// White space, or the mark that some editors put at the front of a file.
fn is_padded(text: &str) -> bool {
    // No accident adds a vertical tab, of which the first key of RFC 4231 consists.
    let is_padding = |end: char| end.is_whitespace() && end != '\u{b}' || end == '\u{feff}';
    text.starts_with(is_padding) || text.ends_with(is_padding)
}

const QUOTES: [(&str, &str); 5] =
    [("\"", "\""), ("'", "'"), ("`", "`"), ("\u{201c}", "\u{201d}"), ("\u{2018}", "\u{2019}")];

/// What templates have around the name of a value that is to be filled in.
const BRACKETS: [(&str, &str); 6] =
    [("${", "}"), ("$(", ")"), ("{{", "}}"), ("<", ">"), ("[", "]"), ("%", "%")];

/// What is asked for in a value that was to be replaced, without what separates its words. Each is so long
/// that no random secret has it.
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
    // A password of any characters may begin and end with the same one; what is quoted is of fewer.
    let is_of_a_secret = |byte: u8| byte.is_ascii_alphanumeric() || b"_-+/=. ".contains(&byte);
    let inner = text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    inner.is_some_and(|inner| inner.bytes().all(is_of_a_secret))
}

fn is_placeholder(text: &str) -> bool {
    // Of a password's characters, which may be any, only names stand between brackets.
    let is_of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b" _-.:".contains(&byte);
    let is_bracketed = BRACKETS.iter().any(|(open, close)| {
        let name = text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
        name.is_some_and(|name| name.bytes().all(is_of_a_name))
    });
    is_bracketed || longest_run(text) >= 16 || has_phrase(text)
}

/// How often a character comes after itself.
fn longest_run(text: &str) -> usize {
    let (mut longest, mut run, mut last) = (0, 0, None);
    for character in text.chars() {
        run = if last == Some(character) { run + 1 } else { 1 };
        (longest, last) = (longest.max(run), Some(character));
    }
    longest
}

/// The letters of all [`PHRASES`] in one row, of which each has a bit.
struct Row {
    /// The first letter of each phrase.
    firsts: u128,
    /// The last letter of each phrase.
    lasts: u128,
    /// Where each letter of the alphabet stands.
    places: [u128; 26],
}

const ROW: Row = {
    let mut row = Row { firsts: 0, lasts: 0, places: [0; 26] };
    // A row that is too long does not compile.
    let (mut bit, mut number) = (1_u128, 0);
    while number < PHRASES.len() {
        let letters = PHRASES[number].as_bytes();
        let mut at = 0;
        while at < letters.len() {
            assert!(bit != 0, "all phrases have 128 letters at most");
            row.places[(letters[at] - b'a') as usize] |= bit;
            if at == 0 {
                row.firsts |= bit;
            }
            if at == letters.len() - 1 {
                row.lasts |= bit;
            }
            bit <<= 1;
            at += 1;
        }
        number += 1;
    }
    row
};

/// Whether one of the [`PHRASES`] stands in it, in any case and with any separators. It reads the text once,
/// however long it is, and keeps of it only which letters of the row the last ones may be.
fn has_phrase(text: &str) -> bool {
    let mut reached = 0_u128;
    text.bytes().filter(|byte| !b" _-.".contains(byte)).any(|byte| {
        let letter = byte.to_ascii_lowercase().wrapping_sub(b'a');
        let places = ROW.places.get(usize::from(letter)).copied().unwrap_or(0);
        reached = (reached << 1 | ROW.firsts) & places;
        reached & ROW.lasts != 0
    })
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("label", &self.label).finish_non_exhaustive()
    }
}

/// The secrets that are valid at once, newest first: one, or two while you rotate.
///
/// ```
/// use countersign::{Secret, Secrets};
///
/// let secrets = Secrets::new(Secret::new("the-new-secret-of-2026")?)
///     .with_older(Secret::new("the-old-secret-of-2025")?)?;
/// # Ok::<(), countersign::SecretError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Secrets(Vec<Secret>);

impl Secrets {
    /// The most secrets that can be valid at once. A forged delivery is hashed once for each of
    /// them, so their number multiplies what an attacker can make you compute.
    pub const MAX: usize = 8;

    /// One secret.
    #[must_use]
    pub fn new(newest: Secret) -> Self {
        Self(vec![newest])
    }

    /// Adds a secret that is still valid, but older than those given so far. To
    /// [`reject_all`](Secrets::reject_all) nothing is added: whatever comes after it, it refuses every delivery.
    ///
    /// # Errors
    /// [`SecretError::TooMany`] beyond [`MAX`](Secrets::MAX).
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

    /// The secret in `variable` and, where it is set, the older one in `variable` + `_PREVIOUS`.
    ///
    /// To rotate: move the value to `…_PREVIOUS`, set the new one, restart, change the secret at
    /// the provider, and drop `…_PREVIOUS` once no delivery matches it any more
    /// ([`MatchedSecret::is_newest`](crate::MatchedSecret::is_newest) tells). An empty
    /// `…_PREVIOUS` counts as unset; an empty `variable` is an error.
    ///
    /// # Errors
    /// Those of [`Secret::from_env`], for either variable.
    ///
    /// ```no_run
    /// use countersign::{Secrets, Webhook, provider::Quote3d};
    ///
    /// let webhook = Webhook::<Quote3d>::new(Secrets::from_env("QUOTE3D_WEBHOOK_SECRET")?);
    /// # Ok::<(), countersign::SecretError>(())
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

    /// No secret: nothing is signed with it, so every delivery is refused, with the answer of any forged
    /// one and in the time that checking it against one secret takes. For a service whose tenants bring
    /// their own secrets: with these for a tenant that does not exist, the answers do not tell which do.
    ///
    /// ```
    /// use countersign::{Error, Secrets, Webhook, provider::Quote3d};
    /// # use std::collections::HashMap;
    /// # fn webhook(tenants: &HashMap<String, Secrets>, tenant: &str) -> Webhook<Quote3d> {
    ///
    /// let secrets = tenants.get(tenant).cloned().unwrap_or_else(Secrets::reject_all);
    /// Webhook::<Quote3d>::new(secrets).with_tenant(tenant)
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

    /// Newest first. Fails with [`SecretError::NoSecret`] or [`SecretError::TooMany`].
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
    fn has_phrase_by_search(text: &str) -> bool {
        let letters: String = text.to_ascii_lowercase().split([' ', '_', '-', '.']).collect();
        PHRASES.iter().any(|phrase| letters.contains(phrase))
    }

    #[test]
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
                    [format!("{before}{}", &after[1..]), format!("{before}0{after}x"), before.to_owned()]
                {
                    assert_eq!(has_phrase(&text), has_phrase_by_search(&text), "{text}");
                }
            }
            for other in PHRASES {
                let text = format!("{}{other}{}", &phrase[..3], &phrase[3..]);
                assert!(has_phrase(&text), "{text}");
                let text = format!("{}{}", &phrase[..phrase.len() - 1], &other[1..]);
                assert_eq!(has_phrase(&text), has_phrase_by_search(&text), "{text}");
            }
        }
    }

    /// A search that begins anew at each place would pass over the same separators again and again.
    #[test]
    fn a_long_text_is_read_once() {
        let text = "_-".repeat(500_000) + "change" + &".".repeat(500_000) + "me";
        assert!(has_phrase(&text));
        assert!(!has_phrase(&text[..text.len() - 1]));
    }
}
