//! What came of a delivery, and so what to answer.

use std::time::Duration;

use crate::error::{BoxError, Error};
use crate::trace::{Ended, Severity};

/// What came of a delivery, and so what to answer.
///
/// | outcome | status | code |
/// |---|---|---|
/// | [`Handled`](Outcome::Handled) | 200 | `handled` |
/// | [`Duplicate`](Outcome::Duplicate) | 200 | `duplicate` |
/// | [`InFlight`](Outcome::InFlight) | 409, Retry-After | `in_flight` |
/// | [`LeaseLost`](Outcome::LeaseLost) | 409, Retry-After | `lease_lost` |
/// | [`Rejected`](Outcome::Rejected) | the error's | the error's |
/// | [`Failed`](Outcome::Failed) with [`Error::InvalidEvent`] | 422 | `invalid_event` |
/// | [`Failed`](Outcome::Failed) with anything else | 500 | `handler_failed` |
/// | [`Unavailable`](Outcome::Unavailable) | 503 | `store_unavailable` |
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "the provider waits for its status"]
pub enum Outcome {
    /// The handler ran, and the key is done.
    Handled,
    /// The event was handled before; the handler did not run.
    Duplicate,
    /// Another delivery of the event is being handled; the handler did not run. It is not
    /// acknowledged, since that handler may yet fail: the provider is to retry.
    InFlight {
        /// How long the other's lease lasts yet.
        retry_after: Duration,
    },
    /// The handler ran, and took longer than its lease: another delivery of the event is being
    /// handled too, or was. Lengthen the lease.
    LeaseLost {
        /// How long the other's lease lasts at the most.
        retry_after: Duration,
    },
    /// The delivery was refused; the store was not asked.
    Rejected(Error),
    /// The handler failed, and the key was given back, so that the provider's retry is handled. (If
    /// the store could not take it back, a retry is [`InFlight`](Outcome::InFlight) until the lease lapses.)
    Failed(Box<dyn std::error::Error + Send + Sync>),
    /// The store failed, or its policy is impossible. If it failed after the handler had run, the
    /// first retry after the lease has lapsed runs the handler again; those before are
    /// [`InFlight`](Outcome::InFlight).
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
}

impl Outcome {
    /// The HTTP status to answer with.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Handled | Self::Duplicate => 200,
            Self::InFlight { .. } | Self::LeaseLost { .. } => 409,
            Self::Rejected(error) => error.status(),
            Self::Failed(error) => invalid_event(error).map_or(500, Error::status),
            Self::Unavailable(_) => 503,
        }
    }

    /// One word for this outcome that never changes: for the response, for logs, for metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Handled => "handled",
            Self::Duplicate => "duplicate",
            Self::InFlight { .. } => "in_flight",
            Self::LeaseLost { .. } => "lease_lost",
            Self::Rejected(error) => error.code(),
            Self::Failed(error) => invalid_event(error).map_or("handler_failed", Error::code),
            Self::Unavailable(_) => "store_unavailable",
        }
    }

    /// Whether the delivery is acknowledged: the answer is a 2xx.
    #[must_use]
    pub fn is_acknowledged(&self) -> bool {
        matches!(self, Self::Handled | Self::Duplicate)
    }

    /// The value of the Retry-After header, in whole seconds and at least 1, where there is one.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::InFlight { retry_after } | Self::LeaseLost { retry_after } => {
                let up = u64::from(retry_after.subsec_nanos() > 0);
                Some(retry_after.as_secs().saturating_add(up).max(1))
            }
            _ => None,
        }
    }

    /// What the log says of it, which is neither the handler's error nor what it may quote.
    pub(crate) fn ended(&self) -> Ended {
        let severity = match self {
            Self::Handled | Self::Duplicate | Self::InFlight { .. } => Severity::Info,
            Self::LeaseLost { .. } | Self::Rejected(_) => Severity::Warn,
            Self::Failed(_) | Self::Unavailable(_) => Severity::Error,
        };
        Ended { severity, code: self.code(), status: self.status() }
    }

    /// The error behind the outcome, for the log. Its sources, and a handler's error, may quote the
    /// payload.
    #[must_use]
    pub fn error(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Rejected(error) => Some(error),
            Self::Failed(error) | Self::Unavailable(error) => Some(&**error),
            _ => None,
        }
    }
}

/// The one error of a handler that is the delivery's fault and not the handler's.
fn invalid_event(error: &BoxError) -> Option<&Error> {
    error.downcast_ref().filter(|error| matches!(error, Error::InvalidEvent { .. }))
}
