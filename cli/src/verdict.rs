//! The verdict on a delivery: accepted with its event, or refused with the reason.

use std::error::Error as _;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use countersign::diagnose::Diagnoser;
use countersign::{Delivery, Error, Event, EventNameSource, Json, Provider, Secrets, SetupError, Webhook};
use serde::{Serialize, Serializer};

use crate::terminal::{Colour, paint, visible, visible_line};

/// Captured headers: the name and the bytes of each occurrence.
pub(crate) type Captured = Vec<(String, Vec<u8>)>;

/// The verdict in the form of the library's example `inspect`, with what a diagnosis adds.
#[derive(Serialize, Clone, Debug)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub(crate) enum Verdict {
    Accepted(Accepted),
    Rejected(Rejected),
    Unreadable { message: String },
}

#[derive(Serialize, Clone, Debug)]
pub(crate) struct Accepted {
    /// `None` if the provider names no events.
    pub(crate) event: Option<String>,
    pub(crate) variant: &'static str,
    pub(crate) id: Option<String>,
    pub(crate) idempotency_key: String,
    pub(crate) secret: usize,
    /// The source of that secret.
    pub(crate) secret_label: Option<String>,
    pub(crate) timestamp: Option<String>,
    /// What answers the provider's verification of the endpoint, if the delivery is one.
    #[serde(skip)]
    pub(crate) challenge_response: Option<String>,
    #[serde(serialize_with = "on_one_line")]
    pub(crate) data: Json,
}

#[derive(Serialize, Clone, Debug)]
pub(crate) struct Rejected {
    pub(crate) error: &'static str,
    pub(crate) status: u16,
    pub(crate) message: String,
    #[serde(flatten)]
    pub(crate) reasons: Reasons,
}

/// What a diagnosis found, in the library's words.
#[derive(Serialize, Clone, Debug, Default)]
pub(crate) struct Reasons {
    /// One sentence about whether there is a cause.
    pub(crate) finding: Option<String>,
    /// The causes that together kept the delivery from verifying.
    pub(crate) causes: Vec<Cause>,
    /// The suspicions, if no cause is known.
    pub(crate) hints: Vec<Hint>,
    /// The number of bytes that were hashed to find out.
    #[serde(skip)]
    pub(crate) hashed_bytes: u64,
}

#[derive(Serialize, Clone, Debug)]
pub(crate) struct Cause {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) cure: String,
}

#[derive(Serialize, Clone, Debug)]
pub(crate) struct Hint {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

/// Writes JSON without its line ends. Those inside strings are escapes, and stay.
fn on_one_line<S: Serializer>(json: &Json, serializer: S) -> Result<S::Ok, S::Error> {
    let line = json.as_str().replace(['\n', '\r'], "");
    let json: Json = serde_json::from_str(&line).map_err(serde::ser::Error::custom)?;
    json.serialize(serializer)
}

impl Accepted {
    /// The event's name for people.
    pub(crate) fn name(&self) -> &str {
        self.event.as_deref().unwrap_or("an event without a name")
    }
}

impl Verdict {
    pub(crate) fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted(_))
    }

    /// The text for people, with a line for each fact.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        match self {
            Self::Accepted(accepted) => {
                let variant = if accepted.variant == "Unknown" {
                    "an event without a type in this version".to_owned()
                } else {
                    format!("typed as {}", accepted.variant)
                };
                let event = visible_line(accepted.name());
                let _ = write!(text, "{}  {event}, {variant}", paint(Colour::Green, "accepted"));
                let newest = if accepted.secret == 0 { "the newest" } else { "an older one" };
                let label =
                    accepted.secret_label.as_deref().map(|label| format!(", {label}")).unwrap_or_default();
                field(&mut text, "secret", &format!("{newest}{label}"));
                field(&mut text, "idempotency key", &accepted.idempotency_key);
                if let Some(timestamp) = &accepted.timestamp {
                    field(&mut text, "timestamp", timestamp);
                }
            }
            Self::Rejected(rejected) => {
                let Rejected { error, status, message, reasons } = rejected;
                let Reasons { finding, causes, hints, .. } = reasons;
                let _ = write!(text, "{}  {error}: {}", paint(Colour::Red, "rejected"), visible(message));
                field(&mut text, "to answer", &status.to_string());
                if let Some(finding) = finding.as_deref().filter(|_| causes.is_empty()) {
                    field(&mut text, "cause", finding);
                }
                for cause in causes {
                    field(&mut text, "cause", &cause.message);
                    field(&mut text, "cure", &cause.cure);
                }
                for hint in hints {
                    field(&mut text, "hint", &hint.message);
                }
            }
            Self::Unreadable { message } => {
                let _ = write!(text, "{}  {}", paint(Colour::Yellow, "unreadable"), visible(message));
            }
        }
        text
    }
}

