//! A receiver for all three providers, and what it answers to real deliveries over HTTP.
//!
//! Run it with `cargo run --example quickstart --features axum`. It listens on a free port of
//! this machine, keeps its keys in a SQLite file that it removes, and exits with 0 only if every
//! answer is as expected.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::{MethodRouter, post};
use countersign::axum::Verified;
use countersign::provider::{NowToPrint, Quote3d, ThreeQpr};
use countersign::{Delivery, Event, Outcome, Provider, Receiver, Secret, SecretError, Secrets, Webhook};
use countersign_sqlx::SqliteStore;
use http::{HeaderName, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

mod report;
use report::Report;

type Result<T> = std::result::Result<T, Report>;

// ---- The receiver: what a service would have ----

/// The secrets of a provider: the newest, and the previous one while it is rotated out. A service
/// reads them with `Secrets::from_env`.
fn secrets(provider: &str) -> std::result::Result<Secrets, SecretError> {
    Secrets::new(Secret::new(format!("whsec_{provider}-newest"))?.with_label("newest"))
        .with_older(Secret::new(format!("whsec_{provider}-previous"))?.with_label("previous"))
}

/// What was done with each delivery, in words.
type Log = Arc<Mutex<Vec<String>>>;

/// The endpoint of a provider, with a receiver of its own.
fn endpoint<P: Provider + Default>(store: &SqliteStore, log: &Log) -> Result<MethodRouter> {
    let receiver = Receiver::new(Webhook::<P>::new(secrets(P::NAME)?)?, store.clone());
    let log = Arc::clone(log);
    let handler = move |State(receiver), delivery| receive(receiver, delivery, Arc::clone(&log));
    Ok(post(handler).with_state(Arc::new(receiver)))
}

async fn router(path: &Path, log: &Log) -> Result<Router> {
    let store = SqliteStore::open(path).await?;
    Ok(Router::new()
        .route("/webhooks/quote3d", endpoint::<Quote3d>(&store, log)?)
        .route("/webhooks/nowtoprint", endpoint::<NowToPrint>(&store, log)?)
        .route("/webhooks/3qpr", endpoint::<ThreeQpr>(&store, log)?))
}

/// A real handler would put the event into a queue.
async fn receive<P: Provider>(
    receiver: Arc<Receiver<P, SqliteStore>>,
    delivery: std::result::Result<Verified<P>, countersign::Error>,
    log: Log,
) -> Outcome {
    let mut note = String::new();
    let outcome = match delivery {
        Ok(Verified(delivery)) => {
            let handler = async |delivery: Delivery<'_, P>| {
                let secret = delivery.matched_secret().label().unwrap_or_default();
                note = format!(", as {}, signed with the {secret} secret", delivery.event()?.variant());
                if delivery.event_name() == "order.shipped" {
                    // Long enough for a second delivery of the event to arrive meanwhile.
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                Ok::<_, countersign::Error>(())
            };
            receiver.handle(delivery, handler).await
        }
        Err(error) => Outcome::Rejected(error),
    };
    log.lock().expect("no handler panics").push(format!("{}{note}", outcome.code()));
    outcome
}

// ---- The deliveries: what the providers would send ----

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start(path: &Path, log: &Log) -> Result<Self> {
        let router = router(path, log).await?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let server = axum::serve(listener, router).with_graceful_shutdown(async { drop(stopped.await) });
        Ok(Self { address, stop, task: tokio::spawn(server.into_future()) })
    }

    async fn stop(self) -> Result<()> {
        drop(self.stop);
        Ok(self.task.await??)
    }
}

/// A delivery: its path, its two headers (a header is left out where its value is empty), its body.
#[derive(Clone)]
struct Sent {
    what: &'static str,
    path: &'static str,
    signature: (HeaderName, String),
    event: &'static str,
    body: String,
}

impl Sent {
    /// A delivery that is signed with the provider's newest secret.
    fn new<P: Provider + Default>(
        what: &'static str,
        path: &'static str,
        event: &'static str,
        body: &'static str,
    ) -> Result<Self> {
        let webhook = Webhook::<P>::new(secrets(P::NAME)?)?;
        let signature = (webhook.signature_header().clone(), webhook.sign(body.as_bytes()).to_string());
        let event = if webhook.event_header().is_some() { event } else { "" };
        Ok(Self { what, path, signature, event, body: body.to_owned() })
    }

    fn but(&self, what: &'static str, change: impl FnOnce(&mut Self)) -> Self {
        let mut sent = Self { what, ..self.clone() };
        change(&mut sent);
        sent
    }

