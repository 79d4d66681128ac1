//! Typed events: what is required, what is optional, and that nothing is lost.

use std::collections::BTreeMap;

use crate::common::{NOWTOPRINT, QUOTE3D, THREEQPR, signed, webhook};
use countersign::provider::{NowToPrint, Quote3d, Stripe, ThreeQpr, nowtoprint, quote3d, threeqpr};
use countersign::{Error, Event, EventData, Provider};
use serde::Deserialize;
use serde::de::IntoDeserializer as _;
use serde_json::{Value, json};

/// The event of a body with this name and data, by way of a signed delivery.
fn event<P: Provider + Default>(name: &str, data: &str) -> Result<P::Event, Error> {
    let webhook = webhook::<P>();
    let body = format!(r#"{{"event":"{name}","data":{data}}}"#);
    webhook.verify(&signed(&webhook, body.as_bytes()), body.as_bytes()).unwrap().event()
}

/// The data of a documented body.
fn data(body: &str) -> Value {
    serde_json::from_str::<Value>(body).unwrap()["data"].take()
}

/// Every known event of every provider: its reader, its name and its variant.
const KNOWN: [(fn(&str, &str) -> Result<Read, Error>, &str, &str); 16] = [
    (read::<Quote3d>, "quote.completed", "QuoteCompleted"),
    (read::<Quote3d>, "quote.failed", "QuoteFailed"),
    (read::<Quote3d>, "file.uploaded", "FileUploaded"),
    (read::<Quote3d>, "file.deleted", "FileDeleted"),
    (read::<Quote3d>, "job.status_changed", "JobStatusChanged"),
    (read::<Quote3d>, "widget.added_to_cart", "WidgetAddedToCart"),
    (read::<NowToPrint>, "quote.received", "QuoteReceived"),
    (read::<NowToPrint>, "quote.updated", "QuoteUpdated"),
    (read::<NowToPrint>, "order.created", "OrderCreated"),
    (read::<NowToPrint>, "order.confirmed", "OrderConfirmed"),
    (read::<NowToPrint>, "order.shipped", "OrderShipped"),
    (read::<ThreeQpr>, "scan.created", "ScanCreated"),
    (read::<ThreeQpr>, "conversation.completed", "ConversationCompleted"),
    (read::<ThreeQpr>, "qpr_code.created", "QprCodeCreated"),
    (read::<ThreeQpr>, "subscription.upgraded", "SubscriptionUpgraded"),
    (read::<ThreeQpr>, "subscription.cancelled", "SubscriptionCancelled"),
];

/// An event without its type: its name, its variant, and what it is written as.
struct Read {
    name: String,
    variant: &'static str,
    text: String,
    value: Value,
}

/// Reads an event, and reads it back from what it is written as, from text and from a `Value`.
fn read<P: Provider + Default>(name: &str, data: &str) -> Result<Read, Error> {
    let event = event::<P>(name, data)?;
    let text = serde_json::to_string(&event).unwrap();
    let value = serde_json::to_value(&event).unwrap();
    for back in [serde_json::from_str::<P::Event>(&text), serde_json::from_value(value.clone())] {
        let back = back.unwrap();
        assert_eq!((back.name(), back.variant()), (event.name(), event.variant()));
        assert_eq!(serde_json::to_value(&back).unwrap(), value);
    }
    assert_eq!(serde_json::to_string(&serde_json::from_str::<P::Event>(&text).unwrap()).unwrap(), text);
    Ok(Read { name: event.name().to_owned(), variant: event.variant(), text, value })
}

/// Is the event required to have documented data?
fn is_documented(name: &str) -> bool {
    matches!(name, "quote.completed" | "quote.received")
}

#[test]
fn the_names_of_the_known_events_are_listed_as_the_pages_name_them() {
    use countersign::provider::{nowtoprint, quote3d, threeqpr};

    let quote3d_names = [
        "quote.completed",
        "quote.failed",
        "file.uploaded",
        "file.deleted",
        "job.status_changed",
        "widget.added_to_cart",
    ];
    assert_eq!(quote3d::Event::NAMES, quote3d_names);
    let nowtoprint_names =
        ["quote.received", "quote.updated", "order.created", "order.confirmed", "order.shipped"];
    assert_eq!(nowtoprint::Event::NAMES, nowtoprint_names);
    let threeqpr_names = [
        "scan.created",
        "conversation.completed",
        "qpr_code.created",
        "subscription.upgraded",
        "subscription.cancelled",
    ];
    assert_eq!(threeqpr::Event::NAMES, threeqpr_names);
}

#[test]
fn every_event_has_its_variant_and_comes_back_as_it_came() {
    for (read, name, variant) in KNOWN {
        let data = match name {
            "quote.completed" => data(QUOTE3D),
            "quote.received" => data(NOWTOPRINT),
            "scan.created" => data(THREEQPR),
            _ => json!({"id": "x", "status": "COMPLETED", "totalPrice": 25.5, "nested": {"a": [1, null]}}),
        };
        let read = read(name, &data.to_string()).unwrap();
        assert_eq!((&*read.name, read.variant), (name, variant));
        assert_eq!(read.value, json!({"event": name, "data": data}));
    }
}

#[test]
fn an_event_of_another_provider_or_a_new_one_is_unknown_and_kept() {
    for name in ["order.created", "quote.completed.v2", "Quote.completed", "quote.completed ", "", "🦀"] {
        for data in
            ["null", "{}", "[1,[2]]", "\"text\"", "1e99999", "-0.0", r#"{"a":1,"a":2}"#, r#""\ud800""#]
        {
            let event = event::<Quote3d>(name, data).unwrap();
            let quote3d::Event::Unknown(unknown) = event else { panic!("{name} is known") };
            assert_eq!(unknown.data.as_str(), data);
            assert_eq!((unknown.name(), unknown.variant()), (name, "Unknown"));
            let text = serde_json::to_string(&quote3d::Event::Unknown(unknown)).unwrap();
            assert!(text.ends_with(&format!(r#""data":{data}}}"#)), "{text}");
        }
    }
    assert!(matches!(event::<ThreeQpr>("quote.completed", "{}").unwrap(), threeqpr::Event::Unknown(_)));
    assert!(matches!(event::<NowToPrint>("quote.completed", "{}").unwrap(), nowtoprint::Event::Unknown(_)));
}

#[test]
fn a_body_without_data_has_null_data() {
    let webhook = webhook::<Quote3d>();
    let body = br#"{"event":"file.deleted"}"#;
    let delivery = webhook.verify(&signed(&webhook, body), body).unwrap();
    assert_eq!(delivery.data(), "null");
    let quote3d::Event::FileDeleted(file) = delivery.event().unwrap() else { panic!() };
    assert_eq!((file.file_id, file.file_name), (None, None));
    assert_eq!(file.extra.as_whole().unwrap().as_str(), "null");
    assert!(!file.extra.is_empty());
}

#[test]
fn the_documented_quote_is_read_field_by_field() {
    let quote3d::Event::QuoteCompleted(quote) =
        event::<Quote3d>("quote.completed", &data(QUOTE3D).to_string()).unwrap()
    else {
        panic!()
    };
    assert_eq!(quote.job_id, "job_01HXYZ123456789");
    assert_eq!(quote.quote_id, "job_01HXYZ123456789");
    assert_eq!(quote.status.kind(), quote3d::StatusKind::Completed);
    assert_eq!(quote.file_name, "gearbox-housing.stl");
    assert_eq!(quote.file_id, "fl_987654321");
    assert_eq!(quote.processing_time_ms.parse(), Ok(22134));
    assert_eq!(quote.result.quote_id, "job_01HXYZ123456789");
    assert_eq!(quote.result.total_price.as_str(), "25.5");
    assert_eq!(quote.result.currency, "USD");
    assert_eq!(quote.result.estimated_time, "2h 15m");
    assert_eq!(quote.result.estimated_time_seconds.parse(), Ok(8100));
    assert_eq!(quote.result.filament_weight.as_str(), "42.8");
    assert_eq!(quote.result.print_info.technology, "FDM");
    assert_eq!(quote.result.print_info.material, "PLA");
    assert_eq!(quote.result.print_info.color, "Black");
    assert_eq!(quote.error, None);
    assert!(quote.extra.is_empty());
}

#[test]
fn the_api_scan_is_read_field_by_field() {
    let threeqpr::Event::ScanCreated(scan) =
        event::<ThreeQpr>("scan.created", &data(THREEQPR).to_string()).unwrap()
    else {
        panic!()
    };
    assert_eq!(scan.id.as_deref(), Some("scan_01HABC"));
    assert_eq!(scan.qpr_code_id.as_deref(), Some("qpr_01HXYZ789ABC"));
    assert_eq!(scan.short_id.as_deref(), Some("hc9m3r"));
    assert_eq!(scan.scanned_at.as_deref(), Some("2026-03-20T15:30:00Z"));
    assert_eq!(scan.country.as_deref(), Some("US"));
    assert_eq!(scan.region.as_deref(), Some("CA"));
    assert_eq!(scan.city.as_deref(), Some("San Francisco"));
    assert_eq!(scan.device.as_deref(), Some("mobile"));
    assert_eq!(scan.conversation_started, Some(true));
    assert_eq!(scan.conversation_messages.unwrap().parse(), Ok(6));
    assert_eq!(scan.metadata.unwrap().as_str(), "{}");
    assert!(scan.extra.is_empty());
}

/// Every path to a field of an object, nested ones included.
fn fields(value: &Value, path: &str, into: &mut Vec<String>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let path = format!("{path}/{name}");
        into.push(path.clone());
        fields(value, &path, into);
    }
}

fn remove(value: &mut Value, path: &str) {
    let (parent, name) = path.rsplit_once('/').unwrap();
    value.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
}

#[test]
fn every_documented_field_is_required_and_has_its_type() {
    for (read, name, data, count) in [
        (KNOWN[0].0, "quote.completed", data(QUOTE3D), 18),
        (KNOWN[6].0, "quote.received", data(NOWTOPRINT), 2),
    ] {
        let mut paths = Vec::new();
        fields(&data, "", &mut paths);
        assert_eq!(paths.len(), count);
        for path in paths {
            let mut lacking = data.clone();
            remove(&mut lacking, &path);
            let error = read(name, &lacking.to_string()).err().expect(&path);
            assert_eq!((error.code(), error.status()), ("invalid_event", 422));

            // `error` is documented as null, so nothing is known of its type.
            if path != "/error" {
                for wrong in [json!(null), json!([]), json!(true)] {
                    let mut mistyped = data.clone();
                    *mistyped.pointer_mut(&path).unwrap() = wrong;
                    let error = read(name, &mistyped.to_string()).err().expect(&path);
                    assert_eq!(error.code(), "invalid_event", "{path}");
                }
            }
        }
        for not_an_object in ["null", "[]", "\"\"", "7", "[[\"a\",\"b\"]]"] {
            assert_eq!(read(name, not_an_object).err().unwrap().code(), "invalid_event");
        }
    }
}

#[test]
fn fields_that_are_not_documented_are_kept_at_every_level() {
    let mut with_more = data(QUOTE3D);
    with_more["new"] = json!({"a": [1, {"b": null}]});
    with_more["result"]["new"] = json!("x");
    with_more["result"]["printInfo"]["new"] = json!(null);
    with_more["error"] = json!({"code": 7});
    with_more["status"] = json!("archived");
    let read = read::<Quote3d>("quote.completed", &with_more.to_string()).unwrap();
    assert_eq!(read.value["data"], with_more);

    let quote3d::Event::QuoteCompleted(quote) =
        event::<Quote3d>("quote.completed", &with_more.to_string()).unwrap()
    else {
        panic!()
    };
    assert_eq!(quote.extra.get("new").unwrap().as_str(), r#"{"a":[1,{"b":null}]}"#);
    assert!(!quote.extra.is_empty());
    assert_eq!(quote.result.extra.get("new").unwrap().as_str(), r#""x""#);
    assert_eq!(quote.result.print_info.extra.get("new").unwrap().as_str(), "null");
    assert_eq!(quote.error.unwrap().as_str(), r#"{"code":7}"#);
    assert_eq!(quote.status.kind(), quote3d::StatusKind::Unknown("archived"));
}

#[test]
fn an_optional_field_of_another_type_fails_nothing_and_is_kept() {
    let data =
        r#"{"quoteId":7,"totalPrice":"25.50","currency":null,"quantity":2,"weight":1.0,"filamentWeight":[]}"#;
    let quote3d::Event::WidgetAddedToCart(item) = event::<Quote3d>("widget.added_to_cart", data).unwrap()
    else {
        panic!()
    };
    assert_eq!((item.quote_id, item.total_price, item.currency), (None, None, None));
    assert_eq!(item.quantity.unwrap().parse(), Ok(2));
    assert_eq!(item.weight.unwrap().as_str(), "1.0");
    assert_eq!(item.extra.get("totalPrice").unwrap().as_str(), r#""25.50""#);
    assert_eq!(item.extra.get("currency").unwrap().as_str(), "null");
    let names: Vec<_> = item.extra.iter().map(|field| field.0).collect();
    assert_eq!(names, ["quoteId", "totalPrice", "currency", "filamentWeight"]);
}

#[test]
fn numbers_and_unknown_values_keep_their_very_text() {
    let text = QUOTE3D.replace("25.5", "25.50").replace("22134", "123456789012345678901234567890.0");
    let webhook = webhook::<Quote3d>();
    let delivery = webhook.verify(&signed(&webhook, text.as_bytes()), text.as_bytes()).unwrap();
    let written = serde_json::to_string(&delivery.event().unwrap()).unwrap();
    assert!(written.contains(r#""total_price":25.50,"#), "{written}");
    assert!(written.contains(r#""processingTimeMs":123456789012345678901234567890.0,"#), "{written}");

    for extra in ["1e99999", "-0", "0.10000000000000000000001", r#""\ud800""#, r#"{"a":1,"a":2}"#] {
        let read = read::<ThreeQpr>("scan.created", r#"{"id":"scan_1"}"#).unwrap();
        assert_eq!(read.text, r#"{"event":"scan.created","data":{"id":"scan_1"}}"#);
        let event = event::<ThreeQpr>("scan.created", &format!(r#"{{"x":{extra}}}"#)).unwrap();
        let written = serde_json::to_string(&event).unwrap();
        assert_eq!(written, format!(r#"{{"event":"scan.created","data":{{"x":{extra}}}}}"#));
    }
}

#[test]
fn a_declared_field_that_comes_twice_is_taken_for_neither_and_an_unknown_one_kept() {
    let twice = data(NOWTOPRINT).to_string().replace('{', r#"{"rfqId":"rfq_0","#);
    assert_eq!(event::<NowToPrint>("quote.received", &twice).unwrap_err().code(), "invalid_event");
    for data in [
        r#"{"totalPrice":1,"totalPrice":2}"#,
        r#"{"totalPrice":"1","totalPrice":2}"#,
        r#"{"totalPrice":1,"totalPric\u0065":null}"#,
        r#"{"totalPrice":1,"\ud800":2}"#,
    ] {
        // Undocumented data fails nothing: none is taken for the price, and all is kept.
        let event = event::<Quote3d>("widget.added_to_cart", data).unwrap();
        let quote3d::Event::WidgetAddedToCart(item) = &event else { panic!() };
        assert_eq!((&item.total_price, item.extra.as_whole().unwrap().as_str()), (&None, data));
        let written = serde_json::to_string(&event).unwrap();
        assert_eq!(written, format!(r#"{{"event":"widget.added_to_cart","data":{data}}}"#));
    }
    let event = event::<Quote3d>("widget.added_to_cart", r#"{"new":1,"new":2}"#).unwrap();
    let written = serde_json::to_string(&event).unwrap();
    assert_eq!(written, r#"{"event":"widget.added_to_cart","data":{"new":1,"new":2}}"#);
}

#[test]
fn nesting_of_any_depth_in_data_overflows_no_stack() {
    let deep = format!("{}1{}", "[".repeat(500_000), "]".repeat(500_000));
    for (name, data) in [
        ("quote.completed", deep.clone()),
        ("quote.completed", format!(r#"{{"result":{deep}}}"#)),
        ("quote.completed", format!(r#"{{"jobId":{deep}}}"#)),
    ] {
        assert_eq!(event::<Quote3d>(name, &data).unwrap_err().code(), "invalid_event");
    }
    for (name, data) in [
        ("file.uploaded", deep.clone()),
        ("file.uploaded", format!(r#"{{"fileId":{deep},"new":{deep}}}"#)),
        ("quote.failed", format!(r#"{{"error":{deep}}}"#)),
        ("some.event", deep.clone()),
    ] {
        let event = event::<Quote3d>(name, &data).unwrap();
        assert!(serde_json::to_string(&event).unwrap().contains(&data));
    }
}

#[test]
fn statuses_and_templates_are_told_apart_whatever_their_case_and_keep_it() {
    use quote3d::StatusKind;
    use threeqpr::TemplateKind;
    for (text, kind) in [
        ("completed", StatusKind::Completed),
        ("COMPLETED", StatusKind::Completed),
        ("FAILED", StatusKind::Failed),
        ("CANCELLED", StatusKind::Cancelled),
        ("CANCELED", StatusKind::Unknown("CANCELED")),
        ("", StatusKind::Unknown("")),
    ] {
        let data = format!(r#"{{"status":"{text}"}}"#);
        let quote3d::Event::JobStatusChanged(job) = event::<Quote3d>("job.status_changed", &data).unwrap()
        else {
            panic!()
        };
        let status = job.status.as_ref().unwrap();
        assert_eq!((status.kind(), status.as_str(), &*status.to_string()), (kind, text, text));
        assert_eq!(serde_json::to_string(&job).unwrap(), data);
    }
    for (text, kind) in [
        ("business", TemplateKind::Business),
        ("rewards", TemplateKind::Rewards),
        ("events", TemplateKind::Events),
        ("personal", TemplateKind::Personal),
        ("hospitality", TemplateKind::Hospitality),
        ("healthcare", TemplateKind::Healthcare),
        ("retail", TemplateKind::Retail),
        ("museum", TemplateKind::Unknown("museum")),
    ] {
        let data = format!(r#"{{"template":"{text}"}}"#);
        let threeqpr::Event::QprCodeCreated(code) = event::<ThreeQpr>("qpr_code.created", &data).unwrap()
        else {
            panic!()
        };
        assert_eq!(code.template.unwrap().kind(), kind);
    }
}

#[test]
fn only_what_was_queued_is_read_back() {
    // A provider's body has to be verified; it cannot be taken for a queued event.
    for body in [QUOTE3D, NOWTOPRINT, THREEQPR] {
        assert!(serde_json::from_str::<quote3d::Event>(body).is_err(), "{body}");
    }
    for text in [
        "null",
        "[]",
        r#"["quote.failed",{}]"#,
        "{}",
        r#"{"event":"quote.failed"}"#,
        r#"{"data":{}}"#,
        r#"{"event":7,"data":{}}"#,
        r#"{"event":"quote.failed","data":{},"data":{}}"#,
        r#"{"event":"quote.failed","event":"quote.failed","data":{}}"#,
        r#"{"event":"quote.completed","data":{}}"#,
        r#"{"event":"quote.failed","data":{},"id":null}"#,
    ] {
        assert!(serde_json::from_str::<quote3d::Event>(text).is_err(), "{text}");
    }
    let either_order = r#"{"data":{"jobId":"job_1"},"event":"quote.failed"}"#;
    assert!(serde_json::from_str::<quote3d::Event>(either_order).is_ok());
}

#[test]
fn undocumented_events_take_any_data_at_all() {
    for (read, name, _) in KNOWN.into_iter().filter(|(_, name, _)| !is_documented(name)) {
        for data in ["null", "true", "0", "-1.5e3", "\"\"", "[]", "[null,{}]", "{}", r#"{"":""}"#] {
            let read = read(name, data).unwrap();
            assert_eq!(read.text, format!(r#"{{"event":"{name}","data":{data}}}"#));
        }
    }
}

/// An event type that is written by hand, and keeps the text of the data.
#[derive(serde::Serialize, Deserialize)]
struct Raw {
    name: String,
    text: String,
}

impl Event for Raw {
    fn from_data(data: EventData<'_>) -> Result<Self, Error> {
        Ok(Self { name: data.name().to_owned(), text: data.as_str().to_owned() })
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn variant(&self) -> &'static str {
        "Raw"
    }

    fn serialize_data<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde::Serialize::serialize(&self.text, serializer)
    }
}

#[test]
fn an_event_type_of_ones_own_gets_the_name_and_the_text_of_the_data() {
    let webhook = webhook::<Stripe<Raw>>();
    for (members, text) in [
        ("", "null"),
        (r#","data":null"#, "null"),
        (r#","data": {"b" : 1.50, "a":2} "#, r#"{"b" : 1.50, "a":2}"#),
    ] {
        let body = format!(r#"{{"id":"evt_1","type":"a.b"{members}}}"#);
        let event = webhook
            .verify(&webhook.signed_headers(body.as_bytes()), body.as_bytes())
            .unwrap()
            .event()
            .unwrap();
        assert_eq!((&*event.name, &*event.text), ("a.b", text));
    }
}

#[test]
fn an_error_says_what_was_expected() {
    let error = |json: &str| serde_json::from_str::<quote3d::Event>(json).unwrap_err().to_string();
    let expected = "expected an object with the fields `event` and `data` at";
    assert!(error("7").contains(expected), "{}", error("7"));
    let data = r#"{"event":"quote.completed","data":7}"#;
    assert!(error(data).contains("expected an object at"), "{}", error(data));
}

/// Only JSON keeps the text of a value.
#[test]
fn a_payload_is_read_from_json_only() {
    type ReadError = serde::de::value::Error;
    let text: Result<quote3d::File, ReadError> = Deserialize::deserialize("7".into_deserializer());
    let expected = r#"invalid type: string "7", expected any valid JSON value"#;
    assert_eq!(text.unwrap_err().to_string(), expected);
    let map = BTreeMap::from([("fileId", "7")]);
    let map: Result<quote3d::File, ReadError> = Deserialize::deserialize(map.into_deserializer());
    assert_eq!(map.unwrap_err().to_string(), "JSON text is kept of JSON only");
}