fn field(text: &mut String, name: &str, value: &str) {
    let _ = write!(text, "\n  {}  {}", paint(Colour::Dim, &format!("{name:<15}")), visible_line(value));
}

/// The webhook of any provider.
pub(crate) trait Judge: Send + Sync {
    /// The verdict of the library, which is quick.
    fn verdict(&self, headers: &Captured, body: &[u8], now: SystemTime) -> Verdict;

    /// The reasons why the signature does not match or is too old, which may take seconds to find.
    fn reasons(&self, headers: &Captured, body: &[u8], now: SystemTime) -> Reasons;
}

impl Verdict {
    /// Whether a diagnosis may find a reason.
    pub(crate) fn can_be_diagnosed(&self) -> bool {
        matches!(self, Self::Rejected(rejected) if rejected.status == 401 || rejected.error == Error::Stale.code())
    }

    pub(crate) fn set_reasons(&mut self, reasons: Reasons) {
        if let Self::Rejected(rejected) = self {
            rejected.reasons = reasons;
        }
    }
}

/// The settings of a judge, beside the secrets.
#[derive(Default, Clone)]
pub(crate) struct Terms {
    pub(crate) max_age: Option<Duration>,
    /// The secrets of other providers by name, which a diagnosis also tries.
    pub(crate) others: Vec<(String, Secrets)>,
}

pub(crate) fn judge<P: Provider + Clone>(
    provider: P,
    secrets: Secrets,
    terms: Terms,
) -> Result<Arc<dyn Judge>, SetupError> {
    let mut diagnoser = Diagnoser::for_provider(provider.clone(), secrets.clone())?;
    for (other, secrets) in terms.others {
        diagnoser = diagnoser.with_other(other, secrets);
    }
    let mut webhook = Webhook::for_provider(provider, secrets)?;
    if let Some(max_age) = terms.max_age {
        webhook = webhook.with_max_age(max_age);
        diagnoser = diagnoser.with_max_age(max_age);
    }
    Ok(Arc::new(Bench { webhook, diagnoser }))
}

struct Bench<P> {
    webhook: Webhook<P>,
    diagnoser: Diagnoser<P>,
}

impl<P: Provider> Judge for Bench<P> {
    fn verdict(&self, headers: &Captured, body: &[u8], now: SystemTime) -> Verdict {
        let webhook = self.webhook.clone().with_clock(move || now);
        let delivery = webhook.verify(headers, body);
        let judged = delivery.and_then(|delivery| {
            let challenge_response = delivery.challenge_response().map(str::to_owned);
            accepted(&delivery).map(|accepted| Accepted { challenge_response, ..accepted })
        });
        match judged {
            Ok(accepted) => Verdict::Accepted(accepted),
            Err(error) => Verdict::Rejected(Rejected {
                error: error.code(),
                status: error.status(),
                message: match error.source() {
                    Some(source) => format!("{error}: {source}"),
                    None => error.to_string(),
                },
                reasons: Reasons::default(),
            }),
        }
    }

    fn reasons(&self, headers: &Captured, body: &[u8], now: SystemTime) -> Reasons {
        let headers = headers.iter().map(|(name, value)| (&**name, &value[..]));
        let diagnosis = self.diagnoser.clone().with_clock(move || now).diagnose(headers, body);
        let cause = |cause: &countersign::diagnose::Cause| Cause {
            code: cause.code(),
            message: cause.to_string(),
            cure: cause.cure().to_owned(),
        };
        Reasons {
            finding: diagnosis.to_string().lines().next().map(str::to_owned),
            causes: diagnosis.causes().iter().map(cause).collect(),
            hints: diagnosis
                .hints()
                .iter()
                .map(|hint| Hint { code: hint.code(), message: hint.to_string() })
                .collect(),
            hashed_bytes: diagnosis.hashed_bytes(),
        }
    }
}

/// The data of an event, as the event writes it.
struct Data<'a, E>(&'a E);

impl<E: Event> Serialize for Data<'_, E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize_data(serializer)
    }
}

fn accepted<P: Provider>(delivery: &Delivery<'_, P>) -> Result<Accepted, Error> {
    let event = delivery.event()?;
    let data = serde_json::to_string(&Data(&event)).and_then(|text| serde_json::from_str(&text));
    Ok(Accepted {
        event: (delivery.event_name_source() != EventNameSource::Absent).then(|| event.name().to_owned()),
        variant: event.variant(),
        id: delivery.id().map(str::to_owned),
        idempotency_key: delivery.idempotency_key().to_string(),
        secret: delivery.matched_secret().position(),
        secret_label: delivery.matched_secret().label().map(str::to_owned),
        timestamp: delivery.timestamp_text().map(str::to_owned),
        challenge_response: None,
        data: data.expect("an event can be written as JSON"),
    })
}
