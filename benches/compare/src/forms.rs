//! The forms of GitHub, Stripe and Standard Webhooks, verified alone: by this crate, by the bare MAC, and by the crates
//! that Rust services take for the last two. No body is parsed.

use std::hint::black_box;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::provider::{GitHub, Provider, StandardWebhooks, Stripe};
use countersign::{Error, Secret, Webhook};
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::candidates::{BARE, SIGNATURE};
use crate::case::{Case, DOCUMENTED};
use crate::rounds::Candidate;

/// `sha256=` and hex digits.
pub const GITHUB: &str = "GitHub";
pub const STRIPE: &str = "Stripe";
pub const STANDARD_WEBHOOKS: &str = "Standard Webhooks";
/// With a signature that does not match, as async-stripe has to have it: it would parse the event otherwise.
pub const FORGED: &str = "Webhook::verify_signature, forged";
pub const ASYNC_STRIPE: &str = "async-stripe, forged";
pub const STANDARDWEBHOOKS: &str = "standardwebhooks";
pub const SVIX: &str = "svix";

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The candidates of all forms, which take turns. The name of each begins with its form.
pub fn all() -> Vec<Candidate<'static>> {
    github().into_iter().chain(stripe()).chain(standard_webhooks()).collect()
}

/// A candidate that has to have the right verdict every time.
fn judged(form: &str, name: &str, mut is_right: impl FnMut() -> bool + 'static) -> Candidate<'static> {
    let mut judge = move || assert!(is_right(), "not the right verdict");
    judge();
    Candidate::new(format!("{form}/{name}"), judge)
}

/// The least that has to be done: keyed beforehand, and compared in constant time.
fn bare(form: &str, key: &[u8], before_body: String, tag: Vec<u8>) -> Candidate<'static> {
    let mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    judged(form, BARE, move || {
        let signed = mac.clone().chain_update(black_box(&before_body)).chain_update(black_box(DOCUMENTED));
        bool::from(signed.finalize().into_bytes().ct_eq(black_box(&tag[..])))
    })
}

fn ours<P: Provider>(form: &str, webhook: Webhook<P>, headers: HeaderMap) -> Candidate<'static> {
    judged(form, SIGNATURE, move || webhook.verify_signature(&headers, black_box(DOCUMENTED)).is_ok())
}

/// The headers of this body, with those that every request brings. They are as old as this process, and each crate
/// refuses them after five minutes.
fn signed_headers<P: Provider>(webhook: &Webhook<P>, body: &[u8]) -> HeaderMap {
    let mut headers = Case::new(DOCUMENTED.len(), 1, true).headers();
    headers.extend(webhook.signed_headers(body));
    headers
}

fn github() -> Vec<Candidate<'static>> {
    let webhook = Webhook::<GitHub>::new(Secret::new(SECRET).unwrap()).unwrap();
    let headers = signed_headers(&webhook, DOCUMENTED);
    let tag = headers["x-hub-signature-256"].to_str().unwrap().strip_prefix("sha256=").unwrap();
    let tag = hex::decode(tag).unwrap();
    vec![bare(GITHUB, SECRET.as_bytes(), String::new(), tag), ours(GITHUB, webhook, headers)]
}

fn stripe() -> Vec<Candidate<'static>> {
    let webhook = Webhook::<Stripe>::new(Secret::new(SECRET).unwrap()).unwrap();
    let headers = signed_headers(&webhook, DOCUMENTED);
    let value = headers["stripe-signature"].to_str().unwrap();
    let (time, tag) = value.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let bare = bare(STRIPE, SECRET.as_bytes(), format!("{time}."), hex::decode(tag).unwrap());
    let forged = signed_headers(&webhook, b"another body");
    let forgery = forged["stripe-signature"].to_str().unwrap().to_owned();
    let ours_forged = judged(STRIPE, FORGED, {
        let webhook = webhook.clone();
        move || {
            let verdict = webhook.verify_signature(&forged, black_box(DOCUMENTED));
            matches!(verdict, Err(Error::SignatureMismatch))
        }
    });
    let mut candidates = vec![bare, ours(STRIPE, webhook, headers), ours_forged];
    candidates.extend(async_stripe(forgery));
    candidates
}

#[cfg(feature = "peers")]
fn async_stripe(forgery: String) -> Option<Candidate<'static>> {
    use stripe_webhook::{Webhook, WebhookError};
    let body = std::str::from_utf8(DOCUMENTED).unwrap();
    Some(judged(STRIPE, ASYNC_STRIPE, move || {
        let verdict = Webhook::construct_event(black_box(body), &forgery, SECRET);
        matches!(verdict, Err(WebhookError::BadSignature))
    }))
}

#[cfg(not(feature = "peers"))]
fn async_stripe(_: String) -> Option<Candidate<'static>> {
    None
}

fn standard_webhooks() -> Vec<Candidate<'static>> {
    let form = STANDARD_WEBHOOKS;
    let webhook = Webhook::<StandardWebhooks>::new(Secret::new(SECRET).unwrap()).unwrap();
    let headers = signed_headers(&webhook, DOCUMENTED);
    let text = |name: &str| headers[name].to_str().unwrap();
    let key = STANDARD.decode(SECRET.strip_prefix("whsec_").unwrap()).unwrap();
    let tag = STANDARD.decode(text("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
    let before_body = format!("{}.{}.", text("webhook-id"), text("webhook-timestamp"));
    let theirs = standardwebhooks::Webhook::new(SECRET).unwrap();
    let of_theirs = headers.clone();
    let mut candidates = vec![
        bare(form, &key, before_body, tag),
        ours(form, webhook, headers.clone()),
        judged(form, STANDARDWEBHOOKS, move || theirs.verify(black_box(DOCUMENTED), &of_theirs).is_ok()),
    ];
    candidates.extend(svix(headers));
    candidates
}

#[cfg(feature = "peers")]
fn svix(headers: HeaderMap) -> Option<Candidate<'static>> {
    let webhook = svix::webhooks::Webhook::new(SECRET).unwrap();
    Some(judged(STANDARD_WEBHOOKS, SVIX, move || webhook.verify(black_box(DOCUMENTED), &headers).is_ok()))
}

#[cfg(not(feature = "peers"))]
fn svix(_: HeaderMap) -> Option<Candidate<'static>> {
    None
}