    async fn send(
        &self,
        client: &Client<HttpConnector, Full<bytes::Bytes>>,
        address: SocketAddr,
    ) -> Result<(u16, String)> {
        let mut request = Request::post(format!("http://{address}/webhooks/{}", self.path));
        for (name, value) in
            [(self.signature.0.as_str(), self.signature.1.as_str()), ("x-webhook-event", self.event)]
        {
            if !value.is_empty() {
                request = request.header(name, value);
            }
        }
        let response = client.request(request.body(Full::from(self.body.clone()))?).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

/// What was sent, what was answered and why, and whether all is as expected.
struct Table {
    log: Log,
    as_expected: bool,
}

impl Table {
    /// Prints a row. The answer's body has to be `{"error": code}` for any status but 2xx.
    fn row(&mut self, what: &str, (status, body): (u16, String), expected: (u16, &str)) {
        let why =
            self.log.lock().expect("no handler panics").pop().unwrap_or_else(|| "never arrived".to_owned());
        let code = why.split(',').next().unwrap_or_default();
        let told = if status == 200 { String::new() } else { format!(r#"{{"error":"{code}"}}"#) };
        let right = (status, code) == expected && body == told;
        self.as_expected &= right;
        let mark = if right { "" } else { "   <- NOT AS EXPECTED" };
        println!("{what:<58} {status:<9} {why}{mark}");
    }
}

async fn run(path: &Path) -> Result<bool> {
    let log = Log::default();
    let client = Client::builder(TokioExecutor::new()).build_http();
    let mut table = Table { log: Arc::clone(&log), as_expected: true };
    let server = Server::start(path, &log).await?;
    println!("a receiver for three providers listens on http://{}\n", server.address);
    println!("{:<58} {:<9} why", "sent", "answered");

    let quote = Sent::new::<Quote3d>(
        "Quote3D's documented quote.completed",
        "quote3d",
        "quote.completed",
        include_str!("../tests/data/quote3d_quote_completed.json"),
    )?;
    let received = Sent::new::<NowToPrint>(
        "NowToPrint's documented quote.received",
        "nowtoprint",
        "",
        include_str!("../tests/data/nowtoprint_quote_received.json"),
    )?;
    let scan = Sent::new::<ThreeQpr>(
        "3QPR's scan.created, with its API's example scan",
        "3qpr",
        "",
        include_str!("../tests/data/threeqpr_scan_created.json"),
    )?;
    let unknown = Sent::new::<ThreeQpr>(
        "an event that this version does not know",
        "3qpr",
        "",
        r#"{"id":"evt_2","event":"scan.archived","data":{"kept":"as it came"}}"#,
    )?;
    let shipped = Sent::new::<NowToPrint>(
        "two deliveries of one event at once: the first",
        "nowtoprint",
        "",
        r#"{"id":"evt_3","event":"order.shipped","timestamp":"2026-04-16T10:00:00.000Z","data":{}}"#,
    )?;
    let created = Sent::new::<NowToPrint>(
        "signed with the previous secret, as in a rotation",
        "nowtoprint",
        "",
        r#"{"id":"evt_4","event":"order.created","timestamp":"2026-04-16T10:00:00.000Z","data":{}}"#,
    )?;
    let previous =
        countersign::Signature::sign(&Secret::new("whsec_nowtoprint-previous")?, created.body.as_bytes());

    let rows = [
        (quote.clone(), (200, "handled")),
        (received, (200, "handled")),
        (scan, (200, "handled")),
        (unknown, (200, "handled")),
        (quote.but("the same quote.completed again", |_| {}), (200, "duplicate")),
    ];
    for (sent, expected) in rows {
        table.row(sent.what, sent.send(&client, server.address).await?, expected);
    }

    let (first, second) =
        tokio::join!(shipped.send(&client, server.address), shipped.send(&client, server.address));
    // Which of the two comes first is chance; the one that is handled answers last.
    let (handled, in_flight) =
        if first.as_ref().is_ok_and(|answer| answer.0 == 200) { (first, second) } else { (second, first) };
    table.row(shipped.what, handled?, (200, "handled"));
    table.row("two deliveries of one event at once: the second", in_flight?, (409, "in_flight"));

    let rows = [
        (shipped.but("the second, when the provider retries it", |_| {}), (200, "duplicate")),
        (created.but(created.what, |sent| sent.signature.1 = previous.to_string()), (200, "handled")),
        (
            quote.but("forged: the price is another", |sent| sent.body = sent.body.replace("25.5", "0.5")),
            (401, "signature_mismatch"),
        ),
        (quote.but("forged: not signed at all", |sent| sent.signature.1.clear()), (401, "missing_signature")),
        (
            quote.but("forged: the event header says quote.failed", |sent| sent.event = "quote.failed"),
            (400, "event_mismatch"),
        ),
    ];
    for (sent, expected) in rows {
        table.row(sent.what, sent.send(&client, server.address).await?, expected);
    }

    server.stop().await?;
    let server = Server::start(path, &log).await?;
    let again = quote.but("after a restart: the same quote.completed again", |_| {});
    table.row(again.what, again.send(&client, server.address).await?, (200, "duplicate"));
    server.stop().await?;
    Ok(table.as_expected)
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let directory = tempfile::tempdir()?;
    let as_expected = run(&directory.path().join("webhooks.db")).await?;
    println!("\n{}", if as_expected { "all as expected" } else { "not all as expected" });
    Ok(if as_expected { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
