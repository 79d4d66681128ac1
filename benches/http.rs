//! What an endpoint costs over HTTP, as ratios of the same endpoint written by hand; and how long after
//! the last byte of a body the verdict comes.
//!
//! Run it with `cargo bench --bench http --features axum`. One client sends each endpoint its requests
//! over one connection, many at a time so that it is the server that is measured. The endpoints take
//! turns in blocks, so that a noisy machine slows all alike, and their medians are compared.

use std::collections::HashMap;
use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::{post, post_service};
use axum::serve::ListenerExt;
use countersign::provider::{Quote3d, quote3d};
use countersign::tower::{Endpoint, Verified};
use countersign::{Error, MemoryStore, Receiver, Secret, Signature, Verifier, Webhook};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;

const SECRET: &str = "whsec_0123456789abcdef";
const BLOCKS: usize = 150;
/// Requests in a block, and how many of them are on their way at once.
const BLOCK: usize = 512;
const AT_ONCE: usize = 64;

/// The documented payload, as one would write it down.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "to be read, as the crate reads them")]
struct Completed {
    job_id: String,
    quote_id: String,
    status: String,
    file_name: String,
    file_id: String,
    processing_time_ms: u64,
    result: Quote,
    error: Option<String>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "to be read, as the crate reads them")]
struct Quote {
    quote_id: String,
    total_price: f64,
    currency: String,
    estimated_time: String,
    estimated_time_seconds: u64,
    filament_weight: f64,
    #[serde(rename = "printInfo")]
    print_info: PrintInfo,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "to be read, as the crate reads them")]
struct PrintInfo {
    technology: String,
    material: String,
    color: String,
}

#[derive(Deserialize)]
struct Envelope<T> {
    event: String,
    data: T,
}

/// What somebody does by hand: the bare `hmac`, `serde_json`, and a map with a lock.
struct ByHand {
    mac: Hmac<Sha256>,
    seen: Mutex<HashMap<String, bool>>,
}

impl ByHand {
    fn new() -> Self {
        Self { mac: Hmac::new_from_slice(SECRET.as_bytes()).unwrap(), seen: Mutex::default() }
    }

    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Option<()> {
        let header = headers.get("x-webhook-signature")?.to_str().ok()?;
        let tag = hex::decode(header.strip_prefix("sha256=")?).ok()?;
        let computed = self.mac.clone().chain_update(body).finalize().into_bytes();
        bool::from(computed.ct_eq(&tag)).then_some(())
    }

    fn handle(&self, headers: &HeaderMap, body: &[u8], parse: fn(&[u8]) -> Option<()>) -> StatusCode {
        if self.verify(headers, body).is_none() {
            return StatusCode::UNAUTHORIZED;
        }
        let key = format!("quote3d:sha256:{}", hex::encode(Sha256::digest(body)));
        // As much as the store says: handled, in flight, or new.
        match self.seen.lock().unwrap().entry(key.clone()) {
            Occupied(handled) if *handled.get() => return StatusCode::OK,
            Occupied(_) => return StatusCode::CONFLICT,
            Vacant(place) => place.insert(false),
        };
        if parse(body).is_none() {
            self.seen.lock().unwrap().remove(&key);
            return StatusCode::UNPROCESSABLE_ENTITY;
        }
        self.seen.lock().unwrap().insert(key, true);
        StatusCode::OK
    }
}

fn parse_value(body: &[u8]) -> Option<()> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let price = value.get("data")?.get("result")?.get("total_price")?.as_f64()?;
    (value.get("event")?.as_str()? == "quote.completed" && price > 0.0).then_some(())
}

fn parse_typed(body: &[u8]) -> Option<()> {
    let Envelope { event, data } = serde_json::from_slice::<Envelope<Completed>>(body).ok()?;
    (event == "quote.completed" && !data.job_id.is_empty() && data.result.total_price > 0.0).then_some(())
}

async fn handle(Verified(delivery): Verified<Quote3d>) -> Result<(), Error> {
    if let quote3d::Event::QuoteCompleted(quote) = delivery.event()? {
        assert!(!quote.job_id.is_empty());
    }
    Ok(())
}

/// The endpoints, of which the first is the baseline.
const PATHS: [(&str, &str); 4] = [
    ("/by-hand", "by hand: hmac, serde_json::Value, Mutex<HashMap>"),
    ("/by-hand-typed", "by hand: hmac, structs, Mutex<HashMap>"),
    ("/countersign", "countersign: Endpoint, typed event, MemoryStore"),
    ("/read", "only reads the body"),
];

fn router() -> Router {
    let by_hand = |parse: fn(&[u8]) -> Option<()>| {
        let handler = move |State(state): State<Arc<ByHand>>, headers: HeaderMap, body: Bytes| async move {
            state.handle(&headers, &body, parse)
        };
        post(handler).with_state(Arc::new(ByHand::new()))
    };
    let webhook = Webhook::<Quote3d>::new(Secret::new(SECRET).unwrap()).unwrap();
    let receiver = Receiver::new(webhook, MemoryStore::new());
    Router::new()
        .route("/by-hand", by_hand(parse_value))
        .route("/by-hand-typed", by_hand(parse_typed))
        .route("/countersign", post_service(Endpoint::new(receiver, handle)))
        .route("/read", post(|body: Bytes| async move { assert!(!body.is_empty()) }))
}

