//! What a delivery leaves in the log.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{NEWEST, OLDER, QUOTE3D, THREEQPR, headers, rotating, signed, webhook};
use countersign::provider::{Quote3d, ThreeQpr};
use countersign::store::{Claim, Lease, LeaseStatus};
use countersign::{
    Delivery, Error, IdempotencyKey, IdempotencyStore, MemoryStore, Receiver, Secret, Secrets, Webhook,
};
use futures_util::FutureExt;
use http::HeaderMap;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

type Fields = BTreeMap<&'static str, String>;

/// An event, and the fields of the span that it happened in.
#[derive(Debug, Clone)]
struct Logged {
    level: Level,
    fields: Fields,
    span: Option<Fields>,
}

impl Logged {
    fn is(&self, level: Level, outcome: &str) -> bool {
        self.level == level && self.fields.get("outcome").is_some_and(|logged| logged == outcome)
    }
}

/// All that was logged on this thread since it was made.
struct Log {
    events: Arc<Mutex<Vec<Logged>>>,
    _guard: DefaultGuard,
}

impl Log {
    fn start() -> Self {
        let events = Arc::<Mutex<Vec<Logged>>>::default();
        let subscriber = tracing_subscriber::registry().with(Collector(Arc::clone(&events)));
        Self { events, _guard: tracing::subscriber::set_default(subscriber) }
    }

    /// What was logged since this was last asked, but for what only a debugger asks for.
    fn take(&self) -> Vec<Logged> {
        let mut logged = self.take_all();
        logged.retain(|logged| logged.level <= Level::INFO);
        logged
    }

    /// All that was logged since this was last asked, after a look for what must never be.
    fn take_all(&self) -> Vec<Logged> {
        let logged = std::mem::take(&mut *self.events.lock().unwrap());
        let text = format!("{logged:?}");
        let tag = webhook::<Quote3d>().sign(QUOTE3D.as_bytes()).to_string().split_off("sha256=".len());
        for never in [NEWEST, OLDER, &tag, "total_price", "confidential", "421111111111111"] {
            assert!(!text.contains(never), "{never} in {text}");
        }
        logged
    }

    /// The one event that was.
    fn one(&self) -> Logged {
        let [logged] = &self.take()[..] else { panic!("not one event") };
        logged.clone()
    }
}

struct Collector(Arc<Mutex<Vec<Logged>>>);

struct Visitor(Fields);

impl Visit for Visitor {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Collector {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut visitor = Visitor(Fields::new());
        attributes.record(&mut visitor);
        context.span(id).unwrap().extensions_mut().insert(visitor.0);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let mut visitor = Visitor(Fields::new());
        values.record(&mut visitor);
        context.span(id).unwrap().extensions_mut().get_mut::<Fields>().unwrap().extend(visitor.0);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut visitor = Visitor(Fields::new());
        event.record(&mut visitor);
        let span = context.event_span(event).map(|span| span.extensions().get::<Fields>().cloned().unwrap());
        let logged = Logged { level: *event.metadata().level(), fields: visitor.0, span };
        self.0.lock().unwrap().push(logged);
    }
}

fn receiver(store: MemoryStore) -> Receiver<ThreeQpr, MemoryStore> {
    Receiver::new(webhook().with_tenant("acme"), store)
}

async fn handle(receiver: &Receiver<ThreeQpr, MemoryStore>, result: Result<(), &str>) -> &'static str {
    let headers = signed(receiver.webhook(), THREEQPR.as_bytes());
    let handler = async |_: Delivery<'_, ThreeQpr>| result;
    receiver.receive(&headers, THREEQPR.as_bytes(), handler).await.code()
}

#[tokio::test]
async fn a_delivery_is_one_event_in_a_span_that_names_it() {
    let log = Log::start();
    let receiver = receiver(MemoryStore::new());
    assert_eq!(handle(&receiver, Ok(())).await, "handled");
    let logged = log.one();
    assert!(logged.is(Level::INFO, "handled"), "{logged:?}");
    assert_eq!(logged.fields["status"], "200");
    let expected = [
        ("event", "scan.created"),
        ("id", "evt_01HXYZSCAN"),
        ("key", "3qpr@acme:evt_01HXYZSCAN"),
        ("provider", "3qpr"),
        ("secret_position", "0"),
        ("tenant", "acme"),
    ];
    let expected = expected.map(|(name, value)| (name, value.to_owned()));
    assert_eq!(logged.span.unwrap(), BTreeMap::from(expected));
}

