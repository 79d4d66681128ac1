//! `countersign send --forge`: each forgery is refused for what it is, and a receiver that takes one is found out.

use serde_json::{Value, json};

use super::receiver::{Notes, genuine};
use super::send::{answers, sending, sent};
use super::support::*;

/// Each kind of forgery is refused by a receiver made with the library, with the code that it is known to have.
#[test]
fn each_forgery_is_refused_for_what_it_is() {
    let address = genuine();
    for (provider, kinds) in [("quote3d", 16), ("nowtoprint", 13), ("3qpr", 12)] {
        let url = format!("{address}/webhooks/{provider}");
        let ended = sent(&[&url, "-p", provider, "--forge", "all", "--json"]);
        let (lines, summary) = answers(ended.is(0));
        assert_eq!((lines.len(), &summary["refused"]), (kinds, &json!(kinds)), "{provider}");
        for line in &lines {
            let body: Value = serde_json::from_str(line["body"].as_str().unwrap()).unwrap();
            assert_eq!(
                json!({ "status": line["status"], "error": body["error"] }),
                line["expected"],
                "{line}"
            );
            // The same one alone.
            let kind = line["forge"].as_str().unwrap();
            sent(&[&url, "-p", provider, "--forge", kind])
                .is(0)
                .says(kind)
                .says(body["error"].as_str().unwrap());
        }
        sent(&[&url, "-p", provider]).is(0);
    }
    let url = format!("{address}/webhooks/3qpr");
    sent(&[&url, "-p", "3qpr", "--forge", "lying-event"]).is(2).says("3QPR has no event header");
    sent(&[&url, "-p", "3qpr", "--forge", "invalid-event"]).is(2).says("quote.completed");
    sent(&[&url, "-p", "3qpr", "--forge", "magic"]).is(2).says("wrong-secret");
}

/// A struct of one field can be read from an array, and what is then written into it has no place.
#[test]
fn a_body_that_is_no_object_is_refused_before_anything_is_sent() {
    let (notes, noted) = Notes::answering(200);
    let url = noted.to_string();
    for (provider, body) in
        [("quote3d", r#"["quote.completed"]"#), ("nowtoprint", r#"["quote.received"]"#), ("quote3d", "\"a\"")]
    {
        for forgery in ["invalid-event", "all"] {
            if (provider, forgery) == ("nowtoprint", "all") {
                continue;
            }
            let arguments = ["-p", provider, "--data", "-", "--forge", forgery];
            let ended = run(&mut sending(&[&[&*url], &arguments[..]].concat()), body.as_bytes());
            ended.is(2).says("a JSON object");
        }
    }
    run(&mut sending(&[&url, "-p", "quote3d", "--data", "-"]), br#"["quote.completed"]"#)
        .is(2)
        .says("a JSON object");
    run(&mut program(&["sign", "-p", "quote3d"]), br#"["quote.completed"]"#).is(2).says("a JSON object");
    assert_eq!(notes.got().len(), 0);
    // A provider without an event header signs whatever it is given.
    run(&mut sending(&[&url, "-p", "nowtoprint", "--data", "-", "--forge", "all"]), b"[]").is(1);
}

#[test]
fn a_receiver_that_takes_a_forgery_or_falls_over_is_found_out() {
    let (_, gullible) = Notes::answering(204);
    sent(&[&gullible.to_string(), "-p", "quote3d", "--forge", "all"])
        .is(1)
        .says("ACCEPTED, although it is forged")
        .says("verify the raw body");
    let (_, fragile) = Notes::answering(500);
    sent(&[&fragile.to_string(), "-p", "quote3d", "--forge", "missing-signature"]).is(1);
}
