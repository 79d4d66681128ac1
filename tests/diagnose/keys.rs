//! A secret that is not in the encoding of the scheme is named, also under the scheme of another provider.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::diagnose::Diagnoser;
use countersign::provider::{StandardWebhooks, Stripe};
use countersign::{Provider, Secret, Webhook};

use super::kinds::{Kind, Sent};
use super::providers::kind;
use super::{BODY, SECRET, caused};

/// The cure is that provider, which decodes the secret in its own way.
#[test]
fn how_the_key_of_another_provider_was_made_is_named() {
    let (standard, stripe, hex) = (kind("standard-webhooks"), kind("stripe"), kind("milliseconds"));
    let undecoded = Sent { key: standard.secret.into(), ..standard.sent() };
    let bare = Sent { secret: stripe.secret[6..].to_owned(), ..stripe.sent() };
    let decoded = Sent { key: STANDARD.decode(&bare.secret).unwrap(), ..bare.clone() };
    let of_hex = Sent { secret: hex.secret.to_owned(), ..stripe.sent() };
    let hex_decoded = Sent { key: hex::decode(hex.secret).unwrap(), ..of_hex.clone() };
    let hex_kept = Sent { key: hex.secret.into(), ..of_hex };
    let cases: [(&Kind, &Kind, Sent, &[&str]); 6] = [
        (&stripe, &standard, undecoded, &["signature_of_standard_webhooks", "secret_undecoded"]),
        (&standard, &stripe, decoded.clone(), &["signature_of_stripe", "secret_base64_decoded"]),
        (&kind("github"), &stripe, decoded, &["signature_of_stripe", "secret_base64_decoded"]),
        (&kind("github"), &stripe, hex_decoded.clone(), &["signature_of_stripe", "secret_hex_decoded"]),
        (&hex, &stripe, hex_decoded, &["signature_of_stripe", "secret_hex_decoded"]),
        (&hex, &stripe, hex_kept, &["signature_of_stripe"]),
    ];
    for (ours, theirs, sent, causes) in cases {
        let diagnosis = ours.diagnosis_of(&sent, &theirs.headers(&sent));
        assert_eq!(caused(&diagnosis), causes, "{} {} {diagnosis}", ours.name, theirs.name);
    }
}

fn named<P: Provider + Default>(ours: Secret, theirs: Secret) -> Vec<String> {
    let headers = Webhook::<P>::new(theirs).unwrap().signed_headers(BODY);
    let headers = headers.iter().map(|(name, value)| (name, value.as_bytes()));
    caused(&Diagnoser::<P>::new(ours).unwrap().diagnose(headers, BODY))
}

/// Whoever decodes a secret and keeps the bytes is told whether the scheme decodes it, too.
#[test]
fn a_secret_that_was_decoded_by_hand_is_named() {
    let bytes = |text: &str| Secret::from_bytes(text).unwrap();
    let decoded = || Secret::from_bytes(STANDARD.decode(&SECRET[6..]).unwrap()).unwrap();
    let bare = &SECRET[6..];
    assert_eq!(named::<Stripe>(decoded(), bytes(SECRET)), ["secret_base64_encoded"]);
    assert_eq!(named::<Stripe>(decoded(), bytes(bare)), ["secret_base64_encoded"]);
    assert_eq!(
        named::<Stripe>(decoded(), bytes(&hex::encode(STANDARD.decode(bare).unwrap()))),
        ["secret_hex_encoded"]
    );
    // Here the text would be decoded again.
    assert_eq!(named::<StandardWebhooks>(decoded(), bytes(SECRET)), ["secret_undecoded"]);
    assert_eq!(named::<StandardWebhooks>(decoded(), bytes(bare)), ["secret_undecoded"]);
    assert_eq!(
        named::<StandardWebhooks>(decoded(), bytes(&format!("{SECRET}\n"))),
        ["secret_undecoded", "secret_signed_with_whitespace"]
    );
    assert_eq!(
        named::<StandardWebhooks>(decoded(), bytes(&hex::encode(SECRET))),
        ["secret_undecoded", "secret_hex_encoded"]
    );
    // The bytes are the key that the text spells.
    assert!(named::<StandardWebhooks>(decoded(), Secret::new(SECRET).unwrap()).is_empty());
}
