//! The three providers, and what the commands need to know about each.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use countersign::Provider;
use countersign::http::HeaderName;
use countersign::provider::{NowToPrint, Quote3d, ThreeQpr, nowtoprint, quote3d, threeqpr};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum ProviderName {
    #[value(name = "quote3d")]
    Quote3d,
    #[value(name = "nowtoprint")]
    NowToPrint,
    #[value(name = "3qpr")]
    ThreeQpr,
}

impl ProviderName {
    pub(crate) const ALL: [Self; 3] = [Self::Quote3d, Self::NowToPrint, Self::ThreeQpr];

    /// The name in paths, keys and arguments.
    pub(crate) fn slug(self) -> &'static str {
        match self {
            Self::Quote3d => Quote3d::NAME,
            Self::NowToPrint => NowToPrint::NAME,
            Self::ThreeQpr => ThreeQpr::NAME,
        }
    }

    pub(crate) fn of_slug(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.slug() == slug)
    }

    pub(crate) fn signature_header(self) -> HeaderName {
        match self {
            Self::Quote3d => HeaderName::from_static(Quote3d::SCHEME.signature_header()),
            Self::NowToPrint => HeaderName::from_static(NowToPrint::SCHEME.signature_header()),
            Self::ThreeQpr => HeaderName::from_static(ThreeQpr::SCHEME.signature_header()),
        }
    }

    pub(crate) fn event_header(self) -> Option<HeaderName> {
        let header = match self {
            Self::Quote3d => Quote3d::ENVELOPE.header(),
            Self::NowToPrint => NowToPrint::ENVELOPE.header(),
            Self::ThreeQpr => ThreeQpr::ENVELOPE.header(),
        };
        header.map(HeaderName::from_static)
    }

    /// The environment variable with the secret.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::Quote3d => "QUOTE3D_WEBHOOK_SECRET",
            Self::NowToPrint => "NOWTOPRINT_WEBHOOK_SECRET",
            Self::ThreeQpr => "THREEQPR_WEBHOOK_SECRET",
        }
    }

    /// The environment variable with the secret that is being rotated out.
    pub(crate) fn previous_variable(self) -> String {
        format!("{}_PREVIOUS", self.variable())
    }

    /// The events that the provider's pages name. Others may arrive.
    pub(crate) fn events(self) -> &'static [&'static str] {
        match self {
            Self::Quote3d => quote3d::Event::NAMES,
            Self::NowToPrint => nowtoprint::Event::NAMES,
            Self::ThreeQpr => threeqpr::Event::NAMES,
        }
    }

    /// The times of the provider's retries, in seconds after the first try, if its pages state them.
    pub(crate) fn retries(self) -> Option<&'static [u64]> {
        match self {
            Self::ThreeQpr => Some(&[5, 35, 155, 755, 4355]),
            Self::Quote3d | Self::NowToPrint => None,
        }
    }

    /// What the provider's pages say about retries.
    pub(crate) fn about_retries(self) -> &'static str {
        match self {
            Self::Quote3d => "Quote3D \"may retry\", and documents no schedule",
            Self::NowToPrint => {
                "NowToPrint retries on a timeout or any status but 2xx, and documents no schedule"
            }
            Self::ThreeQpr => "3QPR retries any status but 2xx after 5, 35, 155, 755 and 4355 s",
        }
    }

    /// How long the provider waits for an answer, if its pages state it.
    pub(crate) fn patience(self) -> Option<Duration> {
        match self {
            Self::ThreeQpr => Some(Duration::from_secs(5)),
            Self::Quote3d | Self::NowToPrint => None,
        }
    }
}

/// The name as the provider writes it.
impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quote3d => "Quote3D",
            Self::NowToPrint => "NowToPrint",
            Self::ThreeQpr => "3QPR",
        })
    }
}
