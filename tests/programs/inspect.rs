//! The program `inspect`: one captured delivery a line in, one verdict a line out.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::common::{NOWTOPRINT, QUOTE3D, THREEQPR};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::{Secret, Signature};
use serde_json::{Value, json};

const SECRET: &str = "whsec_the-newest-secret-of-2026";
const OLDER: &str = "whsec_the-older-secret-of-2025";

/// The verdicts on these lines, as lines.
fn inspect(input: &[u8]) -> Vec<String> {
    inspect_with(&[], input)
}

/// The same, with these variables.
fn inspect_with(variables: &[(&str, &str)], input: &[u8]) -> Vec<String> {
    // Examples are built beside the tests' own folder.
    let mut program = std::env::current_exe().unwrap();
    program.pop();
    program.pop();
    program.push("examples");
    program.push(format!("inspect{}", std::env::consts::EXE_SUFFIX));
    let mut child = Command::new(&program)
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error} (`cargo build --example inspect`)", program.display()));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// A line of the companion's journal has no secrets.
#[test]
fn a_line_without_secrets_is_judged_by_the_variable() {
    let mut line = nowtoprint(NOWTOPRINT);
    line.as_object_mut().unwrap().remove("secrets");
    for (secret, verdict) in [(SECRET, "accepted"), (OLDER, "rejected"), ("short", "unreadable")] {
        let verdicts = inspect_with(&[("WEBHOOK_SECRET", secret)], format!("{line}\n").as_bytes());
        assert_eq!(serde_json::from_str::<Value>(&verdicts[0]).unwrap()["verdict"], verdict);
    }
}

/// The one verdict on one line.
#[track_caller]
fn verdict(line: &Value) -> Value {
    let verdicts = inspect(format!("{line}\n").as_bytes());
    assert_eq!(verdicts.len(), 1);
    serde_json::from_str(&verdicts[0]).unwrap()
}

fn sign(secret: &str, body: &str) -> String {
    Signature::sign(&Secret::new(secret).unwrap(), body.as_bytes()).to_string()
}

fn quote3d(body: &str, event: &str) -> Value {
    json!({
        "provider": "quote3d",
        "secrets": [SECRET],
        "headers": [["X-Webhook-Signature", sign(SECRET, body)], ["X-Webhook-Event", event]],
        "body": body,
    })
}

fn nowtoprint(body: &str) -> Value {
    json!({"provider": "nowtoprint", "secrets": [SECRET], "headers": [["x-webhook-signature", sign(SECRET, body)]], "body": body})
}

#[test]
fn the_documented_deliveries_are_accepted() {
    let key = "quote3d:sha256:40d99dbca215dd13c968b53bcab954dd7f73d7e1289002e0ee46e7e484c428c9";
    let data = |body: &str| serde_json::from_str::<Value>(body).unwrap()["data"].take();
    assert_eq!(
        verdict(&quote3d(QUOTE3D, "quote.completed")),
        json!({
            "verdict": "accepted", "event": "quote.completed", "variant": "QuoteCompleted", "id": null,
            "idempotency_key": key, "secret": 0, "timestamp": "2026-03-10T14:30:00.000Z", "data": data(QUOTE3D),
        })
    );
    let id = "evt_01js3q7d9w4b2k8m1z0h3v6x7y";
    assert_eq!(
        verdict(&nowtoprint(NOWTOPRINT)),
        json!({
            "verdict": "accepted", "event": "quote.received", "variant": "QuoteReceived", "id": id,
            "idempotency_key": format!("nowtoprint:{id}"), "secret": 0, "timestamp": "2026-04-16T10:00:00.000Z",
            "data": data(NOWTOPRINT),
        })
    );
    let line = json!({
        "provider": "3qpr", "secrets": [SECRET, OLDER], "headers": [["X-3QPR-SIGNATURE", sign(OLDER, THREEQPR)]],
        "body_base64": STANDARD.encode(THREEQPR),
    });
    assert_eq!(
        verdict(&line),
        json!({
            "verdict": "accepted", "event": "scan.created", "variant": "ScanCreated", "id": "evt_01HXYZSCAN",
            "idempotency_key": "3qpr:evt_01HXYZSCAN", "secret": 1, "timestamp": null, "data": data(THREEQPR),
        })
    );
}

