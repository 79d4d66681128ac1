//! A declaration that makes no sense is an error that names the member.

use countersign::provider::DeclaredProvider;
use countersign::{Envelope, Provider, Scheme, Secret, SetupError, TimeUnit, UnknownEvent, Webhook};

fn refusal(json: &str) -> String {
    serde_json::from_str::<DeclaredProvider>(json)
        .map(|_| "accepted".to_owned())
        .unwrap_or_else(|error| error.to_string())
}

/// A declaration with these members beside its name and its signature.
fn with(members: &str) -> String {
    refusal(&format!(r#"{{"name":"a","signature":{{"header":"x-s"}}{members}}}"#))
}

fn with_signature(signature: &str) -> String {
    refusal(&format!(r#"{{"name":"a","signature":{signature}}}"#))
}

#[test]
fn what_makes_no_sense_is_named() {
    let time = r#","signed":"{timestamp}.{body}","timestamp":"#;
    let cases = [
        (refusal("{}"), "`name`"),
        (refusal("[]"), "an object"),
        (refusal(r#"["a",null,null,{"header":"x-s"}]"#), "an object"),
        (refusal(r#"{"name":"a"}"#), "`signature`"),
        (refusal(r#"{"name":"A","signature":{"header":"x-s"}}"#), "`name`"),
        (refusal(r#"{"name":"a","name":"b","signature":{"header":"x-s"}}"#), "`name`"),
        (with(r#","algorithm":"md5""#), "`md5`"),
        (with(r#","secret":"raw""#), "`raw`"),
        (with(r#","sceret":"hex""#), "`sceret`"),
        (with(r#","signed":"""#), "`signed`"),
        (with(r#","signed":"{bdy}""#), "`signed`"),
        (with(r#","signed":"{timestamp}.{body}""#), "`timestamp`"),
        (with(r#","signed":"{header:x-a}{header:x-b}.{body}""#), "`signed`"),
        (with(r#","signed":"{header:x-a}{body}","event":null"#), "`signed`"),
        (with(r#","signed":"{header:x a}.{body}""#), "`signed`"),
        (with(r#","signed":"{header:X-S}.{body}""#), "`signed`"),
        (with(r#","timestamp":{"header":"x-t"}"#), "`signed`"),
        (with(&format!(r#"{time}{{}}"#)), "`timestamp`"),
        (with(&format!(r#"{time}{{"header":"x-t","field":"t"}}"#)), "`timestamp`"),
        (with(&format!(r#"{time}{{"field":"t"}}"#)), "`timestamp.field`"),
        (with(&format!(r#"{time}{{"header":"x t"}}"#)), "`timestamp.header`"),
        (with(&format!(r#"{time}{{"header":"x-s"}}"#)), "`timestamp.header`"),
        (with(&format!(r#"{time}{{"header":"x-t","unit":"us"}}"#)), "`us`"),
        (with(&format!(r#"{time}{{"header":"x-t","tolerance_s":-1}}"#)), "-1"),
        (with(&format!(r#"{time}{{"header":"x-t","tolerance":1}}"#)), "`tolerance`"),
        (with(&format!(r#"{time}["x-t",null,"s",1]"#)), "an object"),
        (with_signature("[\"x-s\"]"), "an object"),
        (with_signature(r#"{"header":[]}"#), "`signature.header`"),
        (with_signature(r#"{"header":["x-s","X-S"]}"#), "`signature.header`"),
        (with_signature(r#"{"header":"x s"}"#), "`signature.header`"),
        (with_signature(r#"{"header":""}"#), "`signature.header`"),
        (with_signature(r#"{"header":7}"#), "a header's name"),
        (with_signature(r#"{"header":"x-s","encoding":"HEX"}"#), "`HEX`"),
        (with_signature(r#"{"header":"x-s","prefix":"a\n"}"#), "`signature.prefix`"),
        (with_signature(r#"{"header":"x-s","prefix":"a","separator":",","each":""}"#), "`signature.prefix`"),
        (with_signature(r#"{"header":"x-s","separator":","}"#), "`signature.separator`"),
        (with_signature(r#"{"header":"x-s","each":"v1,"}"#), "`signature.separator`"),
        (with_signature(r#"{"header":"x-s","separator":",","each":"v1,"}"#), "`signature.each`"),
        (with_signature(r#"{"header":"x-s","separator":",","field":"v=1"}"#), "`signature.field`"),
        (with_signature(r#"{"header":"x-s","separator":",","field":""}"#), "`signature.field`"),
        (with_signature(r#"{"header":"x-s","separator":"a","each":""}"#), "`signature.separator`"),
        (with_signature(r#"{"header":"x-s","separator":", ","each":""}"#), "character"),
        (with_signature(r#"{"header":"x-s","separator":"é","each":""}"#), "`signature.separator`"),
        (
            with_signature(r#"{"header":"x-s","separator":"/","each":"","encoding":"base64"}"#),
            "`signature.separator`",
        ),
        (with_signature(r#"{"header":"x-s","separator":",","each":"a","field":"b"}"#), "`signature.field`"),
        (with(r#","event":[]"#), "an object"),
        (with(r#","event":{"nmae":"type"}"#), "`nmae`"),
        (with(r#","event":{"name":7}"#), "a member's name"),
        (with(r#","event":{"name":{"header":"x e"}}"#), "`event.name`"),
        (with(r#","event":{"name":{"headers":"x-e"}}"#), "`headers`"),
        (with(r#","event":{"name":{"header":"x-e","header":"x-f"}}"#), "`header`"),
        (with(r#","event":{"name":"id"}"#), "`event.id`"),
        (with(r#","event":{"id":{"header":"x-id"}}"#), "`event.id`"),
        (with(r#","event":{"timestamp":{"header":"x-t"}}"#), "`event.timestamp`"),
        (with(r#","event":{"data":{"header":"x-d"}}"#), "`event.data`"),
        (with(r#","event":{"timestamp":"data"}"#), "`event.timestamp`"),
    ];
    for (refusal, named) in cases {
        assert!(refusal.contains(named), "{refusal:?} does not name {named}");
    }
}

#[test]
fn what_makes_sense_is_accepted() {
    for json in [
        with(""),
        with(r#","event":null"#),
        with(r#","event":{}"#),
        with(r#","event":{"name":null,"id":null,"timestamp":null,"data":null}"#),
        with(r#","signed":"{header:X-Id}.{body}","event":{"id":{"header":"x-ID"}}"#),
        with(r#","signed":"{{{header:X-Id}{{{body}""#),
        with(r#","timestamp":null"#),
        with_signature(r#"{"header":["x-s","X-T"],"separator":"/","each":"","encoding":"hex"}"#),
        with_signature(r#"{"header":"x-s","prefix":null}"#),
    ] {
        assert_eq!(json, "accepted");
    }
}

/// A provider of a program whose settings decide its scheme.
struct Chosen(&'static str);

impl Provider for Chosen {
    type Event = UnknownEvent;
    const NAME: &'static str = "chosen";
    const SCHEME: Scheme<'static> = Scheme::new("x-s");

    fn scheme(&self) -> Scheme<'_> {
        Scheme::new("x-s").signed(self.0).time_header("x-t", TimeUnit::Seconds)
    }

    fn envelope(&self) -> Envelope<'_> {
        Envelope::opaque()
    }
}

#[test]
fn a_scheme_of_settings_is_checked_when_the_webhook_is_made() {
    let made =
        |template| Webhook::for_provider(Chosen(template), Secret::new("a-secret-for-the-tests").unwrap());
    assert!(made("{timestamp}{body}").is_ok());
    for template in ["{body}", "{header:x-id}{timestamp}{body}", "{timestamp}"] {
        let Err(SetupError::Scheme(error)) = made(template) else { panic!("{template}") };
        assert_eq!(error.part(), "signed", "{error}");
    }
}

#[test]
fn a_rows_name_is_in_its_keys_and_nothing_of_it_is_shown() {
    let json = r#"{"name":"acme","signature":{"header":"x-s"},"signed":"https://u:pw@example.org{body}"}"#;
    let provider: DeclaredProvider = serde_json::from_str(json).unwrap();
    assert_eq!(format!("{provider:?}"), r#"DeclaredProvider { name: "acme", .. }"#);
    let webhook = Webhook::for_provider(provider, Secret::new("a-secret-for-the-tests").unwrap()).unwrap();
    let body = br#"{"event":"a","id":"1"}"#;
    let delivery = webhook.verify(&webhook.signed_headers(body), body).unwrap().into_owned();
    assert_eq!(delivery.idempotency_key().as_str(), "acme:1");
    assert!(format!("{webhook:?} {delivery:?}").contains("acme"));
    assert!(!format!("{webhook:?} {delivery:?}").contains("pw"));
}
