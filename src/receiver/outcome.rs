//! What happened to a delivery, and what to answer.

use std::fmt;
use std::time::Duration;

use crate::error::{BoxError, Error};
use crate::trace::{Ended, Severity};

/// What happened to a delivery, and what to answer.
///
/// | outcome | status | code |
/// |---|---|---|
/// | [`Handled`](Outcome::Handled) | 200 | `handled` |
/// | [`Duplicate`](Outcome::Duplicate) | 200 | `duplicate` |
/// | [`Challenge`](Outcome::Challenge) | 200, with the answer as its body | `challenge` |
/// | [`InFlight`](Outcome::InFlight) | 409, Retry-After | `in_flight` |
/// | [`LeaseLost`](Outcome::LeaseLost) | 409, Retry-After | `lease_lost` |
/// | [`Rejected`](Outcome::Rejected) | the error's | the error's |
/// | [`Failed`](Outcome::Failed) with [`Error::InvalidEvent`] | 422 | `invalid_event` |
/// | [`Failed`](Outcome::Failed) with anything else | 500 | `handler_failed` |
/// | [`Unavailable`](Outcome::Unavailable) | 503 | `store_unavailable` |
#[non_exhaustive]
#[must_use = "the provider waits for its status"]
pub enum Outcome {
    /// The handler ran, and the key is done.
    Handled,
    /// The event was handled before; the handler did not run.
    Duplicate,
    /// The provider verifies the endpoint, as Slack and Zoom do, and waits for this answer, which is JSON; the handler did
    /// not run, and the store was not called. See [`Delivery::challenge_response`](crate::Delivery::challenge_response).
    Challenge(String),
    /// Another delivery of the event is being handled; the handler did not run. The delivery is not
    /// acknowledged, because the other handler may still fail. The provider retries.
    InFlight {
        /// How long the other delivery's lease still lasts.
        retry_after: Duration,
    },
    /// The handler ran, but took longer than its lease. Another delivery of the event is being
    /// handled, or was. Set a longer lease.
    LeaseLost {
        /// The longest time that the other delivery's lease can last.
        retry_after: Duration,
    },
    /// The delivery was refused; the store was not called.
    Rejected(Error),
    /// The handler failed, and its key was released, so that the provider's retry is handled. (If
    /// the store could not release the key, retries are [`InFlight`](Outcome::InFlight) until the lease lapses.)
    Failed(Box<dyn std::error::Error + Send + Sync>),
    /// The store failed. If it failed after the handler had run, the first retry after the lease has
    /// lapsed runs the handler again; earlier ones are [`InFlight`](Outcome::InFlight). (In a transaction of the store,
    /// and if a handler with a lease returned the store's own error, the next retry does.)
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
}

impl Outcome {
    /// The HTTP status to answer with.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Handled | Self::Duplicate | Self::Challenge(_) => 200,
            Self::InFlight { .. } | Self::LeaseLost { .. } => 409,
            Self::Rejected(error) => error.status(),
            Self::Failed(error) => invalid_event(error).map_or(500, Error::status),
            Self::Unavailable(_) => 503,
        }
    }

    /// The outcome's code, which never changes: for the response, for logs and for metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Handled => "handled",
            Self::Duplicate => "duplicate",
            Self::Challenge(_) => "challenge",
            Self::InFlight { .. } => "in_flight",
            Self::LeaseLost { .. } => "lease_lost",
            Self::Rejected(error) => error.code(),
            Self::Failed(error) => invalid_event(error).map_or("handler_failed", Error::code),
            Self::Unavailable(_) => "store_unavailable",
        }
    }

    /// Whether the delivery is acknowledged, with a 2xx.
    #[must_use]
    pub fn is_acknowledged(&self) -> bool {
        matches!(self, Self::Handled | Self::Duplicate | Self::Challenge(_))
    }

    /// The value of the Retry-After header, in whole seconds and at least 1, if the outcome has one.
    #[must_use]
    pub fn retry_after_secs(&self) -> Option<u64> {
        match self {
            Self::InFlight { retry_after } | Self::LeaseLost { retry_after } => {
                let up = u64::from(retry_after.subsec_nanos() > 0);
                Some(retry_after.as_secs().saturating_add(up).max(1))
            }
            _ => None,
        }
    }

    /// What the log says: the code and the status, but not the handler's error, which may quote the payload.
    pub(crate) fn ended(&self) -> Ended {
        let severity = match self {
            Self::Handled | Self::Duplicate | Self::Challenge(_) | Self::InFlight { .. } => Severity::Info,
            Self::LeaseLost { .. } | Self::Rejected(_) => Severity::Warn,
            Self::Failed(_) | Self::Unavailable(_) => Severity::Error,
        };
        Ended { severity, code: self.code(), status: self.status() }
    }

    /// The error behind the outcome, for the log. Its sources may quote the payload, and so may a handler's
    /// error.
    #[must_use]
    pub fn error(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Rejected(error) => Some(error),
            Self::Failed(error) | Self::Unavailable(error) => Some(&**error),
            _ => None,
        }
    }
}

/// Leaves out the answer to a challenge, which may contain a MAC.
impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handled => f.write_str("Handled"),
            Self::Duplicate => f.write_str("Duplicate"),
            Self::Challenge(_) => f.write_str("Challenge(..)"),
            Self::InFlight { retry_after } => {
                f.debug_struct("InFlight").field("retry_after", retry_after).finish()
            }
            Self::LeaseLost { retry_after } => {
                f.debug_struct("LeaseLost").field("retry_after", retry_after).finish()
            }
            Self::Rejected(error) => f.debug_tuple("Rejected").field(error).finish(),
            Self::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
            Self::Unavailable(error) => f.debug_tuple("Unavailable").field(error).finish(),
        }
    }
}

/// Whether a handler's error is [`Error::InvalidEvent`]: the delivery is at fault then, not the handler.
fn invalid_event(error: &BoxError) -> Option<&Error> {
    error.downcast_ref().filter(|error| matches!(error, Error::InvalidEvent { .. }))
}
