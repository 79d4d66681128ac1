//! This crate's side: a built-in provider by its name.

use std::time::{Duration, SystemTime};

use countersign::provider::{
    GitHub, Linear, Paddle, Provider, Shopify, Slack, Square, StandardWebhooks, Stripe, Zoom,
};
use countersign::{Error, Secret, SigningOptions, Webhook};
use http::HeaderMap;

/// What a Square subscription signs before the body.
pub const URL: &str = "https://example.org/webhooks/square?shop=1";

pub trait Ours {
    fn sign(&self, body: &str, time: u64) -> HeaderMap;
    /// The signature alone.
    fn proves(&self, headers: &HeaderMap, body: &str) -> Result<(), Error>;
    /// The signature and the envelope.
    fn verifies(&self, headers: &HeaderMap, body: &str) -> Result<(), Error>;
}

impl<P: Provider> Ours for Webhook<P> {
    fn sign(&self, body: &str, time: u64) -> HeaderMap {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(time);
        self.signed_headers_with(body.as_bytes(), &SigningOptions::new().with_time(time).with_id("msg_1"))
    }

    fn proves(&self, headers: &HeaderMap, body: &str) -> Result<(), Error> {
        self.verify_signature(headers, body.as_bytes()).map(drop)
    }

    fn verifies(&self, headers: &HeaderMap, body: &str) -> Result<(), Error> {
        self.verify(headers, body.as_bytes()).map(drop)
    }
}

pub fn ours(provider: &str, secret: &str) -> Box<dyn Ours> {
    fn of<P: Provider + Default + 'static>(secret: Secret) -> Box<dyn Ours> {
        Box::new(Webhook::<P>::new(secret).unwrap())
    }
    let secret = Secret::new(secret).unwrap();
    match provider {
        "github" => of::<GitHub>(secret),
        "linear" => of::<Linear>(secret),
        "paddle" => of::<Paddle>(secret),
        "shopify" => of::<Shopify>(secret),
        "slack" => of::<Slack>(secret),
        "square" => Box::new(Webhook::<Square>::for_provider(Square::new(URL), secret).unwrap()),
        "standard-webhooks" => of::<StandardWebhooks>(secret),
        "stripe" => of::<Stripe>(secret),
        "zoom" => of::<Zoom>(secret),
        other => panic!("no built-in is named {other}"),
    }
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}
