//! Webhooks in actix-web: a whole endpoint, an extractor, and tenants with their own secrets.
//!
//! ```text
//! export QUOTE3D_WEBHOOK_SECRET=whsec_only-to-try-this NOWTOPRINT_WEBHOOK_SECRET=whsec_only-to-try-this
//! export ACME_WEBHOOK_SECRET=whsec_only-acme-has-this GLOBEX_WEBHOOK_SECRET=whsec_only-globex-has-this
//! cargo run --example actix_web --features actix-web
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

use actix_web::web::{Data, Path, Payload};
use actix_web::{App, HttpRequest, HttpServer, rt, web};
use countersign::actix_web::{Verified, endpoint, verify_request_with};
use countersign::provider::{NowToPrint, Quote3d, ThreeQpr, nowtoprint, quote3d, threeqpr};
use countersign::{Delivery, Error, MemoryStore, Outcome, Receiver, Secrets, SetupError, Webhook};

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
    receiver: Data<Receiver<NowToPrint, Store>>,
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
    tenants: Data<Tenants>,
    name: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Result<Outcome, Error> {
    let mut receiver = Arc::clone(&tenants.nobody);
    // It runs only for a request with a well-formed signature. A flood of others does not reach your database.
    let lookup = async || {
        receiver = tenants.find(&name).await.map_err(Error::secret_unavailable)?;
        Ok(receiver.webhook().clone())
    };
    let delivery = verify_request_with(tenants.nobody.webhook(), &request, payload, lookup).await?;
    Ok(receiver.handle(delivery, scan).await)
}

fn main() -> Result<(), Report> {
    // Everything is made before the workers, which share it. A worker with its own store would handle events
    // that another worker has handled.
    let store = Store::default();
    let of_quote3d = Webhook::new(Secrets::from_env("QUOTE3D_WEBHOOK_SECRET")?)?;
    let of_quote3d = Arc::new(Receiver::new(of_quote3d, store.clone()));
    let webhook = Webhook::<NowToPrint>::new(Secrets::from_env("NOWTOPRINT_WEBHOOK_SECRET")?)?;
    let of_nowtoprint = Data::new(Receiver::new(webhook.clone(), store));
    let webhook = Data::new(webhook);
    let tenants = Data::new(Tenants {
        known: HashMap::from([
            ("acme", tenant("acme", Secrets::from_env("ACME_WEBHOOK_SECRET")?, 100_000)?),
            ("globex", tenant("globex", Secrets::from_env("GLOBEX_WEBHOOK_SECRET")?, 100_000)?),
        ]),
        nobody: tenant("nobody", Secrets::reject_all(), 0)?,
    });
    let app = move || {
        App::new()
            .app_data(webhook.clone()) // for the extractor
            .app_data(of_nowtoprint.clone())
            .app_data(tenants.clone())
            .route("/webhooks/quote3d", endpoint(Arc::clone(&of_quote3d), quote))
            .route("/webhooks/nowtoprint", web::post().to(nowtoprint))
            .route("/tenants/{tenant}/3qpr", web::post().to(threeqpr))
    };
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    rt::System::new().block_on(async {
        // The server limits how long a head may take. Put a proxy in front to limit the body.
        let server = HttpServer::new(app).bind(address)?;
        for address in server.addrs() {
            println!("listening on http://{address}");
        }
        Ok(server.run().await?) // until Ctrl-C or SIGTERM, and then gracefully
    })
}
