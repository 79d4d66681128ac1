//! Handles a delivery: reads it, judges it, keeps it, forwards it and answers it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use countersign::Json;
use countersign::http::{HeaderMap, StatusCode, header};
use http_body_util::LengthLimitError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use super::claim::claimed_event;
use super::diagnoses::{Asked, Diagnoses};
use super::entry::{Endpoint, Entry, Reason};
use super::journal::Journal;
use super::log::Log;
use super::original::signed_body;
use super::record::Record;
use super::{App, Served};
use crate::client::{self, Target};
use crate::json;
use crate::provider::Provider;
use crate::terminal::milliseconds;
use crate::verdict::{Accepted, Captured, Cause, Judge, Reasons, Rejected, Verdict};

/// The longest body that is accepted, in bytes: the library's default.
const BODY_LIMIT: usize = 1 << 20;
/// The longest part of an endpoint's answer that is kept and passed back, in bytes.
const ANSWER_LIMIT: usize = 16 << 10;
/// How long a sender may take to send its body.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most bodies that are read, or wait for their turn, at once. Others wait unread.
const READ_AT_ONCE: usize = 256;
/// The most deliveries that are forwarded at once.
const PASSED_ON_AT_ONCE: usize = 64;

pub(super) struct Intake {
    pub(super) served: Vec<Served>,
    pub(super) forward: Option<Target>,
    timeout: Duration,
    pub(super) journal: Journal,
    pub(super) log: Log,
    record: Option<Record>,
    /// Separate from the turns, so slow senders do not delay other deliveries.
    reading: Arc<Semaphore>,
    turns: Semaphore,
    diagnoses: Arc<Diagnoses>,
}

/// A delivery that has arrived.
pub(super) struct Arrival {
    pub(super) provider: Provider,
    pub(super) path_and_query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) resend_of: Option<u64>,
}

pub(super) async fn receive(
    State(app): State<Arc<App>>,
    Path(slug): Path<String>,
    request: Request,
) -> Response {
    let served = || app.intake.served.iter().map(|served| &served.provider);
    let Some(provider) = served().find(|provider| provider.slug() == slug).cloned() else {
        let known = served().map(Provider::slug).collect::<Vec<_>>().join(", ");
        let message = format!("unknown provider: /webhooks/ must be followed by one of {known}\n");
        return (StatusCode::NOT_FOUND, message).into_response();
    };
    let place = Arc::clone(&app.intake.reading).acquire_owned().await.ok();
    let (head, body) = request.into_parts();
    let path_and_query = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let arrival = |body| Arrival { provider, path_and_query, headers: head.headers, body, resend_of: None };
    let handling = match tokio::time::timeout(PATIENCE, to_bytes(body, BODY_LIMIT)).await {
        Ok(Ok(body)) => app.intake.begin(arrival(body), place),
        unread => {
            let too_large = matches!(&unread, Ok(Err(error)) if is_of_length(error));
            let arrival = arrival(Bytes::new());
            tokio::spawn(async move { app.intake.refuse_unread(arrival, too_large) })
        }
    };
    handling
        .await
        .map_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response(), |(_, response)| response)
}

fn is_of_length(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<LengthLimitError>())
}

impl Intake {
    pub(super) fn new(
        served: Vec<Served>,
        forward: Option<Target>,
        timeout: Duration,
        log: Log,
        record: Option<Record>,
    ) -> Self {
        Self {
            served,
            forward,
            timeout,
            journal: Journal::default(),
            log,
            record,
            reading: Arc::new(Semaphore::new(READ_AT_ONCE)),
            turns: Semaphore::new(PASSED_ON_AT_ONCE),
            diagnoses: Arc::default(),
        }
    }

    /// Handles a delivery in a task of its own, which continues if the sender hangs up. The place is released when its
    /// turn comes.
    pub(super) fn begin(
        self: &Arc<Self>,
        arrival: Arrival,
        place: Option<OwnedSemaphorePermit>,
    ) -> JoinHandle<(u64, Response)> {
        let intake = Arc::clone(self);
        tokio::spawn(async move {
            let _turn = intake.turns.acquire().await;
            drop(place);
            intake.handle(arrival).await
        })
    }