#[tokio::test]
async fn every_outcome_is_one_event_with_its_code() {
    let log = Log::start();
    let ours = receiver(MemoryStore::new());
    // A handler's error may quote the payload, as this one does: it is the handler's to log.
    assert_eq!(handle(&ours, Err("confidential")).await, "handler_failed");
    assert!(log.one().is(Level::ERROR, "handler_failed"));
    handle(&ours, Ok(())).await;
    log.take();
    handle(&ours, Ok(())).await;
    assert!(log.one().is(Level::INFO, "duplicate"));

    // One within another: the inner one is in flight.
    let ours = receiver(MemoryStore::new());
    let headers = signed(ours.webhook(), THREEQPR.as_bytes());
    let nested = async |_: Delivery<'_, ThreeQpr>| -> Result<(), Error> {
        handle(&ours, Ok(())).await;
        Ok(())
    };
    let _ = ours.receive(&headers, THREEQPR.as_bytes(), nested).await;
    let [inner, outer] = &log.take()[..] else { panic!("two deliveries are two events") };
    assert!(inner.is(Level::INFO, "in_flight") && outer.is(Level::INFO, "handled"));

    let full = receiver(MemoryStore::new().with_capacity(0));
    assert_eq!(handle(&full, Ok(())).await, "store_unavailable");
    let logged = log.one();
    assert!(logged.is(Level::ERROR, "store_unavailable"));
    assert!(logged.span.unwrap()["cause"].contains("full"));

    let headers = signed(ours.webhook(), THREEQPR.as_bytes());
    let delivery = ours.webhook().verify(&headers, THREEQPR.as_bytes()).unwrap();
    let ours = receiver(MemoryStore::new());
    let lost = async |_: Delivery<'_, ThreeQpr>, _: &Lease| Ok::<_, Error>(LeaseStatus::Lost);
    let _ = ours.handle_with_lease(delivery, lost).await;
    assert!(log.one().is(Level::WARN, "lease_lost"));

    // A handler on the store's connection has errors of the store's type, which may quote the payload.
    let delivery = ours.webhook().verify(&headers, THREEQPR.as_bytes()).unwrap();
    let ours = Receiver::new(webhook::<ThreeQpr>(), Quoting);
    let quoting = async |_: Delivery<'_, ThreeQpr>, _: &Lease| Err(Quote);
    let outcome = ours.handle_with_lease(delivery, quoting).await;
    assert_eq!(outcome.code(), "store_unavailable");
    let logged = log.one();
    assert!(logged.is(Level::ERROR, "store_unavailable") && !logged.span.unwrap().contains_key("cause"));
}

/// A store that acquires every key, and whose error quotes what it was given.
struct Quoting;

#[derive(Debug)]
struct Quote;

impl fmt::Display for Quote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid input syntax: confidential")
    }
}

impl std::error::Error for Quote {}

impl IdempotencyStore for Quoting {
    type Error = Quote;

    async fn claim(&self, key: &IdempotencyKey, _: Duration) -> Result<Claim, Quote> {
        Ok(Claim::Acquired(Lease::new(key.clone(), [7; 16])))
    }

    async fn complete(&self, _: &Lease, _: Duration) -> Result<LeaseStatus, Quote> {
        Ok(LeaseStatus::Applied)
    }

    async fn release(&self, _: &Lease) -> Result<LeaseStatus, Quote> {
        Ok(LeaseStatus::Applied)
    }

    async fn renew(&self, _: &Lease, _: Duration) -> Result<LeaseStatus, Quote> {
        Ok(LeaseStatus::Applied)
    }

    async fn forget(&self, _: &str) -> Result<bool, Quote> {
        Ok(true)
    }
}

