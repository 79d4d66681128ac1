//! `listen --journal` keeps what came, and `verify --lines` and `send --replay` take it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use super::providers::with_all;
use super::receiver::Notes;
use super::support::*;

/// A journal of these deliveries of Stripe, GitHub and Standard Webhooks, as a listener wrote it.
fn journal(folder: &Path) -> PathBuf {
    let file = folder.join("journal.jsonl");
    let arguments = ["listen", "--port", "0", "--json", "--journal", file.to_str().unwrap()];
    let listener = Listener::of(with_all(&arguments));
    for (provider, body) in [
        ("stripe", br#"{"type":"charge.failed","id":"evt_1","data":{}}"#.to_vec()),
        ("github", br#"{"ref":"refs/heads/main"}"#.to_vec()),
        ("standard-webhooks", "{\"type\":\"a\",\"data\":\"é\u{202e}\"}".as_bytes().to_vec()),
        ("slack", b"\xff".to_vec()),
    ] {
        let url = format!("{}/webhooks/{provider}?token=hidden", listener.address);
        // An id that no body comes to.
        let id = if provider == "standard-webhooks" { &["--id", "msg_of_the_tests"][..] } else { &[] };
        let arguments = [&["send", &url, "-p", provider, "--data", "-"], id].concat();
        run(&mut with_all(&arguments), &body).is(0);
    }
    let headers = [("Authorization", "Bearer hidden".to_owned()), ("X-Acme", "kept".to_owned())];
    listener.post("/webhooks/3qpr", &headers, b"{}");
    listener.logged(5);
    file
}

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_journal_holds_each_delivery_as_it_came_and_no_credential() {
    let folder = tempfile::tempdir().unwrap();
    let file = journal(folder.path());
    let kept = lines(&file);
    let providers: Vec<_> = kept.iter().map(|line| line["provider"].as_str().unwrap()).collect();
    assert_eq!(providers, ["stripe", "github", "standard-webhooks", "slack", "3qpr"]);
    assert_eq!(kept[3]["body_base64"], "/w==");
    assert_eq!(kept[4]["path"], "/webhooks/3qpr");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains("hidden") && text.contains("kept"), "{text}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    // The verdicts are those of the time when they came.
    let old = text.replace(&text[text.find("\"now\":\"").unwrap() + 7..][..4], "2020");
    let verified = run(&mut with_all(&["verify", "--lines", "--json"]), text.as_bytes());
    let verdicts: Vec<_> = verified.is(1).json().into_iter().map(|line| line["verdict"].clone()).collect();
    assert_eq!(verdicts, ["accepted", "accepted", "accepted", "accepted", "rejected"]);
    let verified = run(&mut with_all(&["verify", "--lines", "--json"]), old.as_bytes());
    assert_eq!(verified.json()[0]["error"], "stale");
}

#[test]
fn a_journal_that_was_cut_is_gone_on_with_on_a_new_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = journal(folder.path());
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, &text[..text.len() - 20]).unwrap();
    let verified = run(&mut with_all(&["verify", "--lines"]), &std::fs::read(&file).unwrap());
    verified.is(2).says("unreadable");
    let (notes, noted) = Notes::answering(200);
    let replayed = run(&mut with_all(&["send", &noted.to_string(), "--replay", file.to_str().unwrap()]), b"");
    replayed.is(2).says("line 5 is not a captured delivery").says("4 sent: 4 accepted");
    assert_eq!(notes.got().len(), 4);

    journal(folder.path());
    let all = std::fs::read_to_string(&file).unwrap();
    assert_eq!(all.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count(), 9);
}

