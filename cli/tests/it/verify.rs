//! `countersign verify`: the verdict on what was captured, and why.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use serde_json::json;

use super::support::*;

fn header(name: &str, value: &str) -> String {
    format!("{name}: {value}")
}

#[test]
fn an_accepted_delivery_is_told_with_all_that_is_known_of_it() {
    let signature = header("x-webhook-signature", &sign(QUOTE3D, COMPLETED.as_bytes()));
    let arguments = ["verify", "-p", "quote3d", "-H", "X-Webhook-Event:quote.completed", "-H", &signature];
    run(&mut program(&arguments), COMPLETED.as_bytes())
        .is(0)
        .says("accepted  quote.completed, typed as QuoteCompleted")
        .says("QUOTE3D_WEBHOOK_SECRET")
        .says("quote3d:sha256:40d99dbca215dd13");

    let told =
        run(&mut program(&[&arguments[..], &["--json"]].concat()), COMPLETED.as_bytes()).json().remove(0);
    let body: serde_json::Value = serde_json::from_str(COMPLETED).unwrap();
    assert_eq!(
        told,
        json!({
            "verdict": "accepted", "event": "quote.completed", "variant": "QuoteCompleted", "id": null,
            "idempotency_key": "quote3d:sha256:40d99dbca215dd13c968b53bcab954dd7f73d7e1289002e0ee46e7e484c428c9",
            "secret": 0, "secret_label": "QUOTE3D_WEBHOOK_SECRET", "timestamp": "2026-03-10T14:30:00.000Z",
            "data": body["data"],
        })
    );

    let older = header("X-3QPR-Signature", &sign(PREVIOUS, SCANNED.as_bytes()));
    run(&mut program(&["verify", "-p", "3qpr", "-H", &older]), SCANNED.as_bytes())
        .is(0)
        .says("an older one, THREEQPR_WEBHOOK_SECRET_PREVIOUS");
}

/// The three ways of a header in curl's command line, and a file of them as a capture has it.
#[test]
fn headers_are_read_as_curl_writes_them() {
    let signature = sign(QUOTE3D, COMPLETED.as_bytes());
    let folder = tempfile::tempdir().unwrap();
    let body = folder.path().join("body.json");
    std::fs::write(&body, COMPLETED).unwrap();
    let headers = folder.path().join("headers.txt");
    let capture = format!(
        "POST /webhooks/quote3d HTTP/1.1\r\nHost: a\r\nX-Empty;\r\nX-Webhook-Event: quote.completed\r\nX-Webhook-Signature: {signature}\r\n\r\n"
    );
    std::fs::write(&headers, capture).unwrap();
    let from_file = format!("@{}", headers.display());
    run(&mut program(&["verify", "-p", "quote3d", "-H", &from_file, "--body", body.to_str().unwrap()]), b"")
        .is(0);

    // The request line is optional, and is accepted only as the first line.
    let given = |text: &str| {
        std::fs::write(&headers, text).unwrap();
        run(&mut program(&["verify", "-p", "quote3d", "-H", &from_file]), COMPLETED.as_bytes())
    };
    let fields = format!("X-Webhook-Signature: {signature}\nX-Webhook-Event: quote.completed\n");
    given(&fields).is(0);
    given(&format!("{fields}POST /webhooks/quote3d HTTP/1.1\n")).is(2).says("line 3: not a header");

    // A header that is there twice, or empty, counts as that.
    let one = header("X-Webhook-Signature", &signature);
    for (given, error) in [
        (&[&*one, &*one][..], "duplicate_signature"),
        (&["X-Webhook-Signature;"], "malformed_signature"),
        (&["X-Webhook-Signature:"], "malformed_signature"),
        (&[], "missing_signature"),
        (&[&*one], "missing_event_header"),
        (&[&*one, "x-webhook-event: quote.failed"], "event_mismatch"),
    ] {
        let mut arguments = vec!["verify", "-p", "quote3d", "--json"];
        given.iter().for_each(|header| arguments.extend(["-H", header]));
        assert_eq!(run(&mut program(&arguments), COMPLETED.as_bytes()).is(1).json()[0]["error"], error);
    }
    for wrong in ["nothing", "a b: c", ": c", "@/no/such/file"] {
        run(&mut program(&["verify", "-p", "3qpr", "-H", wrong]), b"").is(2);
    }
    run(&mut program(&["verify"]), b"").is(2).says("--provider");
}

