//! The forms of Stripe and of Standard Webhooks, verified alone: by this crate, by the bare MAC, and by the crates that
//! their senders' users take. No body is parsed.

use std::hint::black_box;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::provider::{StandardWebhooks, Stripe};
use countersign::{Secret, SigningOptions, Webhook};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use stripe_webhook::{Webhook as AsyncStripe, WebhookError};
use subtle::ConstantTimeEq;

use crate::case::DOCUMENTED;
use crate::rounds::Candidate;

const STRIPE: &str = "Stripe";
const STANDARD_WEBHOOKS: &str = "Standard Webhooks";
const BARE: &str = "hmac";
const OURS: &str = "Webhook::verify_signature";

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The candidates of both forms, which take turns. Each name begins with its form's.
pub fn all() -> Vec<Candidate<'static>> {
    stripe().into_iter().chain(standard_webhooks()).collect()
}

/// A candidate that has to have the right verdict every time.
fn judged(form: &str, name: &str, mut is_right: impl FnMut() -> bool + 'static) -> Candidate<'static> {
    assert!(is_right(), "{form}, {name}: not the right verdict");
    Candidate::new(format!("{form}/{name}"), move || assert!(is_right(), "not the right verdict"))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The least that has to be done: keyed beforehand, and compared in constant time.
fn bare(form: &str, key: &[u8], beginning: String, tag: Vec<u8>) -> Candidate<'static> {
    let mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    judged(form, BARE, move || {
        let signed = mac.clone().chain_update(black_box(&beginning)).chain_update(black_box(DOCUMENTED));
        bool::from(signed.finalize().into_bytes().ct_eq(black_box(&tag[..])))
    })
}

fn stripe() -> Vec<Candidate<'static>> {
    let webhook = Webhook::<Stripe>::new(Secret::new(SECRET).unwrap()).unwrap();
    let (right, forged) = (webhook.signed_headers(DOCUMENTED), webhook.signed_headers(b"another body"));
    let value = right["stripe-signature"].to_str().unwrap();
    let (time, tag) = value.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let bare = bare(STRIPE, SECRET.as_bytes(), format!("{time}."), hex::decode(tag).unwrap());
    let body = std::str::from_utf8(DOCUMENTED).unwrap();
    let forged_value = forged["stripe-signature"].to_str().unwrap().to_owned();
    let again = webhook.clone();
    vec![
        bare,
        judged(STRIPE, OURS, move || webhook.verify_signature(&right, black_box(DOCUMENTED)).is_ok()),
        // With a signature that does not match, as async-stripe has it: it would parse the event of one that does.
        judged(STRIPE, "Webhook::verify_signature, forged", move || {
            again.verify_signature(&forged, black_box(DOCUMENTED)).is_err()
        }),
        judged(STRIPE, "async-stripe, forged", move || {
            let verdict = AsyncStripe::construct_event(black_box(body), &forged_value, SECRET);
            matches!(verdict, Err(WebhookError::BadSignature))
        }),
    ]
}

fn standard_webhooks() -> Vec<Candidate<'static>> {
    let form = STANDARD_WEBHOOKS;
    let webhook = Webhook::<StandardWebhooks>::new(Secret::new(SECRET).unwrap()).unwrap();
    let headers =
        webhook.signed_headers_with(DOCUMENTED, &SigningOptions::new().id("msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"));
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    let key = STANDARD.decode(SECRET.strip_prefix("whsec_").unwrap()).unwrap();
    let tag = STANDARD.decode(text("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
    let beginning = format!("{}.{}.", text("webhook-id"), text("webhook-timestamp"));
    assert!(now().abs_diff(text("webhook-timestamp").parse().unwrap()) < 60);
    let theirs = standardwebhooks::Webhook::new(SECRET).unwrap();
    let svix = svix::webhooks::Webhook::new(SECRET).unwrap();
    let [ours, of_theirs, of_svix] = [headers.clone(), headers.clone(), headers];
    vec![
        bare(form, &key, beginning, tag),
        judged(form, OURS, move || webhook.verify_signature(&ours, black_box(DOCUMENTED)).is_ok()),
        judged(form, "standardwebhooks", move || theirs.verify(black_box(DOCUMENTED), &of_theirs).is_ok()),
        judged(form, "svix", move || svix.verify(black_box(DOCUMENTED), &of_svix).is_ok()),
    ]
}
