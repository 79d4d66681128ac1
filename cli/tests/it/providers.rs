//! Each provider that is built in, and those that files declare: signed, sent, verified, received and forged.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::support::*;

/// A secret of the tests, in text and in base64.
const KEY: &str = "a-key-of-the-tests-of-32-bytes-x";

fn secret(provider: &str) -> String {
    if provider == "standard-webhooks" { format!("whsec_{}", STANDARD.encode(KEY)) } else { KEY.to_owned() }
}

/// The built-in providers: the name, the variable, and how many kinds of forgery there are.
const BUILT_IN: [(&str, &str, usize); 12] = [
    ("quote3d", "QUOTE3D_WEBHOOK_SECRET", 16),
    ("nowtoprint", "NOWTOPRINT_WEBHOOK_SECRET", 13),
    ("3qpr", "THREEQPR_WEBHOOK_SECRET", 12),
    ("standard-webhooks", "STANDARD_WEBHOOKS_WEBHOOK_SECRET", 9),
    ("stripe", "STRIPE_WEBHOOK_SECRET", 11),
    ("github", "GITHUB_WEBHOOK_SECRET", 13),
    ("shopify", "SHOPIFY_WEBHOOK_SECRET", 9),
    ("slack", "SLACK_WEBHOOK_SECRET", 10),
    ("zoom", "ZOOM_WEBHOOK_SECRET", 10),
    ("paddle", "PADDLE_WEBHOOK_SECRET", 11),
    ("linear", "LINEAR_WEBHOOK_SECRET", 10),
    ("square", "SQUARE_WEBHOOK_SECRET", 8),
];

/// The program with a secret for each built-in provider.
pub(crate) fn with_all(arguments: &[&str]) -> Command {
    let mut command = bare(arguments);
    for (provider, variable, _) in BUILT_IN {
        command.env(variable, secret(provider));
    }
    command.env("SQUARE_NOTIFICATION_URL", "https://example.org/webhooks/square");
    command
}

#[track_caller]
fn ran(arguments: &[&str], stdin: &[u8]) -> Ended {
    let ended = run(&mut with_all(arguments), stdin);
    for text in [&ended.out, &ended.err] {
        assert!(!text.contains(KEY) && !text.contains(&STANDARD.encode(KEY)), "a secret is shown: {text}");
    }
    ended
}

#[test]
fn each_built_in_provider_is_listed_with_its_variable() {
    let listed = run(&mut bare(&["providers", "--json"]), b"").is(0).json();
    let names: Vec<_> = listed.iter().map(|row| (row["provider"].clone(), row["variable"].clone())).collect();
    assert_eq!(names, BUILT_IN.map(|(name, variable, _)| (json!(name), json!(variable))));
    let text = run(&mut bare(&["providers"]), b"");
    for (name, variable, _) in BUILT_IN {
        text.is(0).says(name).says(variable);
    }
}

#[test]
fn what_is_signed_for_a_provider_verifies() {
    for (provider, _, _) in BUILT_IN {
        let body = br#"{"id":"e_1","event_id":"e_1","event":"a.b","type":"a.b","event_type":"a.b","data":{},"payload":{}}"#;
        let signed = ran(&["sign", "-p", provider, "--json"], body);
        let verified = ran(&["verify", "--lines", "--json"], signed.is(0).out.as_bytes());
        assert_eq!(verified.is(0).json()[0]["verdict"], "accepted", "{provider}");
        let spoiled = signed.out.replace("e_1", "e_2");
        ran(&["verify", "--lines"], spoiled.as_bytes()).is(1);
    }
    // The time, the id and the event are the user's to choose.
    let chosen = ["sign", "-p", "standard-webhooks", "--at", "2026-03-10T14:30:00Z", "--id", "msg_1"];
    ran(&chosen, b"{}").is(0).says("webhook-id: msg_1").says("webhook-timestamp: 1773153000");
    ran(&["sign", "-p", "github", "--event", "issues"], b"{}").is(0).says("x-github-event: issues");
    ran(&["sign", "-p", "github"], b"{}").is(0).says("x-github-event: push");
    ran(&["sign", "-p", "stripe", "--event", "issues"], b"{}").is(2).says("--event is not possible here");
    ran(&["sign", "-p", "stripe", "--at", "yesterday"], b"{}").is(2).says("RFC 3339");
    for id in ["", "a\nb"] {
        ran(&["sign", "-p", "standard-webhooks", "--id", id], b"{}").is(2).says("not a valid header value");
    }
}

