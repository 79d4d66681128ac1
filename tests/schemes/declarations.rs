//! Declarations: what they may say, what each of them means, and what they leave out.

use countersign::provider::{DeclaredProvider, Square};
use countersign::{
    Envelope, Headers, Provider, Scheme, Secret, SetupError, SigningOptions, TimeUnit, UnknownEvent, Webhook,
};

use super::{Set, declared, refusal, with, with_signature, wrong_part};

#[test]
fn no_separator_occurs_in_a_time_between_separators() {
    let declared = |separator: char, unit: &str, time: &str| {
        let signature = format!(r#"{{"header":"x-s","separator":"{separator}","field":"v1"}}"#);
        let time = format!(r#"{{{time},"unit":"{unit}"}}"#);
        refusal(&format!(
            r#"{{"name":"a","signature":{signature},"signed":"{{timestamp}}.{{body}}","timestamp":{time}}}"#
        ))
    };
    let field = r#""field":"t""#;
    for separator in ['-', ':', '.', '+'] {
        let refusal = declared(separator, "rfc3339", field);
        assert!(refusal.starts_with("`signature.separator`: the time contains it"), "{separator} {refusal}");
        for (unit, time) in [("s", field), ("ms", field), ("rfc3339", r#""header":"x-t""#)] {
            assert_eq!(declared(separator, unit, time), "accepted", "{separator} {unit}");
        }
    }
    for separator in [',', ';', '|', ' '] {
        assert_eq!(declared(separator, "rfc3339", field), "accepted", "{separator}");
    }
}

#[test]
fn what_makes_sense_is_accepted() {
    for json in [
        with(""),
        with(r#","event":null"#),
        with(r#","event":{}"#),
        with(r#","event":{"name":null,"id":null,"timestamp":null,"data":null}"#),
        with(r#","signed":"{header:X-ID}.{body}","event":{"id":{"header":"x-ID"}}"#),
        with(r#","signed":"{{{header:X-Id}{{{body}""#),
        with(r#","timestamp":null"#),
        with_signature(r#"{"header":["x-s","X-T"],"separator":"/","each":"","encoding":"hex"}"#),
        with_signature(r#"{"header":"x-s","prefix":null}"#),
    ] {
        assert_eq!(json, "accepted");
    }
}

#[test]
fn a_confirming_header_outlives_a_change_of_the_member_and_needs_one() {
    const SCHEME: Scheme<'static> = Scheme::new("x-s");
    let new = || Envelope::new().with_confirming_header("x-e");
    for envelope in [
        new(),
        new().with_name("type"),
        new().with_optional_name("type"),
        Envelope::new().with_name("type").with_confirming_header("x-e"),
    ] {
        assert_eq!(envelope.header(), Some("x-e"));
        let provider = Set(SCHEME, envelope);
        let webhook =
            Webhook::for_provider(provider, Secret::new("a-secret-for-the-tests").unwrap()).unwrap();
        let body = br#"{"event":"a","type":"a"}"#;
        let signature = webhook.sign(body);
        for (header, expected) in [("a", "accepted"), ("b", "event_mismatch"), ("", "event_mismatch")] {
            let headers = [("x-s", &*signature), ("x-e", header)];
            let code = webhook.verify(&headers, body).map_or_else(|error| error.code(), |_| "accepted");
            assert_eq!(code, expected, "{envelope:?}");
        }
        let code = webhook.verify(&[("x-s", &*signature)], body).unwrap_err().code();
        assert_eq!(code, "missing_event_header", "{envelope:?}");
    }
    for envelope in [
        new().without_name(),
        new().with_name_header("x-f"),
        Envelope::new().with_name_header("x-f").with_confirming_header("x-e"),
        Envelope::opaque().with_confirming_header("x-e"),
    ] {
        assert_eq!(wrong_part(Set(SCHEME, envelope)), Some("event.name"), "{envelope:?}");
    }
}

#[test]
fn each_member_of_an_envelope_is_one_of_its_own_and_an_opaque_body_has_none() {
    const SCHEME: Scheme<'static> = Scheme::new("x-s");
    let opaque = Envelope::opaque;
    for envelope in [
        opaque().with_name("a"),
        opaque().with_optional_name("a"),
        opaque().with_id("a"),
        opaque().with_time("a"),
        opaque().with_data("a"),
    ] {
        assert_eq!(wrong_part(Set(SCHEME, envelope)), Some("event"), "{envelope:?}");
    }
    assert_eq!(wrong_part(Set(SCHEME, opaque().with_name_header("x-e"))), None);
    let of = |[name, id, time, data]: [&'static str; 4]| {
        Set(SCHEME, Envelope::new().with_name(name).with_id(id).with_time(time).with_data(data))
    };
    for (members, part) in [
        (["a", "b", "c", "d"], None),
        (["a", "a", "c", "d"], Some("event.id")),
        (["a", "b", "b", "d"], Some("event.id")),
        (["a", "b", "c", "b"], Some("event.id")),
        (["a", "b", "a", "d"], Some("event.name")),
        (["a", "b", "c", "a"], Some("event.name")),
        (["a", "b", "c", "c"], Some("event.timestamp")),
    ] {
        assert_eq!(wrong_part(of(members)), part, "{members:?}");
    }
}

#[test]
fn a_schemes_debug_leaves_out_its_template() {
    let shown = format!("{:?}", Scheme::new("x-s").with_template("https://u:pw@example.org{body}"));
    assert_eq!(shown, r#"Scheme { signature_headers: ["x-s"], algorithm: HmacSha256, .. }"#);
    assert!(format!("{:?}", Scheme::new("x-s").with_headers(&[])).contains("[]"));
}

#[test]
fn a_url_of_squares_is_not_empty_and_may_have_any_braces() {
    for none in ["", " ", "https://", "http://", "example.org/in", " https://example.org/in", "https://a b"] {
        assert_eq!(wrong_part(<Square>::new(none)), Some("signed"), "{none:?}");
    }
    assert_eq!(format!("{:?}", <Square>::new("https://example.org/in?token=a")), "Square { .. }");
    let braces = "https://example.org/?".to_owned() + &"{a}".repeat(20) + &"{".repeat(20);
    assert_eq!(wrong_part(<Square>::new(&braces)), None);
}

/// A provider of a program whose settings decide its scheme.
struct Chosen(&'static str);

impl Provider for Chosen {
    type Event = UnknownEvent;
    const NAME: &'static str = "chosen";
    const SCHEME: Scheme<'static> = Scheme::new("x-s");

    fn scheme(&self) -> Scheme<'_> {
        Scheme::new("x-s").with_template(self.0).with_time_header("x-t", TimeUnit::Seconds)
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

/// Before the body a value ends at the literal after it, and behind the body it begins at the literal before it.
#[test]
fn a_value_may_hold_the_literal_that_does_not_bound_it() {
    let accepts = |template: &str, id: &str| {
        let row = format!(
            r#"{{"name":"a","signature":{{"header":"x-s"}},"signed":"{template}","timestamp":{{"header":"x-t"}}}}"#
        );
        let webhook = declared(&row);
        let body = br#"{"event":"a","id":"1"}"#;
        webhook.verify(&webhook.signed_headers_with(body, &SigningOptions::new().with_id(id)), body).is_ok()
    };
    for (template, id, is_accepted) in [
        ("{timestamp}#{header:x-id}.{body}", "a#b", true),
        ("{timestamp}#{header:x-id}.{body}", "a.b", false),
        ("{timestamp}{body}#{header:x-id}.", "a#b", false),
        ("{timestamp}{body}#{header:x-id}.", "a.b", true),
        ("{body}{timestamp}{header:x-id}.", "a.b", true),
        ("{body}{timestamp}{header:x-id}.", "", false),
        // As many parts as there can be.
        (".{header:x-a}.{header:x-b}.{timestamp}.{body}.{header:x-c}.{header:x-d}.", "ab", true),
    ] {
        assert_eq!(accepts(template, id), is_accepted, "{template} {id}");
    }
}

#[test]
fn what_a_row_leaves_out_has_its_usual_name_and_what_is_null_stands_nowhere() {
    let read = |event: &str| {
        let row = format!(r#"{{"name":"a","signature":{{"header":"x-s"}}{event}}}"#);
        let webhook = declared(&row);
        let body = br#"{"event":"e","id":"i","timestamp":"t","data":"d"}"#;
        let delivery = webhook.verify(&webhook.signed_headers(body), body).unwrap().into_owned();
        [
            delivery.event_name(),
            delivery.id().unwrap_or("-"),
            delivery.timestamp_text().unwrap_or("-"),
            delivery.data(),
        ]
        .map(ToOwned::to_owned)
    };
    let usual = ["e", "i", "t", r#""d""#];
    assert_eq!([read(""), read(r#","event":{}"#)], [usual, usual]);
    assert_eq!(read(r#","event":{"name":null}"#), ["", "i", "t", r#""d""#]);
    assert_eq!(read(r#","event":{"id":null}"#), ["e", "-", "t", r#""d""#]);
    assert_eq!(read(r#","event":{"timestamp":null}"#), ["e", "i", "-", r#""d""#]);
    let whole = r#"{"event":"e","id":"i","timestamp":"t","data":"d"}"#;
    assert_eq!(read(r#","event":{"data":null}"#), ["e", "i", "t", whole]);
}

#[test]
fn a_rows_name_is_in_its_keys_and_nothing_of_it_is_shown() {
    let json = r#"{"name":"acme","signature":{"header":"x-s"},"signed":"https://u:pw@example.org{body}"}"#;
    let provider: DeclaredProvider = serde_json::from_str(json).unwrap();
    assert_eq!(format!("{provider:?}"), r#"DeclaredProvider { name: "acme", .. }"#);
    let webhook = declared(json);
    let body = br#"{"event":"a","id":"1"}"#;
    let delivery = webhook.verify(&webhook.signed_headers(body), body).unwrap().into_owned();
    assert_eq!(delivery.idempotency_key().as_str(), "acme:1");
    let (headers, scheme) = (webhook.signed_headers(body), Scheme::new("x-s"));
    let by_reference: &dyn Headers = &&headers;
    assert!(webhook.verify(by_reference, body).is_ok());
    assert_eq!(scheme.signature_header(), webhook.signature_header());
    assert!(format!("{webhook:?} {delivery:?}").contains("acme"));
    assert!(!format!("{webhook:?} {delivery:?}").contains("pw"));
}
