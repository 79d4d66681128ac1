//! `countersign send --forge`: each forgery is refused for what it is, and a receiver that takes one is found out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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

/// The rest of a delivery stays, so it is refused for nothing else.
#[test]
fn each_forgery_changes_what_its_name_says() {
    let folder = tempfile::tempdir().unwrap();
    // What a tag may begin with stands before it.
    let odd = r#"{"name":"odd","signature":{"header":"x-3qpr-signature","prefix":"f"}}"#;
    let odd = written(folder.path(), "odd.json", odd);
    let (notes, noted) = Notes::answering(401);
    let forged = |provider: &str, kind: &str| {
        let mut command = sending(&[&noted.to_string(), "-p", provider, "--forge", kind]);
        run(command.env("ODD_WEBHOOK_SECRET", THREEQPR), b"").is(0);
        let got = notes.got().pop().unwrap();
        let signature = got.headers["x-3qpr-signature"].to_str().unwrap().to_owned();
        (signature, String::from_utf8(got.body.to_vec()).unwrap())
    };
    let base64 = |hex: &str| {
        let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
        STANDARD.encode(bytes.collect::<Vec<_>>())
    };
    let genuine = sign(THREEQPR, SCANNED.as_bytes());
    let tag = genuine.strip_prefix("sha256=").unwrap();
    for (kind, signature) in [
        ("upper-case", format!("sha256={}", tag.to_uppercase())),
        ("base64", format!("sha256={}", base64(tag))),
        ("no-prefix", tag.to_owned()),
        ("wrong-prefix", format!("sha1={tag}")),
        ("truncated", genuine[..genuine.len() - 1].to_owned()),
    ] {
        assert_eq!(forged("3qpr", kind), (signature, SCANNED.to_owned()), "{kind}");
    }
    let (signature, body) = forged(&odd, "base64");
    let tag = sign(THREEQPR, body.as_bytes()).replace("sha256=", "");
    assert_eq!(signature, format!("f{}", base64(&tag)));

    let (signature, flipped) = forged("3qpr", "flipped-byte");
    assert_eq!((&signature, flipped.len()), (&genuine, SCANNED.len()));
    assert_eq!(flipped.bytes().zip(SCANNED.bytes()).filter(|(one, other)| one != other).count(), 1);
    serde_json::from_str::<Value>(&flipped).unwrap();

    // The other secret is random, so two forgeries have different signatures.
    let wrong = [(); 2].map(|()| forged("3qpr", "wrong-secret"));
    assert!(
        wrong[0].0 != wrong[1].0 && wrong.iter().all(|(signature, _)| *signature != genuine),
        "{wrong:?}"
    );
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