/// Requests of the documented payload, each with a time of its own, so that no two are one event.
fn requests(path: &str, block: usize) -> Vec<Vec<u8>> {
    let documented = include_str!("../tests/data/quote3d_quote_completed.json");
    let secret = Secret::new(SECRET).unwrap();
    (0..BLOCK)
        .map(|n| {
            let number = block * BLOCK + n;
            let (minutes, millis) = (number / 60_000, number % 60_000);
            let time = format!("14:{:02}:{:02}.{:03}Z", minutes % 60, millis / 1_000, millis % 1_000);
            let body = documented.replace("14:30:00.000Z", &time);
            let signature = Signature::sign(&secret, body.as_bytes());
            format!(
                "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\nX-Webhook-Event: quote.completed\r\nX-Webhook-Signature: {signature}\r\n\r\n{body}",
                body.len()
            )
            .into_bytes()
        })
        .collect()
}

/// Sends the requests, and says how long one takes, in seconds.
fn send(stream: &mut TcpStream, requests: &[Vec<u8>]) -> f64 {
    let mut buffer = vec![0; 64 << 10];
    let batches: Vec<Vec<u8>> = requests.chunks(AT_ONCE).map(<[_]>::concat).collect();
    let start = Instant::now();
    for batch in &batches {
        stream.write_all(batch).unwrap();
        let mut answered = 0;
        let mut rest = Vec::new();
        while answered < AT_ONCE {
            let read = stream.read(&mut buffer).unwrap();
            assert_ne!(read, 0, "the connection was closed");
            rest.extend_from_slice(&buffer[..read]);
            while let Some(end) = rest.windows(4).position(|window| window == b"\r\n\r\n") {
                assert!(rest.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&rest));
                rest.drain(..end + 4);
                answered += 1;
            }
        }
    }
    start.elapsed().as_secs_f64() / requests.len() as f64
}

fn serve() -> SocketAddr {
    let (sender, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            // Or the answers of one batch would wait for each other.
            let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
            axum::serve(listener, router()).await.unwrap();
        });
    });
    address.recv().unwrap()
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn compare_endpoints() {
    let address = serve();
    let mut times = PATHS.map(|_| Vec::new());
    for block in 0..BLOCKS {
        for turn in 0..PATHS.len() {
            let path = (turn + block) % PATHS.len();
            let requests = requests(PATHS[path].0, block);
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_nodelay(true).unwrap();
            times[path].push(send(&mut stream, &requests));
        }
    }
    println!("one endpoint over HTTP/1.1, the documented payload");
    let medians = times.map(|mut times| median(&mut times));
    for ((_, name), time) in PATHS.iter().zip(medians) {
        println!("  {name:<54} {:>7.2} µs  throughput {:.2}", time * 1e6, medians[0] / time);
    }
}

/// A megabyte in frames of 16 KiB: what is left to do when the last one has come.
fn compare_last_frames() {
    let webhook = Webhook::<Quote3d>::new(Secret::new(SECRET).unwrap()).unwrap();
    let verifier = Verifier::new(Secret::new(SECRET).unwrap());
    let fill = "x".repeat((1 << 20) - 36);
    let body = format!(r#"{{"event":"quote.imagined","data":"{fill}"}}"#).into_bytes();
    assert_eq!(body.len(), 1 << 20);
    let signature: Signature = webhook.sign(&body).parse().unwrap();
    let headers = |signature: Signature| {
        let mut headers = HeaderMap::new();
        headers.insert("x-webhook-signature", signature.to_string().parse().unwrap());
        headers.insert("x-webhook-event", "quote.imagined".parse().unwrap());
        headers
    };
    let (right, forged) = (headers(signature), headers(webhook.sign(b"another body").parse().unwrap()));
    let last_frame = |headers: &HeaderMap| {
        let mut incoming = webhook.begin(headers).unwrap();
        let (last, frames) = body.rchunks(16 << 10).next().zip(Some(body.chunks(16 << 10).take(63))).unwrap();
        frames.for_each(|frame| incoming.update(frame).unwrap());
        let start = Instant::now();
        incoming.update(last).unwrap();
        let verdict = incoming.finish();
        (start.elapsed().as_secs_f64(), verdict.is_ok())
    };
    let mut times = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..200 {
        let start = Instant::now();
        assert!(verifier.verify(&body, &signature).is_ok());
        times[0].push(start.elapsed().as_secs_f64());
        let mut verification = verifier.begin(signature);
        body.chunks(16 << 10).take(63).for_each(|frame| verification.update(frame));
        let start = Instant::now();
        verification.update(&body[63 << 14..]);
        assert!(verification.finish().is_ok());
        times[1].push(start.elapsed().as_secs_f64());
        for (headers, accepted, of) in [(&forged, false, 2), (&right, true, 3)] {
            let (time, verdict) = last_frame(headers);
            assert_eq!(verdict, accepted);
            times[of].push(time);
        }
    }
    println!("\n1 MiB in frames of 16 KiB");
    let [whole, rest @ ..] = times.map(|mut times| median(&mut times));
    println!("  {:<54} {:>7.2} µs", "hashing it whole", whole * 1e6);
    let names = [
        "from the last frame to the signature's verdict",
        "the same of `PartialDelivery`, forged",
        "the same of `PartialDelivery`, accepted: the envelope as well",
    ];
    for (name, time) in names.iter().zip(rest) {
        println!("  {name:<54} {:>7.2} µs  {:>6.3}", time * 1e6, time / whole);
    }
}

fn main() {
    // `cargo test` runs benchmarks too, where they would only cost time.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    compare_last_frames();
    compare_endpoints();
}
