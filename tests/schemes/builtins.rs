//! What the built-in providers read of their deliveries beside the signature.

use std::time::{Duration, SystemTime};

use countersign::provider::{
    Challenge, GitHub, Linear, Paddle, Shopify, Slack, Square, StandardWebhooks, Stripe, Zoom,
};
use countersign::{
    Envelope, EventNameSource, Provider, Scheme, Secret, SetupError, Signature, SigningOptions, UnknownEvent,
    Webhook,
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn webhook<P: Provider + Default>() -> Webhook<P> {
    Webhook::new(Secret::new(SECRET).unwrap()).unwrap()
}

/// The event's name and where it is from, the id, the time as text, the data, and the key.
fn read<P: Provider>(webhook: &Webhook<P>, body: &str, options: &SigningOptions) -> [String; 6] {
    let headers = webhook.signed_headers_with(body.as_bytes(), options);
    let delivery = webhook.verify(&headers, body.as_bytes()).unwrap();
    assert_eq!(delivery.clone().into_owned().idempotency_key(), delivery.idempotency_key());
    let mut partial = webhook.begin(&headers).unwrap();
    body.as_bytes().chunks(5).for_each(|piece| partial.update(piece).unwrap());
    assert_eq!(format!("{:?}", partial.finish().unwrap()), format!("{delivery:?}"));
    [
        delivery.event_name().to_owned(),
        format!("{:?}", delivery.event_name_source()),
        delivery.id().unwrap_or("none").to_owned(),
        delivery.timestamp_text().unwrap_or("none").to_owned(),
        delivery.data().to_owned(),
        delivery.idempotency_key().to_string(),
    ]
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(bytes))
}

