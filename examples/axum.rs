//! Webhooks in axum: a whole endpoint, an extractor, and tenants with their own secrets.
//!
//! ```text
//! export QUOTE3D_WEBHOOK_SECRET=whsec_only-to-try-this NOWTOPRINT_WEBHOOK_SECRET=whsec_only-to-try-this
//! export ACME_WEBHOOK_SECRET=whsec_only-acme-has-this GLOBEX_WEBHOOK_SECRET=whsec_only-globex-has-this
//! cargo run --example axum --features axum
//! ```
//!
//! In another terminal, with `ACME_WEBHOOK_SECRET` as above:
//!
//! ```text
//! body=tests/data/threeqpr_scan_created.json
//! signature=$(openssl dgst -sha256 -hmac "$ACME_WEBHOOK_SECRET" -r < $body | cut -d ' ' -f 1)
//! curl -i http://127.0.0.1:3000/tenants/acme/3qpr --data-binary @$body \
//!     -H "X-3QPR-Signature: sha256=$signature"
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::routing::{post, post_service};
use countersign::axum::Verified;
use countersign::provider::{NowToPrint, Quote3d, ThreeQpr, nowtoprint, quote3d, threeqpr};
use countersign::tower::Endpoint;
use countersign::{Delivery, Error, MemoryStore, Outcome, Receiver, Secrets, SetupError, Webhook};
use tokio::net::TcpListener;
use tower_http::timeout::RequestBodyTimeoutLayer;

mod report;
use report::Report;

/// It forgets its keys at a restart, and refuses new keys when it is full. A `SqliteStore` does neither.
type Store = Arc<MemoryStore>;

async fn quote(Verified(delivery): Verified<Quote3d>) -> Result<(), Error> {
    match delivery.event()? {
        quote3d::Event::QuoteCompleted(quote) => {
            println!("{:?} costs {}", quote.quote_id, quote.result.total_price); // enqueue it here
        }
        other => println!("not ours: {:?}", other.name()),
    }
    Ok(())
}

async fn quote_received(delivery: Delivery<'_, NowToPrint>) -> Result<(), Error> {
    match delivery.event()? {
        nowtoprint::Event::QuoteReceived(quote) => println!("{:?} was received", quote.quote_id),
        other => println!("not ours: {:?}", other.name()),
    }
    Ok(())
}

/// With the extractor, you choose the answer and the log.
async fn nowtoprint(
    State(receiver): State<Arc<Receiver<NowToPrint, Store>>>,
    delivery: Result<Verified<NowToPrint>, Error>,
) -> Outcome {
    let outcome = match delivery {
        Ok(Verified(delivery)) => receiver.handle(delivery, quote_received).await,
        Err(error) => Outcome::Rejected(error),
    };
    eprintln!("{}", outcome.code()); // not `outcome.error()`, which may quote the payload
    outcome
}

async fn scan(delivery: Delivery<'_, ThreeQpr>) -> Result<(), Error> {
    let tenant = delivery.tenant().unwrap_or_default();
    match delivery.event()? {
        threeqpr::Event::ScanCreated(scan) => println!("{tenant}'s code: a scan in {:?}", scan.city),
        other => println!("not ours: {:?}", other.name()),
    }
    Ok(())
}

/// Each tenant's receiver has its own store, so that a tenant who fills it blocks no other.
type Tenant = Arc<Receiver<ThreeQpr, Store>>;

fn tenant(name: &str, secrets: Secrets, capacity: usize) -> Result<Tenant, SetupError> {
    let store = Arc::new(MemoryStore::new().with_capacity(capacity));
    Ok(Arc::new(Receiver::new(Webhook::new(secrets)?.with_tenant(name), store)))
}

struct Tenants {
    known: HashMap<&'static str, Tenant>,
    /// For a name that no tenant has. It refuses every signature, so that the answers do not reveal which tenants
    /// exist.
    nobody: Tenant,
}

impl Tenants {
    /// Ask your database here.
    async fn find(&self, name: &str) -> Result<Tenant, std::io::Error> {
        Ok(Arc::clone(self.known.get(name).unwrap_or(&self.nobody)))
    }
}

async fn threeqpr(
    State(tenants): State<Arc<Tenants>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Outcome, Error> {
    let mut receiver = Arc::clone(&tenants.nobody);
    // It runs only for a request with a well-formed signature. A flood of others does not reach your database.
    let lookup = async || {
        receiver = tenants.find(&name).await.map_err(Error::secret_unavailable)?;
        Ok(receiver.webhook().clone())
    };
    let delivery = tenants.nobody.webhook().verify_request_with(request, lookup).await?;
    Ok(receiver.handle(delivery, scan).await)
}

#[tokio::main]
async fn main() -> Result<(), Report> {
    let store = Store::default();
    let of_quote3d =
        Receiver::new(Webhook::new(Secrets::from_env("QUOTE3D_WEBHOOK_SECRET")?)?, store.clone());
    let of_nowtoprint = Receiver::new(Webhook::new(Secrets::from_env("NOWTOPRINT_WEBHOOK_SECRET")?)?, store);
    let tenants = Arc::new(Tenants {
        known: HashMap::from([
            ("acme", tenant("acme", Secrets::from_env("ACME_WEBHOOK_SECRET")?, 100_000)?),
            ("globex", tenant("globex", Secrets::from_env("GLOBEX_WEBHOOK_SECRET")?, 100_000)?),
        ]),
        nobody: tenant("nobody", Secrets::reject_all(), 0)?,
    });
    let app = Router::new()
        .route("/webhooks/quote3d", post_service(Endpoint::new(of_quote3d, quote)))
        .route("/webhooks/nowtoprint", post(nowtoprint).with_state(Arc::new(of_nowtoprint)))
        .route("/tenants/{tenant}/3qpr", post(threeqpr).with_state(tenants))
        // A sender that sends nothing of its body for this long is disconnected.
        .layer(RequestBodyTimeoutLayer::new(Duration::from_secs(5)));
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    // On Ctrl-C. Containers are stopped with SIGTERM: use `tokio::signal::unix` for it.
    let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    Ok(axum::serve(listener, app).with_graceful_shutdown(stop).await?)
}