#[test]
fn a_refused_delivery_is_told_with_its_cause_and_its_cure() {
    let upper = sign(THREEQPR, SCANNED.as_bytes()).replace("sha256=", "").to_uppercase();
    let compact: String =
        SCANNED.split_whitespace().collect::<Vec<_>>().concat().replace("SanFrancisco", "San Francisco");
    for (what, signature, body, code) in [
        (
            "written again",
            sign(THREEQPR, SCANNED.trim_end().as_bytes()),
            compact.clone(),
            "body_reserialised",
        ),
        (
            "a newline lost",
            sign(THREEQPR, SCANNED.as_bytes()),
            SCANNED.trim_end().to_owned(),
            "body_newline_lost",
        ),
        ("upper case", format!("sha256={upper}"), SCANNED.to_owned(), "signature_upper_case"),
        ("another's secret", sign(NOWTOPRINT, SCANNED.as_bytes()), SCANNED.to_owned(), "secret_of_other"),
    ] {
        let signature = header("X-3QPR-Signature", &signature);
        let arguments = ["verify", "-p", "3qpr", "-H", &signature];
        let told = run(&mut program(&[&arguments[..], &["--json"]].concat()), body.as_bytes())
            .is(1)
            .json()
            .remove(0);
        assert_eq!((&told["verdict"], &told["status"]), (&json!("rejected"), &json!(401)), "{what}");
        assert_eq!(told["causes"][0]["code"], code, "{what}: {told}");
        let text = run(&mut program(&arguments), body.as_bytes());
        text.is(1).says("rejected").says(told["causes"][0]["cure"].as_str().unwrap());
    }
    let forged = header("X-3QPR-Signature", &sign(QUOTE3D, b"another body"));
    let told = run(&mut program(&["verify", "-p", "3qpr", "-H", &forged, "--json"]), SCANNED.as_bytes())
        .is(1)
        .json();
    assert_eq!(told[0]["causes"], json!([]));
    assert!(told[0]["finding"].as_str().unwrap().contains("no known cause"));
    let unsigned = run(&mut program(&["verify", "-p", "3qpr", "--json"]), SCANNED.as_bytes()).is(1).json();
    assert_eq!(unsigned[0]["hints"][0]["code"], "signature_missing");
    // Of one that is too old, by how much.
    let old = r#"{"event":"scan.created","timestamp":"2026-03-10T14:30:00Z"}"#;
    let line = json!({
        "provider": "3qpr", "headers": [["X-3QPR-Signature", sign(THREEQPR, old.as_bytes())]], "body": old,
        "max_age_s": 300, "now": "2026-03-10T15:30:00Z",
    });
    let told = run(&mut program(&["verify", "--lines", "--json"]), line.to_string().as_bytes()).is(1).json();
    assert_eq!(told[0]["error"], "stale");
    let message = told[0]["hints"][1]["message"].as_str().unwrap();
    assert!(message.ends_with("3600 s"), "{message}");
}

