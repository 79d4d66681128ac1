//! A webhook on AWS Lambda, behind an HTTP API or a function URL.
//!
//! Run it here with Redis and `cargo lambda` (from <https://www.cargo-lambda.info>), in this folder:
//!
//! ```text
//! export QUOTE3D_WEBHOOK_SECRET=whsec_only-to-try-this REDIS_URL=redis://127.0.0.1
//! cargo lambda watch
//! ```
//!
//! In another terminal, with the secret as above. `event.json` is a delivery as Lambda gets it, signed with that
//! secret; `curl` sends the same event again, so it is handled once:
//!
//! ```text
//! cargo lambda invoke --data-file event.json
//!
//! body=../../tests/data/quote3d_quote_completed.json
//! signature=$(openssl dgst -sha256 -hmac "$QUOTE3D_WEBHOOK_SECRET" -r < $body | cut -d ' ' -f 1)
//! curl -i http://127.0.0.1:9000 --data-binary @$body \
//!     -H "X-Webhook-Event: quote.completed" -H "X-Webhook-Signature: sha256=$signature"
//! ```

use countersign::provider::{Quote3d, quote3d};
use countersign::tower::{Endpoint, Verified};
use countersign::{Receiver, Secrets, Webhook};
use countersign_redis::RedisStore;
use countersign_redis::redis::Client;
use countersign_redis::redis::aio::ConnectionManagerConfig;

#[path = "../../report/mod.rs"]
mod report;
use report::Report;

async fn handle(Verified(delivery): Verified<Quote3d>) -> Result<(), countersign::Error> {
    match delivery.event()? {
        quote3d::Event::QuoteCompleted(quote) => {
            println!("{:?} costs {}", quote.quote_id, quote.result.total_price); // send it to a queue here
        }
        other => println!("not ours: {:?}", other.name()),
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Report> {
    let webhook = Webhook::new(Secrets::from_env("QUOTE3D_WEBHOOK_SECRET")?)?;
    // An instance of the function has neither memory nor disk in common with the next. Redis has room for a
    // connection of each, and forgets old keys by itself; PostgreSQL would need a proxy and a schedule. For
    // `rediss://`, which ElastiCache may ask for, add the crates `redis` with `tokio-rustls-comp` and `rustls` with `ring` and `tls12`.
    let config = ConnectionManagerConfig::new().set_number_of_retries(1); // 503 before the provider gives up
    let redis = Client::open(std::env::var("REDIS_URL")?)?.get_connection_manager_with_config(config).await?;
    // Lambda ends a handler at the function's timeout: the lease, of a minute unless told, is to be longer.
    let receiver = Receiver::new(webhook, RedisStore::new(redis));
    Ok(lambda_http::run(Endpoint::new(receiver, handle)).await?)
}
