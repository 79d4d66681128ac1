//! A delivery that is kept, with its verdict and its answer.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use countersign::http::HeaderMap;
use serde::Serialize;
use serde_json::{Value, json};

use crate::provider::Provider;
use crate::terminal;
use crate::verdict::{Reasons, Verdict};

/// The longest part of a name in the list and the log, in characters. A name may be as long as the body.
pub(super) const LONGEST_NAME: usize = 200;

/// One delivery.
#[derive(Clone)]
pub(super) struct Entry {
    /// From 1, in the order of arrival.
    pub(super) number: u64,
    /// The journal's revision of the last change to this entry.
    pub(super) revision: u64,
    pub(super) at: SystemTime,
    pub(super) provider: Provider,
    pub(super) path_and_query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) verdict: Verdict,
    /// The event that it names, if it was refused. Nothing has proven it.
    pub(super) claimed: Option<String>,
    pub(super) reason: Reason,
    /// The first delivery of the same event, if this is a later one.
    pub(super) duplicate_of: Option<u64>,
    /// The delivery that was sent again as this one.
    pub(super) resend_of: Option<u64>,
    pub(super) endpoint: Endpoint,
    /// The status that the sender got.
    pub(super) answered: Option<u16>,
}

/// Whether the reason of a refusal is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The reason is known, or no search can find one.
    Known,
    /// A diagnosis waits for its turn, or runs.
    InDiagnosis,
    /// A diagnosis begins when somebody asks for it.
    OnRequest,
}

/// The answer of the endpoint.
#[derive(Clone, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(super) enum Endpoint {
    /// There is no endpoint.
    None,
    Waiting,
    Answered {
        status: u16,
        ms: f64,
        /// Whether only the beginning of the answer is kept.
        cut: bool,
        #[serde(skip)]
        body: Bytes,
    },
    Unreachable {
        message: String,
        ms: f64,
    },
}

impl Entry {
    /// The memory that it takes, approximately.
    pub(super) fn bytes(&self) -> usize {
        let headers =
            self.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
        let answer = match &self.endpoint {
            Endpoint::Answered { body, .. } => body.len(),
            _ => 0,
        };
        let names = match &self.verdict {
            Verdict::Accepted(accepted) => {
                let optional = [&accepted.event, &accepted.id, &accepted.timestamp].into_iter().flatten();
                // The journal has a second copy of the key, to find the first delivery.
                optional.map(String::len).sum::<usize>() + 2 * accepted.idempotency_key.len()
            }
            _ => self.claimed.as_ref().map_or(0, String::len),
        };
        self.body.len() + headers + answer + names + self.path_and_query.len()
    }

    /// The path without the query, which may contain a credential.
    pub(super) fn path(&self) -> &str {
        self.path_and_query.split('?').next().unwrap_or_default()
    }

    /// The facts that the list shows, and all of the verdict.
    pub(super) fn summary(&self) -> Value {
        let at = self.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut summary = json!({
            "number": self.number,
            "at": u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
            "provider": self.provider.slug(),
            "path": terminal::cut(self.path(), LONGEST_NAME),
            "bytes": self.body.len(),
            "duplicate_of": self.duplicate_of,
            "resend_of": self.resend_of,
            "endpoint": self.endpoint,
            "answered": self.answered,
        });
        match &self.verdict {
            Verdict::Accepted(accepted) => {
                summary["verdict"] = "accepted".into();
                summary["event"] = terminal::cut(accepted.name(), LONGEST_NAME).into();
                summary["variant"] = accepted.variant.into();
                summary["idempotency_key"] = terminal::cut(&accepted.idempotency_key, LONGEST_NAME).into();
                summary["secret"] = accepted.secret.into();
            }
            Verdict::Rejected(rejected) => {
                summary["verdict"] = "rejected".into();
                summary["claimed"] = self.claimed.clone().into();
                summary["error"] = rejected.error.into();
                summary["status"] = rejected.status.into();
                summary["message"] = rejected.message.clone().into();
                summary["in_diagnosis"] = (self.reason == Reason::InDiagnosis).into();
                summary["can_be_diagnosed"] = (self.reason == Reason::OnRequest).into();
                let Reasons { finding, causes, hints, .. } = &rejected.reasons;
                summary["finding"] = finding.clone().into();
                summary["causes"] = json!(causes);
                summary["hints"] = json!(hints);
            }
            Verdict::Unreadable { message } => {
                summary["verdict"] = "unreadable".into();
                summary["message"] = message.clone().into();
            }
        }
        summary
    }
}
