//! The forms of the built-in providers, verified alone: by this crate, by the bare MAC, and by the crates that Rust services
//! take for Stripe and Standard Webhooks. No body is parsed. Quote3D, NowToPrint and 3QPR have GitHub's form.

use std::hint::black_box;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::provider::{
    GitHub, Linear, Paddle, Provider, Shopify, Slack, Square, StandardWebhooks, Stripe, Zoom,
};
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
pub const LINEAR: &str = "Linear";
pub const SHOPIFY: &str = "Shopify";
pub const SQUARE: &str = "Square";
pub const SLACK: &str = "Slack";
pub const ZOOM: &str = "Zoom";
pub const PADDLE: &str = "Paddle";
pub const STRIPE: &str = "Stripe";
pub const STANDARD_WEBHOOKS: &str = "Standard Webhooks";
pub const ALL: [&str; 9] = [GITHUB, LINEAR, SHOPIFY, SQUARE, SLACK, ZOOM, PADDLE, STRIPE, STANDARD_WEBHOOKS];
/// With a signature that does not match, as async-stripe has to have it: it would parse the event otherwise.
pub const FORGED: &str = "Webhook::verify_signature, forged";
pub const ASYNC_STRIPE: &str = "async-stripe, forged";
pub const STANDARDWEBHOOKS: &str = "standardwebhooks";
pub const SVIX: &str = "svix";

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The candidates of all forms, which take turns. The name of each begins with its form.
pub fn all() -> Vec<Candidate<'static>> {
    alone().into_iter().chain(stripe()).chain(standard_webhooks()).collect()
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

/// The bare MAC and this crate, of a delivery that the webhook signs. The last argument tells from the headers what is
/// signed before the body, and the tag.
fn both<P: Provider>(
    form: &str,
    webhook: &Webhook<P>,
    key: &[u8],
    signed_and_tag: impl Fn(&HeaderMap) -> (String, Vec<u8>),
) -> Vec<Candidate<'static>> {
    let headers = signed_headers(webhook, DOCUMENTED);
    let (before_body, tag) = signed_and_tag(&headers);
    let webhook = webhook.clone();
    let ours =
        judged(form, SIGNATURE, move || webhook.verify_signature(&headers, black_box(DOCUMENTED)).is_ok());
    vec![bare(form, key, before_body, tag), ours]
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers[name].to_str().unwrap()
}

/// The digits of a header after this prefix.
fn digits(headers: &HeaderMap, name: &str, prefix: &str) -> Vec<u8> {
    hex::decode(text(headers, name).strip_prefix(prefix).unwrap()).unwrap()
}

fn base64(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

fn new<P: Provider + Default>() -> Webhook<P> {
    Webhook::new(Secret::new(SECRET).unwrap()).unwrap()
}

/// The headers of this body, with those that every request brings. They are as old as this process, and each crate
/// refuses them after five minutes.
fn signed_headers<P: Provider>(webhook: &Webhook<P>, body: &[u8]) -> HeaderMap {
    let mut headers = Case::new(DOCUMENTED.len(), 1, true).headers();
    headers.extend(webhook.signed_headers(body));
    headers
}

/// Those with no other crate beside them.
fn alone() -> Vec<Candidate<'static>> {
    const URL: &str = "https://example.com/webhooks/square";
    let square: Square = Square::new(URL);
    let square = Webhook::for_provider(square, Secret::new(SECRET).unwrap()).unwrap();
    let key = SECRET.as_bytes();
    [
        both(GITHUB, &new::<GitHub>(), key, |headers| {
            (String::new(), digits(headers, "x-hub-signature-256", "sha256="))
        }),
        both(LINEAR, &new::<Linear>(), key, |headers| {
            (String::new(), digits(headers, "linear-signature", ""))
        }),
        both(SHOPIFY, &new::<Shopify>(), key, |headers| {
            (String::new(), base64(text(headers, "x-shopify-hmac-sha256")))
        }),
        both(SQUARE, &square, key, |headers| {
            (URL.to_owned(), base64(text(headers, "x-square-hmacsha256-signature")))
        }),
        both(SLACK, &new::<Slack>(), key, |headers| {
            let time = text(headers, "x-slack-request-timestamp");
            (format!("v0:{time}:"), digits(headers, "x-slack-signature", "v0="))
        }),
        both(ZOOM, &new::<Zoom>(), key, |headers| {
            let time = text(headers, "x-zm-request-timestamp");
            (format!("v0:{time}:"), digits(headers, "x-zm-signature", "v0="))
        }),
        both(PADDLE, &new::<Paddle>(), key, |headers| {
            let value = text(headers, "paddle-signature").strip_prefix("ts=").unwrap();
            let (time, tag) = value.split_once(";h1=").unwrap();
            (format!("{time}:"), hex::decode(tag).unwrap())
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn stripe() -> Vec<Candidate<'static>> {
    let webhook = new::<Stripe>();
    let mut candidates = both(STRIPE, &webhook, SECRET.as_bytes(), |headers| {
        let value = text(headers, "stripe-signature").strip_prefix("t=").unwrap();
        let (time, tag) = value.split_once(",v1=").unwrap();
        (format!("{time}."), hex::decode(tag).unwrap())
    });
    let forged = signed_headers(&webhook, b"another body");
    let forgery = forged["stripe-signature"].to_str().unwrap().to_owned();
    candidates.push(judged(STRIPE, FORGED, move || {
        let verdict = webhook.verify_signature(&forged, black_box(DOCUMENTED));
        matches!(verdict, Err(Error::SignatureMismatch))
    }));
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
    let webhook = new::<StandardWebhooks>();
    let key = base64(SECRET.strip_prefix("whsec_").unwrap());
    let mut candidates = both(STANDARD_WEBHOOKS, &webhook, &key, |headers| {
        let signed = ["webhook-id", "webhook-timestamp"].map(|name| format!("{}.", text(headers, name)));
        (signed.concat(), base64(text(headers, "webhook-signature").strip_prefix("v1,").unwrap()))
    });
    let headers = signed_headers(&webhook, DOCUMENTED);
    let theirs = standardwebhooks::Webhook::new(SECRET).unwrap();
    let of_theirs = headers.clone();
    candidates.push(judged(STANDARD_WEBHOOKS, STANDARDWEBHOOKS, move || {
        theirs.verify(black_box(DOCUMENTED), &of_theirs).is_ok()
    }));
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