/// The listener is the receiver: it answers as the library does.
#[test]
fn each_provider_is_received_and_each_forgery_of_it_is_refused() {
    let listener = Listener::of(with_all(&["listen", "--port", "0", "--json"]));
    let mut count = 0;
    for (provider, _, kinds) in BUILT_IN {
        let url = format!("{}/webhooks/{provider}", listener.address);
        ran(&["send", &url, "-p", provider, "--timeout", "60"], b"").is(0);
        let ended = ran(&["send", &url, "-p", provider, "--forge", "all", "--json", "--timeout", "60"], b"");
        let lines = ended.is(0).json();
        assert_eq!(lines.len() - 1, kinds, "{provider}: {lines:#?}");
        for line in &lines[..kinds] {
            let body: Value = serde_json::from_str(line["body"].as_str().unwrap()).unwrap();
            let got = json!({ "status": line["status"], "error": body["error"] });
            assert_eq!(got, line["expected"], "{provider}: {line}");
        }
        count += kinds + 1;
    }
    let logged = listener.logged(count);
    let accepted = logged.iter().filter(|line| line["verdict"] == "accepted");
    assert_eq!(accepted.count(), BUILT_IN.len());
}

/// The answer is made with the secret, so it is given only to a signed request.
#[test]
fn the_verification_of_an_endpoint_is_answered_once_it_is_signed() {
    let listener = Listener::of(with_all(&["listen", "--port", "0", "--json"]));
    for (provider, body, answer) in [
        ("slack", r#"{"type":"url_verification","challenge":"3eZbrw1aB"}"#, "3eZbrw1aB"),
        (
            "zoom",
            r#"{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"}}"#,
            "encryptedToken",
        ),
    ] {
        let url = format!("{}/webhooks/{provider}", listener.address);
        let sent = ran(&["send", &url, "-p", provider, "--data", "-"], body.as_bytes());
        sent.is(0).says(answer);
        let unsigned = listener.post(&format!("/webhooks/{provider}"), &[], body.as_bytes());
        assert_eq!((unsigned.status, unsigned.text().contains(answer)), (401, false));
    }
    assert!(!listener.printed().contains("encryptedToken"));
}

#[test]
fn square_needs_its_notification_url() {
    let body = br#"{"type":"a","event_id":"e_1","data":{}}"#;
    let mut without = bare(&["sign", "-p", "square"]);
    without.env("SQUARE_WEBHOOK_SECRET", KEY);
    run(&mut without, body).is(2).says("--notification-url");
    let url = ["--notification-url", "https://example.org/hooks"];
    let line = ran(&[&["sign", "-p", "square", "--json"], &url[..]].concat(), body).out;
    ran(&["verify", "--lines"], line.as_bytes()).is(0);
    // The URL that a delivery brings goes before the argument.
    ran(&["verify", "--lines", "--notification-url", "https://example.org/other"], line.as_bytes()).is(0);
    let without_url = line.replace(r#""url":"https://example.org/hooks""#, r#""path":"/""#);
    assert_ne!(without_url, line);
    ran(&["verify", "--lines"], without_url.as_bytes()).is(1);
    ran(&[&["verify", "--lines"], &url[..]].concat(), without_url.as_bytes()).is(0);
}

/// Each command reads the URL where it reads the secret. An argument goes before the file, and the file before the
/// environment.
#[test]
fn the_notification_url_is_read_from_the_env_file() {
    let folder = tempfile::tempdir().unwrap();
    let variables =
        format!("SQUARE_WEBHOOK_SECRET={KEY}\nSQUARE_NOTIFICATION_URL='https://example.org/file'\n");
    let file = written(folder.path(), ".env", &variables);
    let body = br#"{"type":"a","event_id":"e_1","data":{}}"#;
    let given = ["--notification-url", "https://example.org/given"];
    for (environment, arguments, url) in [
        (None, &[][..], "https://example.org/file"),
        (Some("https://example.org/environment"), &[], "https://example.org/file"),
        (Some("https://example.org/environment"), &given, "https://example.org/given"),
    ] {
        let of_file = |command: &[&str], arguments: &[&str]| {
            let mut command = bare(&[command, &["--env-file", &file], arguments].concat());
            environment.map(|url| command.env("SQUARE_NOTIFICATION_URL", url));
            command
        };
        let signed = run(&mut of_file(&["sign", "-p", "square", "--json"], arguments), body);
        assert_eq!(signed.is(0).json()[0]["url"], url);
        // The file also gives the URL of a delivery that does not bring one.
        let mut line = signed.json()[0].clone();
        line.as_object_mut().unwrap().remove("url");
        run(&mut of_file(&["verify", "--lines"], arguments), line.to_string().as_bytes()).is(0);

        let journal = folder.path().join("journal.jsonl");
        let journal = ["--journal", journal.to_str().unwrap()];
        let listener =
            Listener::of(of_file(&["listen", "--port", "0", "--json"], &[arguments, &journal].concat()));
        let to = format!("{}/webhooks/square", listener.address);
        run(&mut of_file(&["send", &to, "-p", "square"], arguments), b"").is(0);
        listener.logged(1);
        let kept = std::fs::read_to_string(journal[1]).unwrap();
        assert!(kept.lines().last().unwrap().contains(&format!("\"url\":\"{url}\"")), "{kept}");
    }
    let empty = format!("SQUARE_WEBHOOK_SECRET={KEY}\nSQUARE_NOTIFICATION_URL=\n");
    let empty = written(folder.path(), "empty", &empty);
    run(&mut bare(&["sign", "-p", "square", "--env-file", &empty]), body).is(2).says("--notification-url");
    // An empty value hides no other.
    let mut of_both = bare(&["sign", "-p", "square", "--env-file", &empty]);
    run(of_both.env("SQUARE_NOTIFICATION_URL", "https://example.com/square"), body).is(0);
}

const ACME: &str = r#"{
    "name": "acme",
    "secret": "base64",
    "signature": {"header": "X-Acme-Signature", "separator": ",", "field": "v1"},
    "signed": "{timestamp}.{body}",
    "timestamp": {"field": "t", "tolerance_s": 300},
    "event": {"name": "type"}
}"#;

#[test]
fn a_provider_that_a_file_declares_is_used_like_a_built_in_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path(), "acme.json", ACME);
    let key = STANDARD.encode(KEY);
    let acme = |arguments: &[&str]| {
        let mut command = bare(arguments);
        command.env("ACME_WEBHOOK_SECRET", &key);
        command
    };
    let body = br#"{"type":"door.opened","id":"e_1","data":{}}"#;
    let signed = run(&mut acme(&["sign", "-p", &file, "--json"]), body);
    let verified = run(&mut acme(&["verify", "--lines", "--json"]), signed.is(0).out.as_bytes());
    assert_eq!(verified.is(0).json()[0]["idempotency_key"], "acme:e_1");

    // Of a directory, only the .json files declare providers.
    written(folder.path(), "README.txt", "not a provider");
    for serving in [&["--provider", &*file][..], &["--providers", folder.path().to_str().unwrap()]] {
        let arguments = [&["listen", "--port", "0", "--json"], serving].concat();
        let listener = Listener::of(acme(&arguments));
        let url = format!("{}/webhooks/acme", listener.address);
        run(&mut acme(&["send", &url, "-p", &file, "--event", "door.opened"]), b"").is(0);
        let forged = run(&mut acme(&["send", &url, "-p", &file, "--forge", "all", "--json"]), b"");
        for line in forged.is(0).json().iter().filter(|line| line["forge"].is_string()) {
            assert_eq!(line["status"], line["expected"]["status"], "{line}");
        }
        assert!(!listener.printed().contains(&key));
    }

    // Another variable may hold the secret, and a secret in the wrong encoding says which is expected.
    let mut other = bare(&["sign", "-p", &file, "--secret-env", "OTHER_1"]);
    run(other.env("OTHER_1", &key), body).is(0).says("x-acme-signature");
    run(&mut bare(&["sign", "-p", &file, "--secret-env", "OTHER_1"]), body)
        .is(2)
        .says("--secret-env is not set");
    for wrong in ["a-secret-by-mistake", ""] {
        let given = run(&mut bare(&["sign", "-p", &file, "--secret-env", wrong]), body);
        given.is(2).says("--secret-env takes the name of a variable");
        assert!(!given.err.contains("mistake"), "{given:?}");
    }
    run(&mut bare(&["sign", "-p", &file]), body).is(2).says("ACME_WEBHOOK_SECRET is not set");
    let mut undecodable = bare(&["sign", "-p", &file]);
    run(undecodable.env("ACME_WEBHOOK_SECRET", "not base64, but long enough"), body).is(2).says("base64");
}

