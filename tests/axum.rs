//! The axum adapter over real HTTP, byte by byte as a client would write it.

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRef, FromRequest, State};
use axum::routing::post;
use common::{NOWTOPRINT, QUOTE3D, THREEQPR, webhook};
use countersign::axum::Verified;
use countersign::provider::{NowToPrint, Quote3d, ThreeQpr};
use countersign::{Error, MemoryStore, Outcome, Provider, Receiver, Webhook};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const LIMIT: usize = 2_000;

#[derive(Clone)]
struct App {
    quote3d: Webhook<Quote3d>,
    threeqpr: Webhook<ThreeQpr>,
    receiver: Arc<Receiver<NowToPrint, MemoryStore>>,
    handled: Arc<AtomicUsize>,
}

impl FromRef<App> for Webhook<Quote3d> {
    fn from_ref(app: &App) -> Self {
        app.quote3d.clone()
    }
}

impl FromRef<App> for Webhook<ThreeQpr> {
    fn from_ref(app: &App) -> Self {
        app.threeqpr.clone()
    }
}

impl FromRef<App> for Webhook<NowToPrint> {
    fn from_ref(app: &App) -> Self {
        app.receiver.webhook().clone()
    }
}

async fn quote3d(State(app): State<App>, Verified(delivery): Verified<Quote3d>) -> Result<String, Error> {
    delivery.event()?;
    app.handled.fetch_add(1, Ordering::Relaxed);
    Ok(delivery.idempotency_key().to_string())
}

async fn threeqpr(State(app): State<App>, Verified(delivery): Verified<ThreeQpr>) -> String {
    app.handled.fetch_add(1, Ordering::Relaxed);
    delivery.event_name().to_owned()
}

async fn nowtoprint(State(app): State<App>, Verified(delivery): Verified<NowToPrint>) -> Outcome {
    app.receiver
        .handle(delivery, async |delivery| {
            if delivery.data().contains("slow") {
                tokio::time::sleep(Duration::from_secs(600)).await;
            }
            app.handled.fetch_add(1, Ordering::Relaxed);
            delivery.event().map(drop)
        })
        .await
}

/// A server on a free port, and its state.
async fn serve() -> (SocketAddr, App) {
    let app = App {
        quote3d: webhook().with_body_limit(LIMIT),
        threeqpr: webhook(),
        receiver: Arc::new(Receiver::new(webhook(), MemoryStore::new())),
        handled: Arc::default(),
    };
    let router = Router::new()
        .route("/quote3d", post(quote3d))
        .route("/3qpr", post(threeqpr))
        .route("/nowtoprint", post(nowtoprint))
        .with_state(app.clone());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address, app)
}

/// A response: its status, its head in lower case, and its body.
#[derive(Debug, PartialEq)]
struct Answer(u16, String, String);

impl Answer {
    fn is(&self, status: u16, body: &str) -> bool {
        (self.0, self.2.as_str()) == (status, body)
    }
}

/// A client's end of a connection, and what it has read beyond the last answer.
struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), read: Vec::new() }
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Reads until there are `length` bytes or more, and takes those.
    async fn take(&mut self, length: usize) -> String {
        while self.read.len() < length {
            self.read_more().await;
        }
        let rest = self.read.split_off(length);
        String::from_utf8(std::mem::replace(&mut self.read, rest)).unwrap()
    }

    async fn read_more(&mut self) {
        let read = tokio::time::timeout(Duration::from_secs(10), self.stream.read_buf(&mut self.read));
        assert_ne!(
            read.await.expect("an answer in time").unwrap(),
            0,
            "the connection was closed without an answer"
        );
    }

    async fn answer(&mut self) -> Answer {
        let end = loop {
            match self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => self.read_more().await,
            }
        };
        let head = self.take(end).await.to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head
            .split("content-length: ")
            .nth(1)
            .map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
        let body = self.take(length).await;
        Answer(status, head, body)
    }
}

async fn send(address: SocketAddr, request: &[u8]) -> Answer {
    let mut client = Client::connect(address).await;
    client.write(request).await;
    client.answer().await
}

/// A request as text: the path, header lines, and the body with its length.
fn request(path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{lines}\r\n{body}", body.len())
        .into_bytes()
}

fn sign(body: &str) -> String {
    webhook::<ThreeQpr>().sign(body.as_bytes()).to_string()
}

