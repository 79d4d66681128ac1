//! A webhook in hyper, without a framework.
//!
//! ```text
//! export QUOTE3D_WEBHOOK_SECRET=whsec_only-to-try-this
//! cargo run --example hyper --features tower
//! ```
//!
//! In another terminal, with the secret as above:
//!
//! ```text
//! body=tests/data/quote3d_quote_completed.json
//! signature=$(openssl dgst -sha256 -hmac "$QUOTE3D_WEBHOOK_SECRET" -r < $body | cut -d ' ' -f 1)
//! curl -i http://127.0.0.1:3000/webhooks/quote3d --data-binary @$body \
//!     -H "X-Webhook-Event: quote.completed" -H "X-Webhook-Signature: sha256=$signature"
//! ```

use std::pin::pin;
use std::time::Duration;

use countersign::provider::{Quote3d, quote3d};
use countersign::tower::{Endpoint, Verified};
use countersign::{Error, MemoryStore, Receiver, Secrets, Webhook};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::timeout::{RequestBodyTimeoutLayer, TimeoutBody};

mod report;
use report::Report;

/// How long a sender may send nothing of its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

async fn handle(Verified(delivery): Verified<Quote3d>) -> Result<(), Error> {
    match delivery.event()? {
        quote3d::Event::QuoteCompleted(quote) => {
            println!("{:?} costs {}", quote.quote_id, quote.result.total_price); // enqueue it here
        }
        other => println!("not ours: {:?}", other.name()),
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Report> {
    let webhook = Webhook::new(Secrets::from_env("QUOTE3D_WEBHOOK_SECRET")?)?;
    // A `MemoryStore` forgets its keys at a restart; a `SqliteStore` keeps them.
    let endpoint = Endpoint::new(Receiver::new(webhook, MemoryStore::new()), handle);
    let routes = service_fn(move |request: Request<TimeoutBody<Incoming>>| {
        let endpoint = endpoint.clone();
        async move {
            match (request.method(), request.uri().path()) {
                (&Method::POST, "/webhooks/quote3d") => endpoint.oneshot(request).await,
                _ => {
                    let mut response = Response::new(String::new());
                    *response.status_mut() = StatusCode::NOT_FOUND;
                    Ok(response)
                }
            }
        }
    });
    // If a sender stalls in the body, its connection is closed.
    let service = TowerToHyperService::new(RequestBodyTimeoutLayer::new(BODY_TIMEOUT).layer(routes));

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()); // it gives a sender 30 seconds for the head
    let connections = GracefulShutdown::new();
    // On Ctrl-C. Containers are stopped with SIGTERM: use `tokio::signal::unix` for it.
    let mut stop = pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let connection = server.serve_connection(TokioIo::new(stream), service.clone());
                    tokio::spawn(connections.watch(connection));
                }
                // For example too many open files, which passes.
                Err(error) => {
                    eprintln!("{error}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            },
            _ = &mut stop => break,
        }
    }
    connections.shutdown().await;
    Ok(())
}