#[test]
fn an_accepted_event_is_written_on_one_line_with_its_text_kept() {
    let body = "{\"event\":\"any.thing\",\"data\":{\n \"price\": 25.50,\r\n \"text\": \"a\\nb\",\n \"big\": 1e999\n}}";
    let verdicts = inspect(format!("{}\n", nowtoprint(body)).as_bytes());
    assert_eq!(verdicts.len(), 1);
    assert!(verdicts[0].contains(r#""variant":"Unknown""#), "{}", verdicts[0]);
    assert!(
        verdicts[0].ends_with(r#""data":{ "price": 25.50, "text": "a\nb", "big": 1e999}}"#),
        "{}",
        verdicts[0]
    );
}

#[test]
fn a_rejected_delivery_has_its_code_and_status() {
    let with = |change: fn(&mut Value)| {
        let mut line = quote3d(QUOTE3D, "quote.completed");
        change(&mut line);
        line
    };
    let cases = [
        (with(|line| line["headers"] = json!([])), "missing_signature", 401),
        (
            with(|line| {
                line["headers"] = json!([["X-Webhook-Signature", "a"], ["x-webhook-signature", "a"]]);
            }),
            "duplicate_signature",
            401,
        ),
        (with(|line| line["headers"][0][1] = json!("sha256=\u{ff}\u{0}\n")), "malformed_signature", 401),
        (with(|line| line["body"] = json!("{}")), "signature_mismatch", 401),
        (with(|line| line["secrets"] = json!([OLDER])), "signature_mismatch", 401),
        (quote3d("{}", "quote.completed"), "malformed_payload", 400),
        (with(|line| drop(line["headers"].as_array_mut().unwrap().pop())), "missing_event_header", 400),
        (
            with(|line| {
                line["headers"].as_array_mut().unwrap().push(json!(["X-WEBHOOK-EVENT", "quote.completed"]));
            }),
            "duplicate_event_header",
            400,
        ),
        (quote3d(QUOTE3D, "quote.failed"), "event_mismatch", 400),
        (
            with(|line| {
                line["max_age_s"] = json!(300);
                line["now"] = json!("2026-03-10T14:35:01Z");
            }),
            "stale",
            400,
        ),
        (with(|line| line["max_age_s"] = json!(60)), "stale", 400),
        (quote3d(r#"{"event":"quote.completed","data":{}}"#, "quote.completed"), "invalid_event", 422),
    ];
    for (line, code, status) in cases {
        let verdict = verdict(&line);
        assert_eq!(
            (&verdict["verdict"], &verdict["error"], &verdict["status"]),
            (&json!("rejected"), &json!(code), &json!(status))
        );
        assert_eq!(verdict.as_object().unwrap().len(), 4);
        let message = verdict["message"].as_str().unwrap();
        assert!(
            !message.is_empty()
                && !message.contains(SECRET)
                && !message.contains(&sign(SECRET, QUOTE3D)[7..])
        );
    }
    let mut line = quote3d(QUOTE3D, "quote.completed");
    line["max_age_s"] = json!(300);
    line["now"] = json!("2026-03-10T16:35:00+02:00");
    assert_eq!(verdict(&line)["verdict"], "accepted");
}

/// A program that was built without the feature says so.
#[test]
fn a_refusal_is_diagnosed_if_the_line_asks_for_it() {
    let body = "{\"type\":\"a\"}";
    let key = STANDARD.decode("NjNiMzIxYWQ5MGM4NDVlM2JhZTk3Mzg4YTI4ZjM3ZWM=").unwrap();
    let undecoded = "whsec_NjNiMzIxYWQ5MGM4NDVlM2JhZTk3Mzg4YTI4ZjM3ZWM=";
    let sign = |key: Secret| {
        let signature = Signature::sign(&key, format!("msg_1.1614265330.{body}").as_bytes()).to_string();
        format!("v1,{}", STANDARD.encode(hex::decode(&signature[7..]).unwrap()))
    };
    let line = |signature: String, now: &str| {
        json!({
            "provider": "standard-webhooks", "secrets": [undecoded], "body": body, "now": now, "diagnose": true,
            "headers": [["webhook-id", "msg_1"], ["webhook-timestamp", "1614265330"], ["webhook-signature", signature]],
        })
    };
    let (right, wrong) = (sign(Secret::from_bytes(key).unwrap()), sign(Secret::new(undecoded).unwrap()));
    assert_eq!(verdict(&line(right.clone(), "2021-02-25T15:02:10Z"))["verdict"], "accepted");
    for (line, error, causes, hints) in [
        (line(wrong, "2021-02-25T15:02:10Z"), "signature_mismatch", &["secret_undecoded"][..], &[][..]),
        (line(right, "2021-02-25T16:02:10Z"), "stale", &[], &["refused_afterwards", "time_in_past"]),
    ] {
        let verdict = verdict(&line);
        if cfg!(not(feature = "diagnose")) {
            assert_eq!(verdict["verdict"], "unreadable");
            continue;
        }
        assert_eq!(verdict["error"], error);
        let codes = |member: &str| -> Vec<Value> {
            verdict[member].as_array().unwrap().iter().map(|reason| reason["code"].clone()).collect()
        };
        assert_eq!(
            (codes("causes"), codes("hints")),
            (causes.iter().map(|code| json!(code)).collect(), hints.iter().map(|code| json!(code)).collect())
        );
        assert!(verdict["causes"].as_array().unwrap().iter().all(|cause| cause["cure"].is_string()));
    }
}

#[test]
fn an_unreadable_line_is_said_to_be_so_and_stops_nothing() {
    let good = quote3d(QUOTE3D, "quote.completed");
    let without = |name: &str| {
        let mut line = good.clone();
        line.as_object_mut().unwrap().remove(name);
        line.to_string().into_bytes()
    };
    let with = |name: &str, value: Value| {
        let mut line = good.clone();
        line[name] = value;
        line.to_string().into_bytes()
    };
    let bad = [
        b"".to_vec(),
        b"   ".to_vec(),
        b"not JSON".to_vec(),
        b"\xff\xfe".to_vec(),
        b"{".to_vec(),
        b"[]".to_vec(),
        br#"["quote3d",["whsec_the-newest-secret-of-2026"],[],"{}",null,null,null]"#.to_vec(),
        b"{}{}".to_vec(),
        "[".repeat(100_000).into_bytes(),
        without("provider"),
        without("secrets"),
        without("headers"),
        without("body"),
        with("provider", json!("acme")),
        with("provider", json!(null)),
        with("secrets", json!([])),
        with("secrets", json!(["short"])),
        with("secrets", json!(["whsec_the-newest-secret-of-2026\n"])),
        with("secrets", json!(vec![SECRET; 9])),
        with("headers", json!([["X-Webhook-Signature"]])),
        with("headers", json!([["X-Webhook-Signature", "\u{100}"]])),
        with("headers", json!({"X-Webhook-Signature": "a"})),
        with("body", json!({"event": "quote.completed"})),
        with("body_base64", json!("e30=")),
        with("max_age_s", json!(-1)),
        with("now", json!("today")),
    ];
    let good = good.to_string().into_bytes();
    let mut lines = Vec::new();
    for bad in &bad {
        lines.extend([bad.as_slice(), &good]);
    }
    // The last line has no newline.
    let verdicts = inspect(&lines.join(&b"\n"[..]));
    assert_eq!(verdicts.len(), 2 * bad.len());
    for (pair, line) in verdicts.chunks(2).zip(&bad) {
        let unreadable: Value = serde_json::from_str(&pair[0]).unwrap();
        let line = String::from_utf8_lossy(line);
        assert_eq!(unreadable["verdict"], "unreadable", "{line}");
        assert!(!unreadable["message"].as_str().unwrap().is_empty(), "{line}");
        assert!(pair[1].starts_with(r#"{"verdict":"accepted""#), "{}", pair[1]);
    }
}

#[test]
fn no_input_is_no_output() {
    assert!(inspect(b"").is_empty());
}
