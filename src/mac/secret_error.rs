//! Why a secret was refused.

use crate::mac::KeyEncoding;

/// Why a secret was refused. No message and no `Debug` contains the value.
///
/// ```
/// use countersign::{Secret, SecretError};
///
/// let error = Secret::new("changeme").unwrap_err();
/// assert!(matches!(error, SecretError::TooShort { .. }));
/// assert_eq!(error.to_string(), "the secret is shorter than 16 bytes");
///
/// let error = Secret::from_env("COUNTERSIGN_DOC_UNSET").unwrap_err();
/// assert_eq!(error.to_string(), "COUNTERSIGN_DOC_UNSET is not set");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretError {
    /// The environment variable is not set.
    #[non_exhaustive]
    Unset {
        /// The variable's name.
        variable: String,
    },
    /// The environment variable's value is not Unicode.
    #[non_exhaustive]
    NotUnicode {
        /// The variable's name.
        variable: String,
    },
    /// The secret, or the key that it spells, is shorter than [`Secret::MIN_LEN`](crate::Secret::MIN_LEN) bytes.
    #[non_exhaustive]
    TooShort {
        /// The environment variable it came from, if it did.
        variable: Option<String>,
        /// Its label, if it came from no variable.
        label: Option<String>,
        /// Whether the key that the secret spells is too short, and not its text.
        is_decoded: bool,
    },
    /// The secret begins or ends with white space or a byte order mark. The newline of an env file is the commonest
    /// cause.
    #[non_exhaustive]
    Padded {
        /// The environment variable it came from, if it did.
        variable: Option<String>,
    },
    /// The secret is in quotation marks. Some readers of env files do not remove them.
    #[non_exhaustive]
    Quoted {
        /// The environment variable it came from, if it did.
        variable: Option<String>,
    },
    /// The secret is a placeholder for the one that the provider issued: a phrase such as `your_secret_here`, a
    /// template's `${WEBHOOK_SECRET}`, one character sixteen times or more, or a binary key of zeros.
    #[non_exhaustive]
    Placeholder {
        /// The environment variable it came from, if it did.
        variable: Option<String>,
        /// Its label, if it came from no variable.
        label: Option<String>,
    },
    /// The secret does not spell a key in the encoding that the provider's scheme expects.
    #[non_exhaustive]
    Encoding {
        /// The environment variable it came from, if it did.
        variable: Option<String>,
        /// Its label, if it came from no variable.
        label: Option<String>,
        /// The encoding that the scheme expects.
        expected: KeyEncoding,
    },
    /// No secret was given.
    NoSecret,
    /// More than [`Secrets::MAX`](crate::Secrets::MAX) secrets were given.
    TooMany,
}

impl SecretError {
    /// The error's code, which never changes.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unset { .. } => "secret_unset",
            Self::NotUnicode { .. } => "secret_not_unicode",
            Self::TooShort { .. } => "secret_too_short",
            Self::Padded { .. } => "secret_padded",
            Self::Quoted { .. } => "secret_quoted",
            Self::Placeholder { .. } => "secret_placeholder",
            Self::Encoding { .. } => "secret_encoding",
            Self::NoSecret => "no_secret",
            Self::TooMany => "too_many_secrets",
        }
    }

    /// Adds the name of the environment variable that the value came from.
    pub(crate) fn in_variable(mut self, name: &str) -> Self {
        if let Self::TooShort { variable, .. }
        | Self::Padded { variable }
        | Self::Quoted { variable }
        | Self::Placeholder { variable, .. } = &mut self
        {
            *variable = Some(name.to_owned());
        }
        self
    }
}

impl std::fmt::Display for SecretError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let subject = |variable: &Option<String>, label: &Option<String>| match (variable, label) {
            (Some(name), _) => format!("the secret in {name}"),
            (None, Some(label)) => format!("the secret labelled `{label}`"),
            (None, None) => "the secret".to_owned(),
        };
        match self {
            Self::Unset { variable } => write!(f, "{variable} is not set"),
            Self::NotUnicode { variable } => write!(f, "the secret in {variable} is not Unicode"),
            Self::TooShort { variable, label, is_decoded } => {
                let key = if *is_decoded { "the key decoded from " } else { "" };
                write!(f, "{key}{} is shorter than 16 bytes", subject(variable, label))
            }
            Self::Padded { variable } => {
                write!(f, "{} begins or ends with white space or a byte order mark", subject(variable, &None))
            }
            Self::Quoted { variable } => write!(f, "{} is in quotation marks", subject(variable, &None)),
            Self::Placeholder { variable, label } => {
                write!(f, "{} is a placeholder, not one that a provider issued", subject(variable, label))
            }
            Self::Encoding { variable, label, expected } => {
                let secret = subject(variable, label);
                write!(f, "{secret} is not in {expected}, as the provider's scheme expects")
            }
            Self::NoSecret => f.write_str("at least one secret is needed"),
            Self::TooMany => f.write_str("at most 8 secrets can be valid at once"),
        }
    }
}

impl std::error::Error for SecretError {}