/// Whoever knows a secret can sign any name.
#[tokio::test]
async fn names_that_are_long_or_not_plain_are_left_out() {
    let log = Log::start();
    let receiver = receiver(MemoryStore::new());
    for name in
        ["\\u001b[31mconfidential", "confidential\\nWARN", &format!("confidential{}", "x".repeat(139))]
    {
        let body = format!(r#"{{"event":"{name}","id":"{name}","data":{{}}}}"#);
        let headers = signed(receiver.webhook(), body.as_bytes());
        let handler = async |_: Delivery<'_, ThreeQpr>| Ok::<_, Error>(());
        assert_eq!(receiver.receive(&headers, body.as_bytes(), handler).await.code(), "handled");
        let span = log.one().span.unwrap();
        assert!(!span.contains_key("id") && !span.contains_key("event"), "{span:?}");
        assert!(span["key"].starts_with("3qpr@acme:id-sha256:"));
    }
}

#[tokio::test]
async fn a_handler_that_is_dropped_is_told_of() {
    let log = Log::start();
    let receiver = receiver(MemoryStore::new());
    let headers = signed(receiver.webhook(), THREEQPR.as_bytes());
    let forever = async |_: Delivery<'_, ThreeQpr>| -> Result<(), Error> { std::future::pending().await };
    assert!(receiver.receive(&headers, THREEQPR.as_bytes(), forever).now_or_never().is_none());
    let logged = log.one();
    assert!(logged.is(Level::WARN, "abandoned") && logged.span.is_some());
}

#[tokio::test]
async fn what_the_handler_logs_is_in_the_span() {
    let log = Log::start();
    let receiver = receiver(MemoryStore::new());
    let headers = signed(receiver.webhook(), THREEQPR.as_bytes());
    let handler = async |_: Delivery<'_, ThreeQpr>| {
        tokio::task::yield_now().await;
        tracing::info!("the handler's own");
        Ok::<_, Error>(())
    };
    let _ = receiver.receive(&headers, THREEQPR.as_bytes(), handler).await;
    let [own, ended] = &log.take()[..] else { panic!("two events") };
    assert_eq!(own.span, ended.span);
    assert_eq!(own.fields["message"], "the handler's own");
}

#[tokio::test]
async fn every_refusal_is_one_event_with_its_code_and_nothing_of_the_sender() {
    let log = Log::start();
    let quote3d = webhook::<Quote3d>().with_body_limit(QUOTE3D.len());
    let right = &quote3d.sign(QUOTE3D.as_bytes()).to_string();
    // The parser's error quotes it.
    let confidential = r#"{"event":"quote.completed","timestamp":421111111111111}"#;
    let (name, event) = ("x-webhook-signature", ("x-webhook-event", "quote.completed"));
    let cases: [(HeaderMap, &str, &str); 7] = [
        (headers(&[event]), QUOTE3D, "missing_signature"),
        (headers(&[event, (name, right), (name, right)]), QUOTE3D, "duplicate_signature"),
        (headers(&[event, (name, "confidential")]), QUOTE3D, "malformed_signature"),
        (headers(&[event, (name, right)]), confidential, "signature_mismatch"),
        (signed(&quote3d, confidential.as_bytes()), confidential, "malformed_payload"),
        (headers(&[(name, right)]), QUOTE3D, "missing_event_header"),
        (headers(&[("x-webhook-event", "confidential"), (name, right)]), QUOTE3D, "event_mismatch"),
    ];
    let receiver = Receiver::new(quote3d.clone(), MemoryStore::new());
    for (headers, body, code) in cases {
        let refused = |log: &Log| {
            let logged = log.one();
            assert!(logged.is(Level::WARN, code) && logged.span.is_none(), "{logged:?}");
            assert_eq!(logged.fields["provider"], "quote3d");
        };
        let error = quote3d.verify(&headers, body.as_bytes()).unwrap_err();
        let quotes = error.source().is_some_and(|source| source.to_string().contains("421111111111111"));
        assert_eq!(quotes, code == "malformed_payload");
        refused(&log);
        assert!(quote3d.verify(&headers, body.as_bytes()).is_err());
        refused(&log);
        let handler = async |_: Delivery<'_, Quote3d>| Ok::<_, Error>(());
        assert_eq!(receiver.receive(&headers, body.as_bytes(), handler).await.code(), code);
        refused(&log);
        let in_pieces = quote3d.begin(&headers).and_then(|mut partial| {
            partial.update(body.as_bytes())?;
            partial.finish().map(drop)
        });
        assert_eq!(in_pieces.unwrap_err().code(), code);
        refused(&log);
        let request = http::Request::new(body.to_owned());
        let (mut head, body) = request.into_parts();
        head.headers = headers;
        let request = http::Request::from_parts(head, body);
        assert_eq!(quote3d.verify_request(request).await.unwrap_err().code(), code);
        refused(&log);
    }
    let headers = signed(&quote3d, QUOTE3D.as_bytes());
    let mut too_long = http::Request::new(format!("{QUOTE3D} "));
    *too_long.headers_mut() = headers.clone();
    assert!(quote3d.verify_request(too_long).await.is_err());
    assert!(log.one().is(Level::WARN, "body_too_large"));

    // Once, however often a caller goes on after the refusal.
    let mut partial = quote3d.begin(&headers).unwrap();
    let too_long = vec![b' '; quote3d.body_limit() + 1];
    assert!(partial.update(&too_long).is_err());
    assert!(log.one().is(Level::WARN, "body_too_large"));
    assert!(partial.update(b" ").is_err() && partial.finish().is_err());
    assert!(log.take().is_empty());

    let (sender, broken) = http_body_util::channel::Channel::<bytes::Bytes, std::io::Error>::new(1);
    sender.abort(std::io::ErrorKind::ConnectionReset.into());
    let mut broken = http::Request::new(broken);
    *broken.headers_mut() = headers;
    assert!(quote3d.verify_request(broken).await.is_err());
    assert!(log.one().is(Level::WARN, "incomplete_body"));
}