#[tokio::test]
async fn the_documented_deliveries_are_accepted() {
    let (address, app) = serve().await;
    let headers = [("X-Webhook-Signature", &*sign(QUOTE3D)), ("X-Webhook-Event", "quote.completed")];
    let answer = send(address, &request("/quote3d", &headers, QUOTE3D)).await;
    assert!(
        answer.is(200, "quote3d:sha256:40d99dbca215dd13c968b53bcab954dd7f73d7e1289002e0ee46e7e484c428c9")
    );
    let headers = [("X-3QPR-Signature", &*sign(THREEQPR))];
    assert!(send(address, &request("/3qpr", &headers, THREEQPR)).await.is(200, "scan.created"));
    let headers = [("x-webhook-signature", &*sign(NOWTOPRINT))];
    for _ in 0..2 {
        assert!(send(address, &request("/nowtoprint", &headers, NOWTOPRINT)).await.is(200, ""));
    }
    assert_eq!(app.handled.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn every_refusal_is_its_status_and_its_code_and_no_more() {
    let (address, app) = serve().await;
    let (signature, event) = ("X-Webhook-Signature", ("X-Webhook-Event", "quote.completed"));
    let right = &*sign(QUOTE3D);
    let other = &*sign("other");
    let lacking = r#"{"event":"quote.completed","data":{}}"#;
    let envelope = r#"["quote.completed"]"#;
    let cases: [(&[(&str, &str)], &str, u16, &str); 11] = [
        (&[event], QUOTE3D, 401, "missing_signature"),
        (&[event, (signature, right), (signature, right)], QUOTE3D, 401, "duplicate_signature"),
        (&[event, (signature, &right.to_uppercase())], QUOTE3D, 401, "malformed_signature"),
        (&[event, (signature, &format!("{right}, {right}"))], QUOTE3D, 401, "malformed_signature"),
        (&[event, (signature, other)], QUOTE3D, 401, "signature_mismatch"),
        (&[event, (signature, &sign(envelope))], envelope, 400, "malformed_payload"),
        (&[(signature, right)], QUOTE3D, 400, "missing_event_header"),
        (&[event, event, (signature, right)], QUOTE3D, 400, "duplicate_event_header"),
        (&[("X-Webhook-Event", "quote.failed"), (signature, right)], QUOTE3D, 400, "event_mismatch"),
        (&[event, (signature, &sign(lacking))], lacking, 422, "invalid_event"),
        (&[event, (signature, right)], &"x".repeat(LIMIT + 1), 413, "body_too_large"),
    ];
    for (headers, body, status, code) in cases {
        let answer = send(address, &request("/quote3d", headers, body)).await;
        assert!(answer.is(status, &format!(r#"{{"error":"{code}"}}"#)), "{answer:?}");
        assert!(answer.1.contains("content-type: application/json\r\n"), "{answer:?}");
    }
    assert_eq!(app.handled.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_body_is_refused_for_its_length_before_it_is_sent() {
    let (address, _) = serve().await;
    // The head alone, of a body that never comes.
    for length in ["2001", "1099511627776"] {
        let head = format!(
            "POST /quote3d HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\nX-Webhook-Signature: {}\r\n\r\n",
            sign("")
        );
        assert!(send(address, head.as_bytes()).await.is(413, r#"{"error":"body_too_large"}"#));
    }
    // The webhook of this path has the limit of 1 MiB.
    let head = format!(
        "POST /3qpr HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048577\r\nX-3QPR-Signature: {}\r\n\r\n",
        sign("")
    );
    assert!(send(address, head.as_bytes()).await.is(413, r#"{"error":"body_too_large"}"#));
    // Without a length it is read, but not beyond the limit.
    let chunk = format!("3e8\r\n{}\r\n", "x".repeat(1_000));
    let head = format!(
        "POST /quote3d HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nX-Webhook-Signature: {}\r\n\r\n{chunk}{chunk}1\r\nx\r\n",
        sign("")
    );
    assert!(send(address, head.as_bytes()).await.is(413, r#"{"error":"body_too_large"}"#));
    // A body of just the limit is taken.
    let body = "x".repeat(LIMIT);
    let headers = [("X-Webhook-Signature", &*sign(&body))];
    assert!(
        send(address, &request("/quote3d", &headers, &body))
            .await
            .is(400, r#"{"error":"malformed_payload"}"#)
    );
}

#[tokio::test]
async fn a_request_without_a_signature_is_refused_before_its_body_is_sent() {
    let (address, _) = serve().await;
    for (line, code) in [
        ("", "missing_signature"),
        ("X-3QPR-Signature: sha256=00\r\n", "malformed_signature"),
        ("X-3QPR-Signature: a\r\nX-3QPR-Signature: b\r\n", "duplicate_signature"),
    ] {
        let head = format!("POST /3qpr HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n{line}\r\n");
        let answer = send(address, head.as_bytes()).await;
        assert!(answer.is(401, &format!(r#"{{"error":"{code}"}}"#)), "{answer:?}");
    }
}

/// A limit of a layer around the endpoint is a limit too, and a body that breaks off is told apart.
#[tokio::test]
async fn a_body_that_fails_is_refused_for_its_reason() {
    let webhook = webhook::<ThreeQpr>();
    let body = |body| {
        let request = http::Request::post("/").header("x-3qpr-signature", sign(THREEQPR)).body(body).unwrap();
        Verified::<ThreeQpr>::from_request(request, &webhook)
    };
    let limited = http_body_util::Limited::new(axum::body::Body::from(THREEQPR), 10);
    let error = body(axum::body::Body::new(limited)).await.unwrap_err();
    assert_eq!((error.code(), error.status()), ("body_too_large", 413));
    // A connection that breaks off within the body.
    let (mut sender, broken) = http_body_util::channel::Channel::<bytes::Bytes, std::io::Error>::new(1);
    sender.send_data("{".into()).await.unwrap();
    sender.abort(std::io::ErrorKind::ConnectionReset.into());
    let error = body(axum::body::Body::new(broken)).await.unwrap_err();
    assert_eq!((error.code(), error.status()), ("incomplete_body", 400));
    assert!(body(axum::body::Body::from(THREEQPR)).await.is_ok());
}

#[tokio::test]
async fn a_body_may_arrive_in_any_pieces() {
    let (address, app) = serve().await;
    let body = NOWTOPRINT.as_bytes();
    let mut clients = Vec::new();
    for cut in 1..body.len() {
        let mut client = Client::connect(address).await;
        let mut request = format!("POST /nowtoprint HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nX-Webhook-Signature: {}\r\n\r\n", sign(NOWTOPRINT)).into_bytes();
        for piece in [&body[..cut], &body[cut..]] {
            request.extend(format!("{:x}\r\n", piece.len()).into_bytes());
            request.extend(piece);
            request.extend(b"\r\n");
        }
        request.extend(b"0\r\n\r\n");
        client.write(&request).await;
        clients.push(client);
    }
    for mut client in clients {
        let answer = client.answer().await;
        // They are one event: all but one come while it is handled, or after.
        assert!(answer.0 == 200 || (answer.0 == 409 && answer.1.contains("retry-after: ")), "{answer:?}");
    }
    assert_eq!(app.handled.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_client_that_hangs_up_in_the_body_is_not_handled() {
    let (address, app) = serve().await;
    let whole = request("/nowtoprint", &[("X-Webhook-Signature", &sign(NOWTOPRINT))], NOWTOPRINT);
    for missing in [1, 10, NOWTOPRINT.len()] {
        let mut client = Client::connect(address).await;
        client.write(&whole[..whole.len() - missing]).await;
        drop(client);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(app.handled.load(Ordering::Relaxed), 0);
    assert!(app.receiver.store().is_empty());
    assert!(send(address, &whole).await.is(200, ""));
}

#[tokio::test]
async fn a_client_that_hangs_up_in_the_handler_leaves_the_claim_to_its_lease() {
    let (address, app) = serve().await;
    let body = r#"{"event":"quote.updated","id":"evt_slow","data":"slow"}"#;
    let whole = request("/nowtoprint", &[("X-Webhook-Signature", &sign(body))], body);
    let mut client = Client::connect(address).await;
    client.write(&whole).await;
    while app.receiver.store().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(client);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let answer = send(address, &whole).await;
    assert!(answer.is(409, r#"{"error":"in_flight"}"#) && answer.1.contains("retry-after: 60"), "{answer:?}");
    assert_eq!(app.handled.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_connection_is_kept_after_a_refusal_whose_body_was_read() {
    let (address, _) = serve().await;
    let mut client = Client::connect(address).await;
    let forged = request("/3qpr", &[("X-3QPR-Signature", &sign("other"))], THREEQPR);
    let right = request("/3qpr", &[("X-3QPR-Signature", &sign(THREEQPR))], THREEQPR);
    client.write(&[forged.clone(), right.clone(), forged, right].concat()).await;
    for status in [401, 200, 401, 200] {
        assert_eq!(client.answer().await.0, status);
    }
}

#[test]
fn the_extractors_provider_is_in_its_type() {
    fn is_extractor<P: Provider, E: axum::extract::FromRequest<App, Rejection = Error>>() {}
    is_extractor::<Quote3d, Verified<Quote3d>>();
    is_extractor::<NowToPrint, Verified<NowToPrint>>();
    is_extractor::<ThreeQpr, Verified<ThreeQpr>>();
}