/// A provider of a file may sign with any header, and Square signs its URL: both are kept, and signed anew as they were.
#[test]
fn what_a_signature_needs_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("journal.jsonl");
    let declared = r#"{"name":"acme","signature":{"header":"Authorization","prefix":"HMAC "},"signed":"{timestamp}{body}","timestamp":{"header":"X-Auth-Time"}}"#;
    let acme = written(folder.path(), "acme.json", declared);
    let key = "a-key-of-the-tests-of-32-bytes-x";
    let of_all = |arguments: &[&str]| {
        let mut command = with_all(arguments);
        command.env("ACME_WEBHOOK_SECRET", key);
        command
    };
    let (acme, path) = (&*acme, file.to_str().unwrap());
    let listener = Listener::of(of_all(&["listen", "--port", "0", "--json", "-p", acme, "--journal", path]));
    for (provider, name) in [(acme, "acme"), ("square", "square")] {
        let url = format!("{}/webhooks/{name}", listener.address);
        run(&mut of_all(&["send", &url, "-p", provider]), b"").is(0);
    }
    listener.logged(2);
    let text = std::fs::read_to_string(&file).unwrap();
    let mut without_url = of_all(&["verify", "--lines"]);
    run(without_url.env_remove("SQUARE_NOTIFICATION_URL"), text.as_bytes()).is(0);

    let (notes, noted) = Notes::answering(200);
    let mut anew = of_all(&["send", &noted.to_string(), "--replay", path, "--resign"]);
    run(anew.env_remove("SQUARE_NOTIFICATION_URL"), b"").is(0);
    let got = notes.got();
    let kept = lines(&file);
    let signature =
        kept[1]["headers"].as_array().unwrap().iter().find(|pair| pair[0] == "x-square-hmacsha256-signature");
    assert_eq!(got[1].headers["x-square-hmacsha256-signature"], signature.unwrap()[1].as_str().unwrap());
}

/// A form stays a form, and no event is made up.
#[test]
fn what_is_signed_anew_keeps_what_came() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("journal.jsonl");
    let line = |provider: &str, headers: Value, body: &str| json!({ "provider": provider, "headers": headers, "body": body });
    let form = json!([["content-type", "application/x-www-form-urlencoded"]]);
    let text = format!("{}\n{}\n", line("slack", form, "text=a"), line("github", json!([]), "{}"));
    std::fs::write(&file, text).unwrap();
    let (notes, noted) = Notes::answering(200);
    run(&mut with_all(&["send", &noted.to_string(), "--replay", file.to_str().unwrap(), "--resign"]), b"")
        .is(0);
    let got = notes.got();
    assert_eq!(got[0].headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!((got[1].headers.get("x-github-event"), got[1].headers.get("content-type")), (None, None));
    assert!(got[1].headers.contains_key("x-hub-signature-256"));
}

#[test]
fn what_is_no_place_for_a_journal_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing/journal");
    for (path, said) in [
        (folder.path(), "is not a regular file"),
        (Path::new("/dev/null"), "is not a regular file"),
        (&missing, "opened"),
    ] {
        run(&mut bare(&["listen", "--journal", path.to_str().unwrap()]), b"").is(2).says(said);
    }
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "\n").unwrap();
    for (path, said) in [(&empty, "holds no captured delivery"), (&missing, "cannot be read")] {
        run(&mut bare(&["send", "localhost:1", "--replay", path.to_str().unwrap()]), b"").is(2).says(said);
    }
}