#[test]
fn each_builtin_reads_its_envelope() {
    let options = SigningOptions::new().with_id("msg_1").with_event("push");
    let typed = r#"{"type":"a.b","timestamp":"2026-03-10T14:30:00Z","data":{"n":1.50}}"#;
    let read_standard = read(&webhook::<StandardWebhooks>(), typed, &options);
    let expected =
        ["a.b", "Signed", "msg_1", "2026-03-10T14:30:00Z", r#"{"n":1.50}"#, "standard-webhooks:msg_1"];
    assert_eq!(read_standard, expected);
    let read_bare = read(&webhook::<StandardWebhooks>(), r#"{"test":1}"#, &options);
    assert_eq!(read_bare, ["", "Absent", "msg_1", "none", "null", "standard-webhooks:msg_1"]);

    let body = r#"{"id":"evt_1","type":"charge.failed","created":1614265330,"data":{"object":{}}}"#;
    let expected = ["charge.failed", "Signed", "evt_1", "1614265330", r#"{"object":{}}"#, "stripe:evt_1"];
    assert_eq!(read(&webhook::<Stripe>(), body, &options), expected);

    let body = r#" {"ref":"main"} "#;
    let key = sha256(b"push\0 {\"ref\":\"main\"} ");
    let expected = ["push", "Unsigned", "none", "none", r#"{"ref":"main"}"#];
    assert_eq!(read(&webhook::<GitHub>(), body, &options)[..5], expected);
    assert_eq!(read(&webhook::<GitHub>(), body, &options)[5], format!("github:sha256:{key}"));
    assert_eq!(read(&webhook::<Shopify>(), body, &options)[..5], expected);
    assert_eq!(read(&webhook::<Shopify>(), body, &options)[5], format!("shopify:sha256:{key}"));
    let other = read(&webhook::<Shopify>(), body, &SigningOptions::new().with_event("orders/paid"));
    assert_ne!(other[5], format!("shopify:sha256:{key}"), "two topics may carry the same bytes");

    for body in ["token=a&text=", "", "[1]", "\u{0}", "{\"type\":\"event_callback\"}"] {
        let expected =
            ["", "Absent", "none", "none", "null", &format!("slack:sha256:{}", sha256(body.as_bytes()))];
        assert_eq!(read(&webhook::<Slack>(), body, &options), expected);
    }

    let body = r#"{"event":"meeting.started","event_ts":1626230691572,"payload":{"id":1}}"#;
    let key = format!("zoom:sha256:{}", sha256(body.as_bytes()));
    let expected = ["meeting.started", "Signed", "none", "1626230691572", r#"{"id":1}"#, &key];
    assert_eq!(read(&webhook::<Zoom>(), body, &options), expected);

    let body = r#"{"event_id":"evt_1","event_type":"a","occurred_at":"2026-03-10T14:30:00Z","data":[]}"#;
    let expected = ["a", "Signed", "evt_1", "2026-03-10T14:30:00Z", "[]", "paddle:evt_1"];
    assert_eq!(read(&webhook::<Paddle>(), body, &options), expected);

    let body = r#"{"action":"create","type":"Issue","data":{},"webhookTimestamp":1676056940508}"#;
    let key = format!("linear:sha256:{}", sha256(body.as_bytes()));
    assert_eq!(
        read(&webhook::<Linear>(), body, &options),
        ["Issue", "Signed", "none", "1676056940508", "{}", &key]
    );

    let body = r#"{"type":"a","event_id":"e_1","created_at":"2026-03-10T14:30:00Z","data":{}}"#;
    let square = <Square>::new("https://example.org/{a}?b");
    let square = Webhook::for_provider(square, Secret::new(SECRET).unwrap()).unwrap();
    let expected = ["a", "Signed", "e_1", "2026-03-10T14:30:00Z", "{}", "square:e_1"];
    assert_eq!(read(&square, body, &options), expected);
    let elsewhere = <Square>::new("https://example.org/{a}?c");
    let elsewhere = Webhook::for_provider(elsewhere, Secret::new(SECRET).unwrap()).unwrap();
    let headers = square.signed_headers(body.as_bytes());
    assert_eq!(elsewhere.verify(&headers, body.as_bytes()).unwrap_err().code(), "signature_mismatch");
}

#[test]
fn two_senders_of_standard_webhooks_share_no_key() {
    let named = |name: &str| {
        let provider = <StandardWebhooks>::named(name.to_owned());
        Webhook::for_provider(provider, Secret::new(SECRET).unwrap())
    };
    let options = SigningOptions::new().with_id("msg_1");
    let keys = ["acme", "globex", "standard-webhooks"]
        .map(|name| read(&named(name).unwrap(), "{}", &options)[5].clone());
    assert_eq!(keys, ["acme:msg_1", "globex:msg_1", "standard-webhooks:msg_1"]);
    for name in ["", "Acme", "acme:eu", "a b", &"a".repeat(33)] {
        assert!(matches!(named(name), Err(SetupError::Scheme(error)) if error.part() == "name"), "{name}");
    }
}

#[test]
fn an_id_of_standard_webhooks_has_no_full_stop() {
    let webhook = webhook::<StandardWebhooks>();
    for (id, is_read) in [("msg_1", true), ("msg-1", true), ("msg.1", false), ("msg_1.", false), (".", false)]
    {
        let headers = webhook.signed_headers_with(b"{}", &SigningOptions::new().with_id(id));
        let code = webhook.verify(&headers, b"{}").map_or_else(|error| error.code(), |_| "accepted");
        assert_eq!(code, if is_read { "accepted" } else { "malformed_signature" }, "{id}");
    }
}

#[test]
fn a_name_that_is_not_signed_must_be_one_name() {
    let webhook = webhook::<GitHub>();
    let signature = webhook.sign(b"{}");
    let long = "n".repeat(256);
    for (names, expected) in [
        (&[&b"push"[..]][..], "accepted"),
        (&[], "missing_event_header"),
        (&[b""], "missing_event_header"),
        (&[b"push", b"push"], "duplicate_event_header"),
        (&[b"pu\0sh"], "missing_event_header"),
        (&[b"\xff"], "missing_event_header"),
        (&[long.as_bytes()], "missing_event_header"),
        (&[&long.as_bytes()[1..]], "accepted"),
    ] {
        let mut headers = vec![("x-hub-signature-256", signature.as_bytes())];
        headers.extend(names.iter().map(|name| ("x-github-event", *name)));
        let code = webhook.verify(&headers, b"{}").map_or_else(|error| error.code(), |_| "accepted");
        assert_eq!(code, expected, "{names:?}");
    }
}

#[test]
fn a_numeric_time_is_one_of_seconds_or_milliseconds() {
    let webhook = webhook::<Linear>();
    let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    for (time, expected) in [
        ("1676056940", at(1_676_056_940)),
        ("1676056940000", at(1_676_056_940)),
        ("\"2023-02-10T19:22:20Z\"", at(1_676_056_940)),
        ("0", at(0)),
        ("99999999999", at(99_999_999_999)),
        ("100000000000", at(100_000_000)),
        ("18446744073709551616", None),
        ("1676056940.5", None),
        ("-1", None),
        ("1e9", None),
        ("\"1676056940\"", None),
        ("null", None),
    ] {
        let body = format!(r#"{{"type":"Issue","webhookTimestamp":{time}}}"#);
        let headers = webhook.signed_headers(body.as_bytes());
        let delivery = webhook.verify(&headers, body.as_bytes()).unwrap();
        assert_eq!(delivery.timestamp(), expected, "{time}");
        let recent = webhook
            .clone()
            .with_max_age(Duration::ZERO)
            .with_clock(move || expected.unwrap_or(SystemTime::UNIX_EPOCH));
        assert_eq!(recent.verify(&headers, body.as_bytes()).is_ok(), expected.is_some(), "{time}");
    }
    for time in ["true", "[]", "{}", "\"\\ud800\""] {
        let body = format!(r#"{{"type":"Issue","webhookTimestamp":{time}}}"#);
        let headers = webhook.signed_headers(body.as_bytes());
        assert_eq!(
            webhook.verify(&headers, body.as_bytes()).unwrap_err().code(),
            "malformed_payload",
            "{time}"
        );
    }
}

#[test]
fn a_challenge_is_answered_only_as_the_provider_sends_it() {
    let slack = webhook::<Slack>();
    let zoom = webhook::<Zoom>();
    let answer = |body: &str| {
        let headers = slack.signed_headers(body.as_bytes());
        slack.verify(&headers, body.as_bytes()).unwrap().challenge_response().map(str::to_owned)
    };
    let challenge = |token: &str| format!(r#"{{"type":"url_verification","challenge":"{token}"}}"#);
    assert_eq!(answer(&challenge("3eZ_-")).as_deref(), Some(r#"{"challenge":"3eZ_-"}"#));
    let escaped = challenge("3eZ_-").replace("url_", "url\\u005f");
    assert_eq!(answer(&escaped).as_deref(), Some(r#"{"challenge":"3eZ_-"}"#));
    for token in ["", "a b", "<script>", "a\\u0022", "é", "v0:1614265330:", &"a".repeat(129)] {
        assert_eq!(answer(&challenge(token)), None, "{token}");
    }
    for body in ["", "{}", "[]", r#"{"type":"event_callback","challenge":"a"}"#, r#"{"challenge":"a"}"#] {
        assert_eq!(answer(body), None, "{body}");
    }

    let body = r#"{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"}}"#;
    let headers = zoom.signed_headers(body.as_bytes());
    let delivery = zoom.verify(&headers, body.as_bytes()).unwrap();
    let mac = Signature::sign(&Secret::new(SECRET).unwrap(), b"qgg8vlvZRS6UYooatFL8Aw").to_string();
    let mac = mac.trim_start_matches("sha256=");
    let expected = format!(r#"{{"plainToken":"qgg8vlvZRS6UYooatFL8Aw","encryptedToken":"{mac}"}}"#);
    assert_eq!(delivery.into_owned().clone().challenge_response(), Some(&*expected));
    // What an attacker would want signed has a colon.
    let body = r#"{"event":"endpoint.url_validation","payload":{"plainToken":"v0:1614265330:{}"}}"#;
    let headers = zoom.signed_headers(body.as_bytes());
    assert_eq!(zoom.verify(&headers, body.as_bytes()).unwrap().challenge_response(), None);
    let no_challenge = webhook::<GitHub>();
    let delivery = no_challenge.signed_headers(b"{}");
    assert_eq!(no_challenge.verify(&delivery, b"{}").unwrap().challenge_response(), None);
}

#[test]
fn a_secret_in_another_encoding_is_an_error_at_the_start() {
    for (secret, expected) in [
        (SECRET, None),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", None),
        ("whsec_AAECAwQFBgcICQoLDA0ODw==", None),
        ("whsec_AAECAwQFBgcICQoLDA0ODw", None),
        ("whsec_AAECAwQFBgcICQoLDA0ODx==", Some("secret_encoding")),
        ("whsec_not base64 at all", Some("secret_encoding")),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa-_", Some("secret_encoding")),
        ("whsec_AAECAwQFBgcICQoLDA0O", Some("secret_too_short")),
        ("whsec_AAAAAAAAAAAAAAAAAAAAAA==", Some("secret_placeholder")),
    ] {
        let webhook = match Secret::new(secret) {
            Ok(secret) => Webhook::<StandardWebhooks>::new(secret),
            Err(error) => Err(error.into()),
        };
        let code = match webhook {
            Ok(_) => None,
            Err(SetupError::Secret(error)) => {
                assert!(
                    !error.to_string().contains(&secret[6..]) && !format!("{error:?}").contains(&secret[6..])
                );
                Some(error.code())
            }
            Err(other) => panic!("{other}"),
        };
        assert_eq!(code, expected, "{secret}");
    }
    let labelled = Secret::new("whsec_not base64 at all").unwrap().with_label("2026-03");
    assert_eq!(
        Webhook::<StandardWebhooks>::new(labelled).unwrap_err().to_string(),
        "the secret labelled `2026-03` is not in base64, with or without `whsec_`, as the provider's scheme expects",
    );
    let short = |secret: Secret| Webhook::<StandardWebhooks>::new(secret).unwrap_err().to_string();
    let secret = || Secret::new("whsec_AAECAwQFBgcICQoLDA0O").unwrap();
    assert_eq!(short(secret()), "the key decoded from the secret is shorter than 16 bytes");
    assert_eq!(
        short(secret().with_label("2026-03")),
        "the key decoded from the secret labelled `2026-03` is shorter than 16 bytes"
    );
    let zeros = Secret::dangerously_allow_short("whsec_AAAA").unwrap().with_label("2026-03");
    assert_eq!(
        short(zeros),
        "the secret labelled `2026-03` is a placeholder, not one that a provider issued"
    );
    // A binary key is never decoded.
    let key = Secret::from_bytes(*b"a binary key of some length").unwrap();
    let binary = Webhook::<StandardWebhooks>::new(key).unwrap();
    let spelt = Secret::new("whsec_YSBiaW5hcnkga2V5IG9mIHNvbWUgbGVuZ3Ro").unwrap();
    let text = Webhook::<StandardWebhooks>::new(spelt).unwrap();
    let headers = binary.signed_headers(b"{}");
    assert!(text.verify(&headers, b"{}").is_ok());
}

#[test]
fn data_is_read_as_any_type() {
    #[derive(serde::Deserialize)]
    struct Push {
        r#ref: String,
    }

    let webhook = webhook::<GitHub>();
    let body = br#"{"ref":"refs/heads/main"}"#;
    let headers = webhook.signed_headers_with(body, &SigningOptions::new().with_event("push"));
    let delivery = webhook.verify(&headers, body).unwrap();
    assert_eq!(delivery.data_as::<Push>().unwrap().r#ref, "refs/heads/main");
    let error = delivery.data_as::<Vec<u8>>().unwrap_err();
    assert_eq!((error.code(), delivery.event_name_source()), ("invalid_event", EventNameSource::Unsigned));
    assert!(error.to_string().contains("`push`"));
}

#[test]
fn the_time_of_the_signature_is_told_where_the_scheme_has_one() {
    fn signed_at<P: Provider + Default>() -> Option<u64> {
        let webhook =
            webhook::<P>().with_clock(|| SystemTime::UNIX_EPOCH + Duration::from_secs(1_614_265_400));
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_614_265_330);
        let body = br#"{"type":"a","id":"1"}"#;
        let options = SigningOptions::new().with_time(time).with_event("a");
        let headers = webhook.signed_headers_with(body, &options);
        let delivery = webhook.verify(&headers, body).unwrap().into_owned();
        delivery.signed_at().map(|time| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs())
    }
    assert_eq!([signed_at::<Stripe>(), signed_at::<StandardWebhooks>()], [Some(1_614_265_330); 2]);
    assert_eq!(signed_at::<GitHub>(), None);
}

/// A provider whose challenge is answered with a MAC, and whose body is opaque or not.
struct Asking<const IS_OPAQUE: bool>;

impl<const IS_OPAQUE: bool> Provider for Asking<IS_OPAQUE> {
    type Event = UnknownEvent;
    const NAME: &'static str = "asking";
    const SCHEME: Scheme<'static> = Scheme::new("x-s");
    const ENVELOPE: Envelope<'static> = if IS_OPAQUE { Envelope::opaque() } else { Envelope::new() };
    const CHALLENGE: Option<Challenge> = Some(Challenge::mac(("event", "validate"), &["token"]));
}

/// Otherwise the answer would be the signature of a body that is the token.
#[test]
fn no_mac_of_a_token_is_made_where_a_body_may_be_anything() {
    fn answer<P: Provider>(provider: P) -> Option<String> {
        let secret = Secret::new("a-secret-for-the-tests").unwrap();
        let webhook = Webhook::for_provider(provider, secret).unwrap();
        let body = br#"{"event":"validate","token":"qgg8vlvZRS6UYooatFL8Aw"}"#;
        let delivery = webhook.verify(&webhook.signed_headers(body), body).unwrap();
        delivery.challenge_response().map(str::to_owned)
    }
    assert!(answer(Asking::<false>).is_some());
    assert_eq!(answer(Asking::<true>), None);
}