#[tokio::test]
async fn a_delivery_that_is_verified_is_told_to_a_debugger_and_an_older_secret_to_the_operator() {
    let log = Log::start();
    let webhook = rotating::<ThreeQpr>().with_tenant("acme");
    let older = Webhook::<ThreeQpr>::new(Secret::new(OLDER).unwrap()).unwrap();
    for (signer, level, position) in [(&webhook, Level::DEBUG, "0"), (&older, Level::WARN, "1")] {
        let headers = signed(signer, THREEQPR.as_bytes());
        for _ in 0..3 {
            assert!(webhook.verify(&headers, THREEQPR.as_bytes()).is_ok());
            let [logged] = &log.take_all()[..] else { panic!("not one event") };
            assert_eq!(logged.level, level);
            let fields = ["provider", "tenant", "secret_position"].map(|name| &*logged.fields[name]);
            assert_eq!(fields, ["3qpr", "acme", position]);
            assert_eq!(logged.fields.get("secret").is_some_and(|label| label == "2025"), position == "1");
        }
    }
}

#[tokio::test]
async fn a_refusal_names_the_tenant_unless_it_is_only_what_a_stranger_called_it() {
    let log = Log::start();
    let somebody = webhook::<ThreeQpr>().with_tenant("acme");
    let nobody = Webhook::<ThreeQpr>::new(Secrets::reject_all()).unwrap().with_tenant("confidential");
    for (webhook, tenant) in [(somebody, Some("acme")), (nobody, None)] {
        assert!(webhook.verify(&HeaderMap::new(), b"").is_err());
        assert_eq!(log.one().fields.get("tenant").map(|name| &**name), tenant);
    }
}

/// Errors that an application makes are logged where a request ends with them, and not where they are made.
#[tokio::test]
async fn a_secret_that_cannot_be_loaded_is_told_once_with_its_cause() {
    let log = Log::start();
    let unavailable = || Error::secret_unavailable(std::io::Error::other("no database"));
    let _ = (unavailable(), Error::incomplete_body("reset"));
    assert!(log.take().is_empty());

    let webhook = Webhook::<ThreeQpr>::new(Secrets::reject_all()).unwrap();
    let mut request = http::Request::new(THREEQPR.to_owned());
    *request.headers_mut() = signed(&webhook, THREEQPR.as_bytes());
    let refused = webhook.verify_request_with(request, async || Err(unavailable())).await;
    assert_eq!(refused.unwrap_err().code(), "secret_unavailable");
    let logged = log.one();
    assert!(logged.is(Level::WARN, "secret_unavailable") && logged.fields["message"].contains("no database"));
    assert_eq!(logged.fields["provider"], "3qpr");
}

/// That the search for what must not be logged finds it.
#[test]
#[should_panic(expected = "confidential in")]
fn what_must_not_be_logged_is_seen() {
    let log = Log::start();
    tracing::info!("confidential");
    log.take();
}

#[cfg(feature = "diagnose")]
#[test]
fn a_diagnosis_answers_nobody_and_is_not_in_the_log() {
    let log = Log::start();
    let webhook = webhook::<Quote3d>();
    let signature = webhook.sign(QUOTE3D.as_bytes()).to_string();
    let signature = ("x-webhook-signature", signature.as_bytes());
    let event = ("x-webhook-event", &b"quote.completed"[..]);
    // It verifies, is refused afterwards, is of another body, or of none at all.
    let cases: [(&[_], &str, _); 4] = [
        (&[signature, event], QUOTE3D, "verified"),
        (&[signature], QUOTE3D, "verified"),
        (&[signature, event], THREEQPR, "no_known_cause"),
        (&[event], QUOTE3D, "no_known_cause"),
    ];
    for (headers, body, code) in cases {
        let diagnoser =
            countersign::diagnose::Diagnoser::<Quote3d>::new(Secret::new(NEWEST).unwrap()).unwrap();
        let diagnosis = diagnoser.diagnose(headers.iter().copied(), body.as_bytes());
        assert_eq!(diagnosis.code(), code, "{diagnosis}");
        let logged = log.take_all();
        assert!(logged.is_empty(), "{logged:?}");
    }
}