    /// Judges a delivery, keeps it, forwards it, and returns the response.
    async fn handle(self: &Arc<Self>, arrival: Arrival) -> (u64, Response) {
        let verdict = self.verdict(&arrival);
        let endpoint = if self.forward.is_some() { Endpoint::Waiting } else { Endpoint::None };
        let answered = self.forward.is_none().then(|| status_of(&verdict));
        let entry = self.keep(arrival, verdict, endpoint, answered);
        let number = entry.number;
        if let Some(record) = self.record.as_ref().filter(|_| entry.resend_of.is_none()) {
            record.delivery(&entry);
        }
        let diagnosis = tokio::spawn(Arc::clone(self).diagnose(Arc::clone(&entry), Asked::No));
        let response = match &self.forward {
            None => to_response(&entry.verdict),
            Some(target) => {
                let (endpoint, response) = self.pass_on(target, &entry).await;
                let status = response.status().as_u16();
                self.journal.update(number, |entry| {
                    entry.endpoint = endpoint;
                    entry.answered = Some(status);
                });
                response
            }
        };
        // The sender does not wait for the reason.
        let intake = Arc::clone(self);
        tokio::spawn(async move {
            let _ = diagnosis.await;
            intake.log.delivery(&intake.journal.get(number).unwrap_or(entry));
        });
        (number, response)
    }

    /// Finds out why a delivery was refused, while other work continues.
    async fn diagnose(self: Arc<Self>, entry: Arc<Entry>, asked: Asked) {
        if entry.reason != Reason::InDiagnosis {
            return;
        }
        let Some(judge) = self.judge(&entry.provider) else { return };
        let (judge, job) = (Arc::clone(judge), Arc::clone(&entry));
        let work = move || judge.reasons(&captured(&job.headers), &job.body, job.at);
        let found = self.diagnoses.reasons(asked, entry.body.len(), Box::new(work)).await;
        self.journal.update(entry.number, |entry| match found {
            Ok(reasons) => {
                entry.verdict.set_reasons(reasons);
                entry.reason = Reason::Known;
            }
            Err(put_off) => {
                let finding = Some(format!("not diagnosed yet: {put_off}"));
                entry.verdict.set_reasons(Reasons { finding, ..Reasons::default() });
                entry.reason = Reason::OnRequest;
            }
        });
    }

    /// Begins a diagnosis that waits for a request. Returns whether one did.
    pub(super) fn diagnose_on_request(self: &Arc<Self>, number: u64) -> bool {
        let mut is_waiting = false;
        let entry = self.journal.update(number, |entry| {
            is_waiting = entry.reason == Reason::OnRequest;
            if is_waiting {
                entry.reason = Reason::InDiagnosis;
            }
        });
        if let Some(entry) = entry.filter(|_| is_waiting) {
            tokio::spawn(Arc::clone(self).diagnose(entry, Asked::Yes));
        }
        is_waiting
    }

    fn served(&self, provider: &Provider) -> Option<&Served> {
        self.served.iter().find(|served| served.provider == *provider)
    }

    fn judge(&self, provider: &Provider) -> Option<&Arc<dyn Judge>> {
        self.served(provider)?.judge.as_ref().ok()
    }

    /// Refuses a body that is too long or did not arrive. It is not forwarded.
    fn refuse_unread(&self, arrival: Arrival, too_large: bool) -> (u64, Response) {
        let (error, status, message) = if too_large {
            ("body_too_large", 413, format!("the body is longer than {BODY_LIMIT} bytes"))
        } else {
            ("incomplete_body", 400, "the body did not arrive completely".to_owned())
        };
        let verdict = Verdict::Rejected(Rejected { error, status, message, reasons: Reasons::default() });
        let response = to_response(&verdict);
        let entry = self.keep(arrival, verdict, Endpoint::None, Some(status));
        self.log.delivery(&entry);
        (entry.number, response)
    }

    fn keep(
        &self,
        arrival: Arrival,
        verdict: Verdict,
        endpoint: Endpoint,
        answered: Option<u16>,
    ) -> Arc<Entry> {
        let Arrival { provider, path_and_query, headers, body, resend_of } = arrival;
        let claimed = match verdict {
            Verdict::Accepted(_) => None,
            _ => claimed_event(provider.event_header(), &headers, &body),
        };
        let reason = if verdict.can_be_diagnosed() { Reason::InDiagnosis } else { Reason::Known };
        self.journal.add(Entry {
            number: 0,
            revision: 0,
            at: SystemTime::now(),
            provider,
            path_and_query,
            headers,
            body,
            verdict,
            claimed,
            reason,
            duplicate_of: None,
            resend_of,
            endpoint,
            answered,
        })
    }

