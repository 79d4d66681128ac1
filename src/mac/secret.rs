//! A webhook's secrets: checked when they come in, never shown again.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::error::SecretError;
use crate::mac::Mac;

/// A webhook's signing secret, as its provider issued it.
///
/// The key is the secret's bytes as they stand: nothing is decoded, and a `whsec_` prefix is part
/// of it. A secret is refused when it is shorter than [`MIN_LEN`](Secret::MIN_LEN) bytes (which
/// catches the empty string, `undefined` and `changeme`) or has white space at an end (the newline
/// of an env file is the commonest cause of signatures that never match).
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

    /// A secret from its bytes. A `String` or `Vec<u8>` is taken over without a copy.
    ///
    /// # Errors
    /// [`SecretError::TooShort`] or [`SecretError::Padded`]; the value is wiped either way.
    ///
    /// ```
    /// # use countersign::Secret;
    /// assert!(Secret::new("your-provider-showed-this-once").is_ok());
    /// assert!(Secret::new("undefined").is_err());
    /// ```
    pub fn new(value: impl Into<Vec<u8>>) -> Result<Self, SecretError> {
        Self::checked(value.into(), Self::MIN_LEN)
    }

    /// A secret that may be shorter than [`MIN_LEN`](Secret::MIN_LEN), for a provider that lets
    /// people choose theirs. Whoever can guess it can forge deliveries: ask for a longer one first.
    ///
    /// # Errors
    /// [`SecretError::TooShort`] for the empty value only, and [`SecretError::Padded`].
    ///
    /// ```
    /// # use countersign::Secret;
    /// assert!(Secret::dangerously_allow_short("hunter2").is_ok());
    /// assert!(Secret::dangerously_allow_short("").is_err());
    /// ```
    pub fn dangerously_allow_short(value: impl Into<Vec<u8>>) -> Result<Self, SecretError> {
        Self::checked(value.into(), 1)
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
        let padded = match std::str::from_utf8(&bytes) {
            // No accident adds a vertical tab, of which the first key of RFC 4231 consists.
            Ok(text) => text.trim_matches(|end: char| end.is_whitespace() && end != '\u{b}') != text,
            Err(_) => bytes.trim_ascii().len() != bytes.len(),
        };
        if padded {
            return Err(SecretError::Padded { variable: None });
        }
        Ok(Self { bytes, label: None })
    }

    /// An HMAC-SHA256 under this secret, before any of a body. [`wipe_stack`] has to follow.
    pub(crate) fn to_mac(&self) -> Mac {
        Mac::keyed(&self.bytes)
    }

    /// What is worked with where there is no secret.
    pub(crate) fn of_nobody() -> Self {
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

/// Overwrites what the calls before it have left of a secret on the stack: the MAC is keyed in local
/// variables, which nobody overwrites, and is moved from one to another.
///
/// What uses the secret must not be inlined into the caller. No language rule says that this works, but a
/// test that reads the memory does.
#[inline(never)]
pub(crate) fn wipe_stack() {
    std::hint::black_box(&mut [0_u8; 16 * 1024]);
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

    /// Adds a secret that is still valid, but older than those given so far.
    ///
    /// # Errors
    /// [`SecretError::TooMany`] beyond [`MAX`](Secrets::MAX).
    pub fn with_older(mut self, older: Secret) -> Result<Self, SecretError> {
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
    /// one and in the time that one takes where there is one secret. For a service whose tenants bring
    /// their own secrets: with these for a tenant that does not exist, the answers do not tell which do.
    ///
    /// ```
    /// use countersign::{Error, Secrets, Webhook, provider::Quote3d};
    /// # use std::collections::HashMap;
    /// # fn webhook(tenants: &HashMap<String, Secrets>, tenant: &str) -> Webhook<Quote3d> {
    ///
    /// let secrets = tenants.get(tenant).cloned().unwrap_or_else(Secrets::of_nobody);
    /// Webhook::<Quote3d>::new(secrets).with_tenant(tenant)
    /// # }
    /// ```
    #[must_use]
    pub fn of_nobody() -> Self {
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