/// A journal that cannot be written stops nothing, and goes on when there is room again.
#[test]
fn a_full_disk_is_told_once_and_fails_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("journal");
    // For now, no file of this process may grow beyond eight kilobytes.
    let command = format!(
        "ulimit -S -f 8; trap '' XFSZ; exec {} listen --port 0 --json --journal {}",
        env!("CARGO_BIN_EXE_countersign"),
        file.display()
    );
    let mut limited = Command::new("bash");
    limited.args(["-c", &command]).env("THREEQPR_WEBHOOK_SECRET", THREEQPR);
    limited.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let listener = Listener::of(limited);
    let deliver = |number: usize| {
        let body = format!(r#"{{"event":"scan.created","n":{number},"data":"{}"}}"#, "x".repeat(2_500));
        let headers = [("x-3qpr-signature", sign(THREEQPR, body.as_bytes()))];
        assert_eq!(listener.post("/webhooks/3qpr", &headers, body.as_bytes()).status, 200);
        let kept = listener.get(&format!("/api/deliveries/{number}")).json();
        assert_eq!(kept["verdict"], "accepted");
    };
    (1..=6).for_each(deliver);
    let full = std::fs::metadata(&file).unwrap().len();
    assert_eq!(full, 8 << 10);
    listener.raise_limit("fsize");
    (7..=8).for_each(deliver);
    listener.logged(8);
    listener.signal("TERM");
    let (code, said) = listener.ended_saying();
    assert_eq!((code, said.matches("cannot be written").count()), (0, 1), "{said}");
    // The line on which it was full is cut, and no other.
    let text = std::fs::read_to_string(&file).unwrap();
    let numbers: Vec<_> = text
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            let body: Value = serde_json::from_str(line["body"].as_str()?).ok()?;
            body["n"].as_u64()
        })
        .collect();
    assert_eq!(numbers, [Some(1), Some(2), None, Some(7), Some(8)]);
}

/// A journal may be longer than the memory is large.
#[test]
fn a_replay_holds_one_delivery_at_a_time() {
    const COUNT: usize = 32;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("journal.jsonl");
    let body = "x".repeat(1 << 20);
    let line = json!({ "provider": "github", "headers": [], "body": body }).to_string() + "\n";
    std::fs::write(&file, line.repeat(COUNT)).unwrap();
    let (pid, most) = (Arc::new(OnceLock::new()), Arc::new(OnceLock::new()));
    let (of_child, peak) = (Arc::clone(&pid), Arc::clone(&most));
    let (notes, noted) = Notes::start(move |count| {
        if count == COUNT {
            let status: String =
                std::fs::read_to_string(format!("/proc/{}/status", of_child.get().unwrap())).unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
            peak.set(line.trim_end_matches("kB").trim().parse::<usize>().unwrap()).unwrap();
        }
        axum::http::StatusCode::OK
    });
    let mut child =
        Running::start(&mut bare(&["send", &noted.to_string(), "--replay", file.to_str().unwrap()]));
    pid.set(child.0.id()).unwrap();
    assert_eq!(until("its end", || child.0.try_wait().unwrap()).code(), Some(0));
    assert_eq!(notes.got().len(), COUNT);
    let most = most.get().unwrap() >> 10;
    println!("a replay of {COUNT} MiB took {most} MiB");
    assert!(most < COUNT, "{most} MiB");
}

/// The listener keeps what is sent to it in the same file, which would have no end.
#[test]
fn a_replay_into_the_listener_that_writes_the_journal_ends() {
    let folder = tempfile::tempdir().unwrap();
    let file = journal(folder.path());
    let path = file.to_str().unwrap();
    let listener = Listener::of(with_all(&["listen", "--port", "0", "--json", "--journal", path]));
    run(&mut bare(&["send", &listener.address.to_string(), "--replay", path, "--duplicate", "2"]), b"")
        .says("10 sent");
    // What the page sends again came before, and gets no second line.
    let key = [("X-Countersign-Token", listener.key.clone())];
    listener.post("/api/deliveries/1/resend", &key, b"");
    listener.logged(11);
    assert_eq!(lines(&file).len(), 15);
    // What cannot be read twice is refused before anything is sent.
    run(&mut bare(&["send", "localhost:1", "--replay", "/dev/stdin"]), b"{}").is(2).says("read twice");
}