    fn verdict(&self, arrival: &Arrival) -> Verdict {
        let judge = match self.served(&arrival.provider) {
            Some(Served { judge: Ok(judge), .. }) => judge,
            Some(Served { judge: Err(why), .. }) => return unjudged(&arrival.provider, why),
            None => return unjudged(&arrival.provider, "it is not served"),
        };
        let mut verdict = judge.verdict(&captured(&arrival.headers), &arrival.body, SystemTime::now());
        if let Verdict::Accepted(accepted) = &mut verdict {
            // The body, which is kept, contains it too.
            accepted.data = null();
        }
        verdict
    }

    /// The body that was signed, if the causes of the refusal tell it. Its signature is verified.
    pub(super) fn signed_body(&self, entry: &Entry) -> Option<String> {
        let Verdict::Rejected(Rejected { reasons, .. }) = &entry.verdict else { return None };
        let (judge, headers) = (self.judge(&entry.provider)?, captured(&entry.headers));
        let body = std::str::from_utf8(&entry.body).ok()?;
        let causes = reasons.causes.iter().map(|cause| cause.code);
        signed_body(body, causes, |before| {
            !judge.verdict(&headers, before.as_bytes(), entry.at).can_be_diagnosed()
        })
    }

    /// Sends the same bytes and headers to the endpoint.
    async fn pass_on(&self, target: &Target, entry: &Entry) -> (Endpoint, Response) {
        let target = if target.has_path() { Ok(target.clone()) } else { target.at(&entry.path_and_query) };
        let (headers, body) = (client::end_to_end(entry.headers.clone()), entry.body.clone());
        let answer = match target {
            Ok(target) => client::post(&target, headers, body, self.timeout).await,
            Err(error) => {
                let message = error.to_string();
                Err(client::Unreachable { message, timed_out: false, took: Duration::ZERO })
            }
        };
        match answer {
            Ok(answer) if answer.status.is_informational() => {
                let message = format!("it answered {}, which is not a final status", answer.status.as_u16());
                unreachable(client::Unreachable { message, timed_out: false, took: answer.took })
            }
            Ok(answer) => {
                let ms = milliseconds(answer.took);
                let body = answer.body.slice(..answer.body.len().min(ANSWER_LIMIT));
                let mut response = Response::new(Body::from(body.clone()));
                *response.status_mut() = answer.status;
                for name in
                    [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::LOCATION, header::RETRY_AFTER]
                {
                    if let Some(value) = answer.headers.get(&name) {
                        response.headers_mut().insert(name, value.clone());
                    }
                }
                // A copy, so the longer answer can be dropped.
                let body = Bytes::copy_from_slice(&body);
                let cut = answer.body.len() > ANSWER_LIMIT;
                (Endpoint::Answered { status: answer.status.as_u16(), ms, cut, body }, response)
            }
            Err(error) => unreachable(error),
        }
    }
}

/// Reports that the endpoint gave no answer. The page and the log learn why; the sender does not.
fn unreachable(error: client::Unreachable) -> (Endpoint, Response) {
    let status = if error.timed_out { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::BAD_GATEWAY };
    let body = json::line(&serde_json::json!({ "error": "endpoint_unreachable" }));
    let response = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    (Endpoint::Unreachable { message: error.message, ms: milliseconds(error.took) }, response)
}

fn captured(headers: &HeaderMap) -> Captured {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

fn null() -> Json {
    serde_json::from_str("null").expect("null is JSON")
}

/// The verdict on a delivery that nothing can judge, with the reason why.
fn unjudged(provider: &Provider, why: &str) -> Verdict {
    Verdict::Rejected(Rejected {
        error: "secret_unavailable",
        status: 503,
        message: format!("{why}, so no signature can be verified"),
        reasons: Reasons {
            causes: vec![Cause {
                code: "no_secret",
                message: format!("the listener was started without what {provider}'s signatures need"),
                cure: format!(
                    "set {} and what {provider} signs, and start countersign listen again",
                    provider.variable()
                ),
            }],
            ..Reasons::default()
        },
    })
}

fn status_of(verdict: &Verdict) -> u16 {
    match verdict {
        Verdict::Accepted(_) => 200,
        Verdict::Rejected(rejected) => rejected.status,
        Verdict::Unreadable { .. } => 400,
    }
}

/// Answers like the library's adapters: an empty body, or the code alone. A verification of the endpoint gets what
/// answers it.
fn to_response(verdict: &Verdict) -> Response {
    let status = StatusCode::from_u16(status_of(verdict)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match verdict {
        Verdict::Rejected(rejected) => {
            let body = json::line(&serde_json::json!({ "error": rejected.error }));
            (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Verdict::Accepted(Accepted { challenge_response: Some(answer), .. }) => {
            (status, [(header::CONTENT_TYPE, "application/json")], answer.clone()).into_response()
        }
        _ => status.into_response(),
    }
}