#[test]
fn a_file_that_declares_no_provider_is_refused_by_the_members_name() {
    let folder = tempfile::tempdir().unwrap();
    for (at, (text, said)) in [
        ("not json", "expected"),
        ("[]", "expected an object"),
        ("{}", "name"),
        (r#"{"name":"acme"}"#, "signature"),
        (r#"{"name":"Acme!","signature":{"header":"x-s"}}"#, "name"),
        (r#"{"name":"acme","signature":{"header":"x-s"},"signed":"{timestamp}"}"#, "signed"),
        (
            r#"{"name":"acme","signature":{"header":"x-s"},"secret":"whsec_pasted-by-mistake"}"#,
            "never the secret",
        ),
        (r#"{"name":"acme","signature":{"header":"x-s"},"colour":1}"#, "colour"),
    ]
    .into_iter()
    .enumerate()
    {
        let file = written(folder.path(), &format!("{at}.json"), text);
        let checked = run(&mut bare(&["provider", "check", &file]), b"");
        checked.is(1).says(said).says(&file);
        assert!(!checked.err.contains("pasted"), "{checked:?}");
        run(&mut bare(&["sign", "-p", &file]), b"{}").is(2).says(said);
        run(&mut bare(&["listen", "--providers", folder.path().to_str().unwrap()]), b"").is(2);
    }
    run(&mut bare(&["provider", "check", "/no/such/file"]), b"").is(2).says("cannot be read");
    run(&mut bare(&["sign", "-p", "no-such-provider"]), b"{}").is(2).says("stripe").says("provider new");
    let empty = tempfile::tempdir().unwrap();
    run(&mut bare(&["listen", "--providers", empty.path().to_str().unwrap()]), b"").is(2).says("NAME.json");
    let twice = written(empty.path(), "stripe.json", &ACME.replace("acme", "stripe"));
    run(&mut bare(&["listen", "-p", &twice]), b"").is(2).says("two providers are called stripe");
    for (length, code, said) in [(64 << 10, 1, "EOF while parsing"), ((64 << 10) + 1, 2, "longer than")] {
        let long = written(empty.path(), "long.json", &" ".repeat(length));
        run(&mut bare(&["provider", "check", &long]), b"").is(code).says(said);
    }
}

/// A file is somebody else's: a terminal obeys nothing of it.
#[test]
fn a_hostile_file_is_shown_and_not_obeyed() {
    let folder = tempfile::tempdir().unwrap();
    let unknown = r#"{"name":"acme","signature":{"header":"x-s"},"\u001b]0;pwn\u0007x":1}"#;
    let named = r#"{"name":"acme","signature":{"header":"x-s"},"event":{"name":"a\u009b31m\u202eb"}}"#;
    for (at, (text, code)) in [(unknown, 1), (named, 0)].into_iter().enumerate() {
        let file = written(folder.path(), &format!("{at}.json"), text);
        for command in [&["provider", "check", &file][..], &["sign", "-p", &file]] {
            let ended = run(&mut bare(command), b"{}");
            assert_eq!(hidden_in(&format!("{}{}", ended.out, ended.err)), [""; 0], "{ended:?}");
        }
        run(&mut bare(&["provider", "check", &file]), b"").is(code);
    }
    run(&mut bare(&["sign", "-p", "/dev/zero"]), b"").is(2).says("longer than");
}

/// What would not be a forgery is not called one.
#[test]
fn a_forgery_that_would_be_genuine_is_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    let patient = ACME.replace("300", "86400").replace("\"secret\": \"base64\",", "");
    let odd = r#"{"name":"odd","signature":{"header":"x-s","prefix":"f"}}"#;
    let plain = r#"{"name":"plain","signature":{"header":"x-s"},"event":null}"#;
    let (patient, odd, plain) = (
        written(folder.path(), "acme.json", &patient),
        written(folder.path(), "odd.json", odd),
        written(folder.path(), "plain.json", plain),
    );
    let with_secrets = |arguments: &[&str]| {
        let mut command = with_all(arguments);
        for name in ["ACME", "ODD", "PLAIN"] {
            command.env(format!("{name}_WEBHOOK_SECRET"), KEY);
        }
        command
    };
    let providers = folder.path().to_str().unwrap();
    let listener = Listener::of(with_secrets(&["listen", "--port", "0", "--json", "--providers", providers]));
    for (provider, path, body) in [
        (&*patient, "acme", &b""[..]),
        (&odd, "odd", b""),
        // This one's bodies need not be JSON.
        (&plain, "plain", b"text"),
        ("slack", "slack", b"token=a&text=b"),
        ("slack", "slack", b"\n"),
    ] {
        let url = format!("{}/webhooks/{path}", listener.address);
        let mut arguments = vec!["send", &url, "-p", provider, "--forge", "all", "--json"];
        if !body.is_empty() {
            arguments.extend(["--data", "-"]);
        }
        let ended = run(&mut with_secrets(&arguments), body);
        for line in ended.is(0).json().iter().filter(|line| line["forge"].is_string()) {
            assert_eq!(line["status"], line["expected"]["status"], "{path}: {line}");
        }
    }
    run(
        &mut with_all(&["send", "localhost:1", "-p", "slack", "--data", "-", "--forge", "flipped-byte"]),
        b"",
    )
    .is(2)
    .says("the body is empty");
}

/// One provider that lacks a setting leaves the others served.
#[test]
fn a_setting_that_lacks_is_told_for_its_provider_alone() {
    let mut command = bare(&["listen", "--port", "0", "--json"]);
    command.env("SQUARE_WEBHOOK_SECRET", KEY).env("STRIPE_WEBHOOK_SECRET", KEY);
    let listener = Listener::of(command);
    let square = listener.post("/webhooks/square", &[], b"{}");
    assert_eq!((square.status, square.json()["error"].as_str()), (503, Some("secret_unavailable")));
    assert_eq!(listener.post("/webhooks/stripe", &[], b"{}").status, 401);
    assert!(listener.logged(2)[0]["message"].as_str().unwrap().contains("--notification-url"));
    run(&mut bare(&["listen", "-p", "stripe"]), b"").is(2).says("served anyway");
    run(&mut bare(&["verify", "-p", "stripe", "--signature-header", "x-a"]), b"").is(2).says("NowToPrint's");
}

#[test]
fn a_file_is_checked_by_a_sample() {
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path(), "acme.json", ACME);
    run(&mut bare(&["provider", "check", &file]), b"")
        .is(0)
        .says("ACME_WEBHOOK_SECRET")
        .says("a secret made for this sample")
        .says("x-acme-signature: t=");
    let mut with_secret = bare(&["provider", "check", &file]);
    let checked = run(with_secret.env("ACME_WEBHOOK_SECRET", STANDARD.encode(KEY)), b"");
    checked.is(0).says("with the secret in ACME_WEBHOOK_SECRET");
    assert!(!checked.out.contains(&STANDARD.encode(KEY)));
    let built_in = written(folder.path(), "stripe.json", &ACME.replace("acme", "stripe"));
    run(&mut bare(&["provider", "check", &built_in]), b"").is(0).says("the name of a built-in provider");
}

#[test]
fn four_answers_make_a_file() {
    let tag = "4794b7d0082f007cdce251446147dfa908440fccbb443e264a41757e94b4bb48";
    for (at, (answers, expected)) in [
        (
            format!("acme\nX-Acme-Signature: sha256={tag}\n\n\n"),
            json!({"signature": {"header": "X-Acme-Signature", "encoding": "hex", "prefix": "sha256="}, "signed": "{body}"}),
        ),
        (
            format!("acme\nX-Acme-Signature: t=1614265330,v1={tag}\n\ntype\n"),
            json!({"signed": "{timestamp}.{body}", "timestamp": {"field": "t", "unit": "s", "tolerance_s": 300}, "event": {"name": "type", "id": "id", "timestamp": "timestamp", "data": "data"}}),
        ),
        (
            format!("acme\nX-S: {tag}\nv0:{{timestamp}}:{{body}}\nX-Time: 1614265330123\nheader:X-Event\n"),
            json!({"timestamp": {"header": "X-Time", "unit": "ms", "tolerance_s": 300}, "event": {"name": {"header": "X-Event"}, "id": "id", "timestamp": "timestamp", "data": null}}),
        ),
        (
            format!("acme\nX-S: {tag}\n\nnone\n"),
            json!({"event": {"name": null, "id": "id", "timestamp": "timestamp", "data": null}}),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let folder = tempfile::tempdir().unwrap();
        let mut command = bare(&["provider", "new"]);
        let ended = run(command.current_dir(folder.path()), answers.as_bytes());
        ended.is(0).says("written to acme.json");
        let file = folder.path().join("acme.json");
        let declared: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        for (member, value) in expected.as_object().unwrap() {
            assert_eq!(&declared[member], value, "{at}");
        }
        run(&mut bare(&["provider", "check", file.to_str().unwrap()]), b"").is(0);
        // What is there is never written over.
        let mut again = bare(&["provider", "new"]);
        run(again.current_dir(folder.path()), answers.as_bytes()).is(2).says("cannot be created");
    }
    for (answers, said) in [
        ("acme\nX-S: nothing\n", "no signature is found"),
        ("acme\n", "an answer is missing"),
        ("\n", "needs an answer"),
        (&*format!("acme\nX-S: {tag}\n{{timestamp}}\nX-T: 1614265330\n\n"), "do not declare a provider"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = bare(&["provider", "new"]);
        run(command.current_dir(folder.path()), answers.as_bytes()).is(2).says(said);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