#[test]
fn a_replay_sends_each_delivery_to_its_path_as_it_came_or_signed_anew() {
    let folder = tempfile::tempdir().unwrap();
    let file = journal(folder.path());
    let kept = lines(&file);
    let header = |line: &Value, name: &str| {
        let pair = line["headers"].as_array().unwrap().iter().find(|pair| pair[0] == name);
        pair.map(|pair| pair[1].as_str().unwrap().to_owned())
    };
    let (notes, noted) = Notes::answering(200);
    run(&mut bare(&["send", &noted.to_string(), "--replay", file.to_str().unwrap(), "--json"]), b"").is(0);
    let got = notes.got();
    assert_eq!(got.len(), 5);
    assert_eq!((&*got[0].uri, &*got[4].uri), ("/webhooks/stripe", "/webhooks/3qpr"));
    let signature = header(&kept[0], "stripe-signature").unwrap();
    assert_eq!(got[0].headers["stripe-signature"], signature);
    assert_eq!(got[4].headers["x-acme"], "kept");
    assert_eq!(got[3].body[..], b"\xff"[..]);

    // Signed anew, with the ids that they had, by another secret.
    let mut anew =
        with_all(&["send", &format!("{noted}/all"), "--replay", file.to_str().unwrap(), "--resign"]);
    anew.env("GITHUB_WEBHOOK_SECRET", "another-secret-of-the-tests").env("THREEQPR_WEBHOOK_SECRET", THREEQPR);
    run(&mut anew, b"").is(0);
    let got = &notes.got()[5..];
    assert_eq!(got.len(), 5);
    assert_eq!(got[1].uri, "/all");
    assert_eq!(
        got[1].headers["x-hub-signature-256"],
        sign("another-secret-of-the-tests", br#"{"ref":"refs/heads/main"}"#)
    );
    assert_eq!(got[1].headers["x-github-event"], "push");
    assert_eq!(got[2].headers["webhook-id"], &*header(&kept[2], "webhook-id").unwrap());
    // The new signature covers the id that stayed.
    let of_signature = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let headers = of_signature.map(|name| (name, got[2].headers[name].to_str().unwrap()));
    let body = std::str::from_utf8(&got[2].body).unwrap();
    let line = json!({ "provider": "standard-webhooks", "headers": headers, "body": body });
    run(&mut with_all(&["verify", "--lines"]), line.to_string().as_bytes()).is(0);
    assert_eq!(got[4].headers["x-3qpr-signature"], sign(THREEQPR, b"{}"));

    run(&mut bare(&["send", &noted.to_string(), "--replay", file.to_str().unwrap(), "--resign"]), b"")
        .is(2)
        .says("STRIPE_WEBHOOK_SECRET is not set");
    run(&mut bare(&["send", &noted.to_string(), "--resign"]), b"").is(2);
    run(&mut bare(&["send", &noted.to_string(), "--replay", "a", "-p", "stripe"]), b"").is(2);
}

#[test]
fn a_receiver_that_tells_handled_and_duplicate_apart_is_understood() {
    for (answer, handled, duplicate) in [
        (r#"{"status":"duplicate"}"#, 0, 2),
        (r#"{"outcome":"handled","key":"a"}"#, 2, 0),
        ("Duplicate\n", 0, 2),
        ("{}", 0, 0),
    ] {
        let (_, noted) = Notes::saying(200, answer);
        let arguments = ["send", &noted.to_string(), "-p", "3qpr", "--duplicate", "2"];
        let ended = run(&mut program(&[&arguments[..], &["--json"]].concat()), b"");
        let summary = ended.is(0).json().pop().unwrap()["summary"].take();
        assert_eq!(
            (&summary["handled"], &summary["duplicate"]),
            (&json!(handled), &json!(duplicate)),
            "{answer}"
        );
        let text = run(&mut program(&arguments), b"");
        assert_eq!(text.is(0).out.contains("duplicate)"), handled + duplicate > 0, "{answer}");
    }
}

#[test]
fn a_path_without_a_receiver_is_told_from_a_refusal() {
    let (_, noted) = Notes::answering(404);
    run(&mut program(&["send", &noted.to_string(), "-p", "3qpr"]), b"")
        .is(1)
        .says("nothing takes a POST at this path: it is often /webhooks/3qpr");
    // A forgery that nothing looked at was not refused.
    run(&mut program(&["send", &noted.to_string(), "-p", "3qpr", "--forge", "no-prefix"]), b"")
        .is(1)
        .says("nothing takes a POST at this path: it is often /webhooks/3qpr");
}
