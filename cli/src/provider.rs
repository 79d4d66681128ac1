//! The providers that the commands know: the built-in ones, and those that files declare.

use std::ffi::OsStr;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, Args, Command};
use countersign::http::HeaderName;

use crate::failure::Failure;
use crate::terminal;

mod builtin;
mod file;
mod kind;

pub(crate) use file::{in_directory, of_json, read};
pub(crate) use kind::{Kind, Sign};

/// A provider, which is cheap to clone.
#[derive(Clone)]
pub(crate) struct Provider(Arc<Facts>);

/// What the commands need to know about a provider.
struct Facts {
    /// The name in paths, keys and arguments.
    slug: String,
    /// The name as the provider writes it.
    title: String,
    /// The environment variable with the secret.
    variable: String,
    members: Members,
    /// The event that is sent if the user names none.
    default_event: String,
    /// The events that the provider's pages name, if this crate knows them all. Others may arrive.
    events: &'static [&'static str],
    retries: Retries,
    /// How long the provider waits for an answer, if its pages state it.
    patience: Option<Duration>,
    /// How old a signed time may be.
    tolerance: Option<Duration>,
    /// What stands before each tag, if a file declares it.
    before_tag: String,
    /// Whether a body must be JSON.
    is_json: bool,
    /// Whether the notification URL is signed.
    signs_url: bool,
    make: Box<Make>,
    /// The declaration, if a file has it.
    declaration: Option<serde_json::Value>,
}

type Make = dyn Fn(&Settings) -> Result<Box<dyn Kind>, Failure> + Send + Sync;

/// What a provider's pages say about retries.
struct Retries {
    /// Their times in seconds after the first try, if the pages state them.
    after: Option<&'static [u64]>,
    about: String,
}

/// Where the parts of an event stand in a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Members {
    pub(crate) name: NamePlace,
    pub(crate) id: Option<String>,
    pub(crate) time: Option<(String, TimeForm)>,
    pub(crate) data: Option<String>,
}

/// Where an event's name stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum NamePlace {
    #[default]
    Nowhere,
    Member(String),
    /// In a member, and once more in a header.
    Both(String, HeaderName),
    Header(HeaderName),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeForm {
    Text,
    Seconds,
    Milliseconds,
}

/// What a receiver knows about a provider beside its secret.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Settings {
    /// NowToPrint's signature header, if it is not X-Webhook-Signature
    #[arg(long, value_name = "NAME")]
    pub(crate) signature_header: Option<HeaderName>,
    #[command(flatten)]
    pub(crate) notification: Notification,
}

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Notification {
    /// The notification URL that Square signs, as its subscription has it [default: $SQUARE_NOTIFICATION_URL]
    #[arg(long, value_name = "URL")]
    notification_url: Option<String>,
}

impl Settings {
    /// Adds what is known beside the arguments: see [`Notification::with`].
    pub(crate) fn with(&self, captured: Option<&str>, variable: impl FnOnce() -> Option<String>) -> Self {
        Self {
            signature_header: self.signature_header.clone(),
            notification: self.notification.with(captured, variable),
        }
    }
}

impl Notification {
    /// Takes the URL that came with a delivery, if one did, and otherwise the variable's if no argument has one.
    pub(crate) fn with(&self, captured: Option<&str>, variable: impl FnOnce() -> Option<String>) -> Self {
        let url = captured.map(str::to_owned).or_else(|| self.notification_url.clone());
        Self { notification_url: url.or_else(variable) }
    }

    /// The URL, if the provider signs one.
    pub(crate) fn url_of(&self, provider: &Provider) -> Option<String> {
        self.notification_url.clone().filter(|_| provider.0.signs_url)
    }

    fn url(&self) -> Option<&str> {
        self.notification_url.as_deref()
    }
}

impl Provider {
    /// Those that the library has.
    pub(crate) fn built_in() -> Vec<Self> {
        builtin::all()
    }

    pub(crate) fn of_slug(slug: &str) -> Option<Self> {
        Self::built_in().into_iter().find(|provider| provider.slug() == slug)
    }

    pub(crate) fn slug(&self) -> &str {
        &self.0.slug
    }

    pub(crate) fn variable(&self) -> &str {
        &self.0.variable
    }

    /// The environment variable with the secret that is being rotated out.
    pub(crate) fn previous_variable(&self) -> String {
        format!("{}_PREVIOUS", self.variable())
    }

    pub(crate) fn members(&self) -> &Members {
        &self.0.members
    }

    pub(crate) fn default_event(&self) -> &str {
        &self.0.default_event
    }

    pub(crate) fn events(&self) -> &'static [&'static str] {
        self.0.events
    }

    pub(crate) fn retries(&self) -> Option<&'static [u64]> {
        self.0.retries.after
    }

    pub(crate) fn about_retries(&self) -> &str {
        &self.0.retries.about
    }

    pub(crate) fn patience(&self) -> Option<Duration> {
        self.0.patience
    }

    pub(crate) fn tolerance(&self) -> Option<Duration> {
        self.0.tolerance
    }

    /// The beginning of a tag's item in a signature header, if a file declares it.
    pub(crate) fn before_tag(&self) -> &str {
        &self.0.before_tag
    }

    /// The header that names the event, if there is one.
    pub(crate) fn event_header(&self) -> Option<&HeaderName> {
        match &self.0.members.name {
            NamePlace::Both(_, header) | NamePlace::Header(header) => Some(header),
            NamePlace::Nowhere | NamePlace::Member(_) => None,
        }
    }

    /// Whether the event's name stands in a header alone.
    pub(crate) fn is_named_by_header(&self) -> bool {
        matches!(self.0.members.name, NamePlace::Header(_))
    }

    /// Whether a file declares something of this header, in lower case.
    pub(crate) fn declares_header(&self, name: &str) -> bool {
        let declaration =
            self.0.declaration.as_ref().map(|declaration| declaration.to_string().to_lowercase());
        declaration.is_some_and(|declaration| declaration.contains(name))
    }

    pub(crate) fn is_json(&self) -> bool {
        self.0.is_json
    }

    /// Whether the library has it.
    pub(crate) fn is_built_in(&self) -> bool {
        self.0.declaration.is_none()
    }

    /// The provider as a captured delivery names it: by its name, or by its declaration.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        self.0.declaration.clone().unwrap_or_else(|| self.slug().into())
    }

    pub(crate) fn kind(&self, settings: &Settings) -> Result<Box<dyn Kind>, Failure> {
        (self.0.make)(settings)
    }
}

impl PartialEq for Provider {
    fn eq(&self, other: &Self) -> bool {
        self.slug() == other.slug()
    }
}

/// The name as the provider writes it.
impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.title)
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.slug())
    }
}

/// Reads the argument of `--provider`: a built-in's name, or a file.
#[derive(Clone)]
pub(crate) struct ProviderParser;

impl TypedValueParser for ProviderParser {
    type Value = Provider;

    fn parse_ref(
        &self,
        command: &Command,
        _argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Provider, clap::Error> {
        file::of_argument(value).map_err(|failure| {
            let message = terminal::visible(&failure.to_string());
            clap::Error::raw(ErrorKind::ValueValidation, format!("{message}\n")).with_cmd(command)
        })
    }

    /// For completions and the help.
    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(builtin::slugs().map(PossibleValue::new)))
    }
}
