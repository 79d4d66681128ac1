//! This crate's side of a scheme: a webhook of a built-in or of a declared provider, whichever it is.

use std::time::{Duration, SystemTime};

use countersign::provider::{
    DeclaredProvider, GitHub, Linear, Paddle, Shopify, Slack, Square, StandardWebhooks, Stripe, Zoom,
};
use countersign::{Error, Provider, Secret, Secrets, SigningOptions, Webhook};

use crate::model::{Model, Pairs};

/// The receiver's clock, in seconds.
pub(crate) const NOW: u64 = 1_773_153_000;

/// Two secrets' keys, newest first, and one of somebody else.
pub(crate) const KEYS: [&[u8]; 3] =
    [b"0123456789abcdefghijKLMNOP", b"abcdefghijklmnopqrstuvwxyzabcdef", b"a third key, of someone else"];

/// The keys of a webhook.
pub(crate) fn own_keys() -> Vec<Vec<u8>> {
    KEYS[..2].iter().map(|key| key.to_vec()).collect()
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn secrets(model: &Model) -> Secrets {
    let secret = |key| Secret::new(model.key.spell(key)).expect("a secret");
    Secrets::new(secret(KEYS[0])).with_older(secret(KEYS[1])).expect("two are not too many")
}

/// A webhook, whatever its provider.
pub(crate) trait Ours {
    /// The position of the secret that made the signature, or the code of the error. Every way to verify has to agree.
    fn verdict(&self, headers: &Pairs, body: &[u8], cuts: &[u8]) -> Result<usize, &'static str>;
    /// Whether the signature is accepted.
    fn proves(&self, headers: &Pairs, body: &[u8]) -> bool;
    /// The headers of a delivery at this time.
    fn sign(&self, body: &[u8], time: u64, id: &str) -> Pairs;
}

impl<P: Provider> Ours for Webhook<P> {
    fn verdict(&self, headers: &Pairs, body: &[u8], cuts: &[u8]) -> Result<usize, &'static str> {
        let code = |error: Error| {
            assert!([400, 401, 413, 422].contains(&error.status()));
            error.code()
        };
        let matched = self.verify_signature(headers, body).map(|secret| secret.position()).map_err(code);
        let whole = self.verify(headers, body);
        let mut pieces = crate::bytes::in_pieces(cuts, body);
        let in_pieces = self.begin(headers).and_then(|mut partial| {
            pieces.try_for_each(|piece| partial.update(piece))?;
            partial.finish()
        });
        crate::same_answer(&in_pieces, &whole);
        match (matched, &whole) {
            (Ok(position), Ok(delivery)) => assert_eq!(delivery.matched_secret().position(), position),
            // What is signed may still be no event.
            (Ok(_), Err(error)) => {
                let after = ["malformed_payload", "malformed_signature", "missing_event_header"];
                let other = ["duplicate_event_header", "event_mismatch"];
                assert!(after.contains(&error.code()) || other.contains(&error.code()), "{error:?}");
            }
            (Err(code), Err(error)) => assert_eq!(error.code(), code),
            (Err(code), Ok(_)) => panic!("accepted, but {code} for its signature"),
        }
        matched
    }

    fn proves(&self, headers: &Pairs, body: &[u8]) -> bool {
        self.verify_signature(headers, body).is_ok()
    }

    fn sign(&self, body: &[u8], time: u64, id: &str) -> Pairs {
        let headers = self.signed_headers_with(body, &SigningOptions::new().with_time(at(time)).with_id(id));
        headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
    }
}

fn ready<P: Provider>(provider: P, model: &Model) -> Box<dyn Ours> {
    let webhook = Webhook::for_provider(provider, secrets(model)).expect("a declaration that was checked");
    Box::new(webhook.with_clock(|| at(NOW)))
}

/// A declaration's webhook, if it is accepted. It has to be exactly where the model reads one.
pub(crate) fn declared(json: &[u8]) -> Option<(Model, Box<dyn Ours>)> {
    let provider = serde_json::from_slice::<DeclaredProvider>(json);
    let model = Model::read(json);
    let provider = match (&provider, &model) {
        (Ok(_), None) => panic!("accepted, but it makes no sense: {}", json.escape_ascii()),
        (Err(error), Some(_)) => panic!("{error}: {}", json.escape_ascii()),
        (Err(error), None) => {
            assert!(!error.to_string().is_empty());
            return None;
        }
        (Ok(provider), Some(_)) => provider.clone(),
    };
    let shown = format!("{provider:?}");
    assert_eq!(shown, format!("DeclaredProvider {{ name: {:?}, .. }}", provider.name()));
    let model = model?;
    let ours = ready(provider, &model);
    Some((model, ours))
}

const URL: &str = "https://example.org/{a}?b=c";

/// The built-in providers, each with its form written down once more, from the provider's documentation.
pub(crate) fn built_ins() -> Vec<(Model, Box<dyn Ours>)> {
    let model = |json: &str| Model::read(json.as_bytes()).expect("a declaration");
    let own =
        |signature: &str, rest: &str| model(&format!(r#"{{"name":"a","signature":{{{signature}}}{rest}}}"#));
    let stripe = own(
        r#""header":"Stripe-Signature","separator":",","field":"v1""#,
        r#","signed":"{timestamp}.{body}","timestamp":{"field":"t","tolerance_s":300}"#,
    );
    let mut standard = own(
        r#""header":"webhook-signature","encoding":"base64","separator":" ","each":"v1,""#,
        r#","secret":"base64","signed":"{header:webhook-id}.{timestamp}.{body}",
            "timestamp":{"header":"webhook-timestamp","tolerance_s":300}"#,
    );
    standard.family = Some(("webhook-", "svix-"));
    let github = own(r#""header":"X-Hub-Signature-256","prefix":"sha256=""#, "");
    let shopify = own(r#""header":"X-Shopify-Hmac-SHA256","encoding":"base64""#, "");
    let slack = own(
        r#""header":"X-Slack-Signature","prefix":"v0=""#,
        r#","signed":"v0:{timestamp}:{body}","timestamp":{"header":"X-Slack-Request-Timestamp","tolerance_s":300}"#,
    );
    let zoom = own(
        r#""header":"x-zm-signature","prefix":"v0=""#,
        r#","signed":"v0:{timestamp}:{body}","timestamp":{"header":"x-zm-request-timestamp"}"#,
    );
    let paddle = own(
        r#""header":"Paddle-Signature","separator":";","field":"h1""#,
        r#","signed":"{timestamp}:{body}","timestamp":{"field":"ts","tolerance_s":300}"#,
    );
    let linear = own(r#""header":"Linear-Signature""#, "");
    let square = own(
        r#""header":"x-square-hmacsha256-signature","encoding":"base64""#,
        r#","signed":"https://example.org/{{a}?b=c{body}""#,
    );
    vec![
        (stripe.clone(), ready(Stripe::default() as Stripe, &stripe)),
        (standard.clone(), ready(StandardWebhooks::default() as StandardWebhooks, &standard)),
        (github.clone(), ready(GitHub::default() as GitHub, &github)),
        (shopify.clone(), ready(Shopify::default() as Shopify, &shopify)),
        (slack.clone(), ready(Slack::default() as Slack, &slack)),
        (zoom.clone(), ready(Zoom::default() as Zoom, &zoom)),
        (paddle.clone(), ready(Paddle::default() as Paddle, &paddle)),
        (linear.clone(), ready(Linear::default() as Linear, &linear)),
        (square.clone(), ready(Square::new(URL) as Square, &square)),
    ]
}