#[test]
fn lines_are_judged_one_by_one_and_each_at_once() {
    let line = |value: serde_json::Value| value.to_string();
    let signed = json!([["X-3QPR-Signature", sign(THREEQPR, SCANNED.as_bytes())]]);
    let own = "whsec_a-secret-of-the-line";
    let lines = [
        (line(json!({ "provider": "3qpr", "headers": signed, "body": SCANNED })), "accepted"),
        (
            line(
                json!({ "provider": "3qpr", "secrets": [own], "headers": [["x-3qpr-signature", sign(own, b"{\"event\":\"e\"}")]], "body_base64": "eyJldmVudCI6ImUifQ==" }),
            ),
            "accepted",
        ),
        (line(json!({ "provider": "3qpr", "headers": [], "body": SCANNED })), "rejected"),
        (
            line(
                json!({ "provider": "nowtoprint", "headers": [["x-webhook-signature", sign(NOWTOPRINT, RECEIVED.as_bytes())]], "body": RECEIVED, "max_age_s": 60, "now": "2026-04-16T10:00:30Z" }),
            ),
            "accepted",
        ),
        (
            line(
                json!({ "provider": "nowtoprint", "headers": [["x-webhook-signature", sign(NOWTOPRINT, RECEIVED.as_bytes())]], "body": RECEIVED, "max_age_s": 60 }),
            ),
            "rejected",
        ),
        ("nonsense".to_owned(), "unreadable"),
        (line(json!({ "provider": "acme", "headers": [], "body": "" })), "unreadable"),
        (line(json!({ "provider": "3qpr", "secrets": PREVIOUS, "headers": [], "body": "" })), "unreadable"),
        (line(json!({ "provider": "3qpr", "headers": [] })), "unreadable"),
    ];
    let mut child = Running::start(program(&["verify", "--lines", "--json"]).stdin(Stdio::piped()));
    let mut input = child.0.stdin.take().unwrap();
    let mut output = BufReader::new(child.0.stdout.take().unwrap()).lines();
    for (line, verdict) in &lines {
        input.write_all(format!("{line}\n").as_bytes()).unwrap();
        let told: serde_json::Value = serde_json::from_str(&output.next().unwrap().unwrap()).unwrap();
        assert_eq!(told["verdict"], *verdict, "{line}: {told}");
        shows_no_secret(&told.to_string());
    }
    drop(input);
    assert_eq!(child.0.wait().unwrap().code(), Some(2));
    run(&mut program(&["verify", "--lines"]), lines[2].0.as_bytes()).is(1);
    run(&mut program(&["verify", "--lines"]), lines[0].0.as_bytes()).is(0);
}

#[test]
fn what_a_terminal_would_obey_is_shown_instead() {
    let body = r#"{"event":"\u001b[2Jcleared\u202e","id":"\u0007","timestamp":"\u001b]0;owned\u0007"}"#;
    let signature = header("X-3QPR-Signature", &sign(THREEQPR, body.as_bytes()));
    let ended = run(&mut program(&["verify", "-p", "3qpr", "-H", &signature]), body.as_bytes());
    ended.is(0).says("\\u{1b}[2Jcleared\\u{202e}");
    assert!(!ended.out.chars().any(|c| c.is_control() && c != '\n'), "{ended:?}");
}

/// Also where nobody but a program reads it first: what it prints is often shown to people in the end.
#[test]
fn json_has_no_character_that_a_terminal_would_obey() {
    let event = "a\u{9b}2Jb\u{7f}\u{202e}c\u{2066}\u{200f}\u{e0041}";
    let data = json!({ "note": event });
    // Written as it is, and not as an escape.
    let body = json!({ "event": event, "data": data }).to_string();
    assert!(body.contains('\u{9b}') && body.contains('\u{202e}'));
    let signature = header("X-3QPR-Signature", &sign(THREEQPR, body.as_bytes()));
    let told = run(&mut program(&["verify", "-p", "3qpr", "-H", &signature, "--json"]), body.as_bytes())
        .is(0)
        .shown();
    assert_eq!((&told[0]["event"], &told[0]["data"]), (&json!(event), &data));
    let unreadable = json!({ "provider": event, "headers": [], "body": "" }).to_string();
    run(&mut program(&["verify", "--lines", "--json"]), unreadable.as_bytes()).is(2).shown();

    // What is signed is what was given, whether the body is printed or pasted.
    let signed = run(&mut program(&["sign", "-p", "3qpr", "--json"]), body.as_bytes());
    assert_eq!(signed.is(0).shown()[0]["body"], body);
    run(&mut program(&["verify", "--lines"]), signed.out.as_bytes()).is(0);
    let body = body.replace('\u{7f}', "");
    let curl = run(&mut program(&["sign", "-p", "quote3d", "--curl", "http://localhost/"]), body.as_bytes());
    assert_eq!(hidden_in(&curl.is(0).out), [""; 0]);
    run(&mut program(&["sign", "-p", "quote3d"]), body.as_bytes()).is(2).says("--json");
}
