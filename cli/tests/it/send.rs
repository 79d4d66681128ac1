//! `countersign send`: what is sent, what comes of it, and what it is called.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::{StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::providers::with_all;
use super::receiver::{Notes, genuine, genuine_in_turn};
use super::support::*;

#[track_caller]
pub(crate) fn sent(arguments: &[&str]) -> Ended {
    run(&mut sending(arguments), b"")
}

/// However slow this machine is, no answer is late unless the test says when.
pub(crate) fn sending(arguments: &[&str]) -> std::process::Command {
    let timeout = if arguments.contains(&"--timeout") { &[][..] } else { &["--timeout", "60"] };
    program(&[&["send"], arguments, timeout].concat())
}

/// Each answer, and the summary.
pub(crate) fn answers(ended: &Ended) -> (Vec<Value>, Value) {
    let mut lines = ended.json();
    let summary = lines.pop().unwrap()["summary"].take();
    (lines, summary)
}

#[test]
fn every_named_event_is_accepted_by_a_real_receiver_and_known_to_the_library() {
    let address = genuine();
    let (notes, noted) = Notes::answering(200);
    for (provider, events) in [
        (
            "quote3d",
            &[
                "quote.completed",
                "quote.failed",
                "file.uploaded",
                "file.deleted",
                "job.status_changed",
                "widget.added_to_cart",
            ][..],
        ),
        (
            "nowtoprint",
            &["quote.received", "quote.updated", "order.created", "order.confirmed", "order.shipped"],
        ),
        (
            "3qpr",
            &[
                "scan.created",
                "conversation.completed",
                "qpr_code.created",
                "subscription.upgraded",
                "subscription.cancelled",
            ],
        ),
    ] {
        for event in events {
            let url = format!("{address}/webhooks/{provider}");
            sent(&[&url, "--provider", provider, "--event", event]).is(0).says("200");
            sent(&[&noted.to_string(), "--provider", provider, "--event", event]).is(0);
            // What was sent reads as that event: no name of ours is one that the library does not know.
            let got = notes.got().pop().unwrap();
            let headers: Vec<_> =
                got.headers.iter().map(|(name, value)| [name.as_str(), value.to_str().unwrap()]).collect();
            let line = json!({ "provider": provider, "headers": headers, "body": String::from_utf8(got.body.to_vec()).unwrap() });
            let told = run(&mut program(&["verify", "--lines", "--json"]), line.to_string().as_bytes())
                .json()
                .remove(0);
            assert_eq!(told["event"], **event);
            assert_ne!(told["variant"], "Unknown", "{event}");
        }
    }
}

#[test]
fn the_documented_payloads_are_sent_to_the_byte_and_the_others_are_said_to_be_empty() {
    let (notes, noted) = Notes::answering(200);
    let url = noted.to_string();
    for (provider, body) in [("quote3d", COMPLETED), ("nowtoprint", RECEIVED), ("3qpr", SCANNED)] {
        sent(&[&url, "-p", provider]).is(0);
        assert_eq!(notes.got().pop().unwrap().body, body);
    }
    sent(&[&url, "-p", "quote3d", "-e", "file.uploaded"])
        .is(0)
        .says("note: Quote3D documents no payload for file.uploaded");
    sent(&[&url, "-p", "quote3d", "-e", "quote.imagined"]).is(0).says("do not name the event quote.imagined");
    sent(&[&url, "-p", "3qpr"]).says("3QPR documents no event's data");
    assert!(sent(&[&url, "-p", "quote3d"]).err.is_empty());

    let got = notes.got().len();
    sent(&[&url, "-p", "nowtoprint", "--fresh", "--duplicate", "2"]).is(0);
    let fresh: Vec<_> = notes.got()[got..].iter().map(|got| got.body.clone()).collect();
    assert_eq!(fresh[0], fresh[1]);
    assert_ne!(fresh[0], RECEIVED);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    std::fs::write(&file, b"\xff not even text\n").unwrap();
    sent(&[&url, "-p", "3qpr", "--data", file.to_str().unwrap()]).is(0);
    assert_eq!(notes.got().pop().unwrap().body, &b"\xff not even text\n"[..]);
    run(&mut sending(&[&url, "-p", "3qpr", "--data", "-"]), b"from a pipe").is(0);
    assert_eq!(notes.got().pop().unwrap().body, "from a pipe");
}

#[test]
fn the_exit_code_and_the_result_say_what_the_receiver_answered() {
    for (status, code, result) in [
        (200, 0, "accepted"),
        (204, 0, "accepted"),
        (301, 1, "failed"),
        (400, 1, "refused"),
        (401, 1, "refused"),
        (409, 1, "in_flight"),
        (500, 1, "failed"),
    ] {
        let (notes, address) = Notes::answering(status);
        let ended = sent(&[&address.to_string(), "-p", "3qpr", "--json"]);
        let (lines, summary) = answers(ended.is(code));
        assert_eq!((&lines[0]["result"], &lines[0]["status"]), (&json!(result), &json!(status)));
        assert_eq!((&summary["sent"], &summary[result]), (&json!(1), &json!(1)));
        assert!(lines[0]["ms"].is_number() && summary["median_ms"].is_number());
        assert_eq!(notes.got().len(), 1);
    }
}

/// A receiver that refuses by the announced length hangs up before it has read all.
#[test]
fn an_answer_that_comes_before_the_body_is_sent_is_read() {
    let address = genuine();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("long");
    std::fs::write(&file, vec![b' '; 8 << 20]).unwrap();
    let url = format!("{address}/webhooks/3qpr");
    sent(&[&url, "-p", "3qpr", "--data", file.to_str().unwrap()]).is(1).says("413").says("body_too_large");
}

#[test]
fn a_redirect_is_shown_and_not_followed() {
    let (notes, address) =
        Notes::start(|_| (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "/else\u{3f}where")]));
    sent(&[&address.to_string(), "-p", "3qpr"])
        .is(1)
        .says("307")
        .says("a redirect to /else?where, which is not followed");
    assert_eq!(notes.got().len(), 1);
}

#[test]
fn who_does_not_answer_is_unreachable() {
    // Nobody is on this port unless root put them there; one that was free a moment ago may be taken.
    let ended = sent(&["127.0.0.1:1", "-p", "3qpr", "--json"]);
    let (lines, _) = answers(ended.is(3));
    assert_eq!((&lines[0]["result"], &lines[0]["timed_out"]), (&json!("unreachable"), &json!(false)));
    // It takes the connection, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = silent.local_addr().unwrap().to_string();
    let ended = sent(&[&url, "-p", "3qpr", "--timeout", "1", "--json"]);
    assert_eq!(answers(ended.is(3)).0[0]["timed_out"], true);
    sent(&[&url, "-p", "3qpr", "--timeout", "1"]).is(3).says("no answer").says("is the receiver running");
    sent(&["https://127.0.0.1:1/", "-p", "3qpr"]).is(3);
    sent(&["http://no-such-host.invalid/", "-p", "3qpr", "--timeout", "5"]).is(3);
    for wrong in ["", "ftp://localhost", "http://"] {
        sent(&[wrong, "-p", "3qpr"]).is(2).says("http://localhost:3000/webhooks/quote3d");
    }
}

#[test]
fn a_connection_that_breaks_is_told_with_the_reason() {
    // The rest of the wording is hyper's.
    for (answer, word) in [
        ("", "closed"),
        ("nonsense\r\n\r\n", "invalid"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "body"),
    ] {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = server.local_addr().unwrap().to_string();
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(SCANNED.as_bytes()) {
                let mut read = [0; 4_096];
                let length = stream.read(&mut read).unwrap();
                assert_ne!(length, 0);
                request.extend_from_slice(&read[..length]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let ended = sent(&[&url, "-p", "3qpr"]);
        let printed = format!("{}{}", ended.is(3).out, ended.err);
        let (_, told) = printed.split_once("the connection broke: ").unwrap_or_else(|| panic!("{ended:?}"));
        let reason = told.lines().next().unwrap_or_default();
        assert!(reason.contains(word), "{word} {reason:?}");
        serving.join().unwrap();
    }
}

#[test]
fn a_long_answer_is_cut() {
    let (_, address) = Notes::start(|_| "x".repeat(1 << 20));
    let ended = sent(&[&address.to_string(), "-p", "3qpr", "--json"]);
    assert_eq!(answers(ended.is(0)).0[0]["body"], "x".repeat(64 << 10));
    sent(&[&address.to_string(), "-p", "3qpr"])
        .is(0)
        .says(&format!("  {}… (63536 bytes more)", "x".repeat(2_000)));
    for (answer, shown) in
        [("", " ms\n"), ("why\n", " ms  why\n"), ("two\nlines", " ms\n     two\n     lines\n")]
    {
        let (_, address) = Notes::saying(200, answer);
        let shown_of = |ended: &Ended| ended.out[ended.out.find(" ms").unwrap()..].to_owned();
        assert_eq!(shown_of(sent(&[&address.to_string(), "-p", "3qpr"]).is(0)), shown);
    }
}

/// Each provider documents its timeout. A journal with several providers has none.
#[test]
fn it_waits_as_long_as_the_provider_and_tells_so() {
    let folder = tempfile::tempdir().unwrap();
    let journal = |name: &str, providers: &[&str]| {
        let lines = providers.iter().map(|provider| journal_line(provider, ""));
        written(folder.path(), name, &lines.collect::<String>())
    };
    let (of_one, of_two) = (journal("one", &["slack", "slack"]), journal("two", &["slack", "github"]));
    // It takes the connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = &silent.local_addr().unwrap().to_string();
    std::thread::scope(|scope| {
        for (arguments, waits, hints) in [
            (vec!["-p", "slack"], 3, 1),
            (vec!["--replay", &of_one], 3, 1),
            (vec!["--replay", &of_two, "--timeout", "1"], 1, 0),
        ] {
            scope.spawn(move || {
                let ended = run(&mut with_all(&[&["send", url], &arguments[..]].concat()), b"");
                ended.is(3).says(&format!("no answer from 127.0.0.1 within {waits} s"));
                let told = ended.err.matches("hint: the provider waits 3 s: answer first").count();
                assert_eq!(told, hints, "{ended:?}");
            });
        }
    });
}

#[test]
fn an_event_may_be_named_beside_a_body_if_a_header_names_it() {
    let (notes, noted) = Notes::answering(200);
    let of_body = |provider: &str| {
        let arguments = ["send", &noted.to_string(), "-p", provider, "--event", "issues", "--data", "-"];
        run(&mut with_all(&arguments), b"{}")
    };
    of_body("github").is(0);
    assert_eq!(notes.got()[0].headers["x-github-event"], "issues");
    of_body("stripe").is(2).says("--event is not possible with --data");
}

#[test]
fn duplicates_are_the_same_bytes_and_handled_once() {
    let address = genuine();
    let (notes, noted) = Notes::answering(200);
    sent(&[&noted.to_string(), "-p", "quote3d", "--duplicate", "3"])
        .is(0)
        .says("3 sent: 3 accepted; median ");
    let got = notes.got();
    assert_eq!(got.len(), 3);
    assert!(got.iter().all(|one| one.body == got[0].body && one.headers == got[0].headers));
    let url = format!("{address}/webhooks/3qpr");
    // More than 50 are not shown each.
    for (arguments, lines) in [
        (&["--duplicate", "50"][..], 51),
        (&["--duplicate", "51"], 1),
        (&["--forge", "all", "--duplicate", "5"], 1),
    ] {
        let ended = sent(&[&[&*url, "-p", "3qpr"], arguments].concat());
        assert_eq!(ended.is(0).out.lines().count(), lines, "{ended:?}");
    }
    let (lines, _) = answers(sent(&[&url, "-p", "3qpr", "--duplicate", "3", "--json"]).is(0));
    assert_eq!(lines.iter().map(|line| line["number"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn of_several_at_once_one_is_handled_and_the_others_are_in_flight() {
    let turns = Arc::new(Semaphore::new(0));
    let address = genuine_in_turn(&turns);
    let url = format!("{address}/webhooks/3qpr");
    let mut child = Running::start(&mut sending(&[&url, "-p", "3qpr", "--concurrent", "6", "--json"]));
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    // They are told as they come, and the one that is handled waits for the others' answers.
    for _ in 0..5 {
        let line = next();
        assert_eq!((&line["result"], &line["status"]), (&json!("in_flight"), &json!(409)), "{line}");
    }
    turns.add_permits(1);
    assert_eq!(next()["result"], "accepted");
    let summary = next()["summary"].take();
    assert_eq!(
        (&summary["sent"], &summary["accepted"], &summary["in_flight"]),
        (&json!(6), &json!(1), &json!(5))
    );
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
    let (_, summary) =
        answers(sent(&[&url, "-p", "3qpr", "--concurrent", "2", "--duplicate", "9", "--json"]).is(0));
    assert_eq!(summary["accepted"], 9);
}

#[test]
fn the_previous_secret_is_taken_by_a_receiver_that_rotates() {
    let address = genuine();
    sent(&[&format!("{address}/webhooks/3qpr"), "-p", "3qpr", "--previous-secret"]).is(0).says("200");
}

#[test]
fn retries_come_as_the_provider_documents_until_one_is_accepted() {
    let never = |_| StatusCode::SERVICE_UNAVAILABLE;
    let (notes, address) = Notes::start(never);
    let like = ["-p", "3qpr", "--retry-like-provider", "--time-scale", "10000", "--json"];
    let (lines, summary) = answers(sent(&[&[&*address.to_string()], &like[..]].concat()).is(1));
    assert_eq!((lines.len(), &summary["failed"]), (6, &json!(6)));
    let got = notes.got();
    assert!(got.iter().all(|one| one.body == got[0].body && one.headers == got[0].headers));

    let (notes, address) =
        Notes::start(|count| if count < 3 { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK });
    let (lines, _) = answers(sent(&[&[&*address.to_string()], &like[..]].concat()).is(0));
    assert_eq!(
        lines.iter().map(|line| line["status"].as_u64().unwrap()).collect::<Vec<_>>(),
        [500, 500, 200]
    );
    assert_eq!(notes.got().len(), 3);
    sent(&[&[&*address.to_string()], &like[..]].concat())
        .is(0)
        .says("3QPR retries any status but 2xx after 5, 35, 155, 755 and 4355 s");

    for (provider, says) in
        [("quote3d", "\"may retry\", and documents no schedule"), ("nowtoprint", "documents no schedule")]
    {
        sent(&[&address.to_string(), "-p", provider, "--retry-like-provider"])
            .is(2)
            .says(says)
            .says("--retry-at");
    }
    let (notes, address) = Notes::answering(400);
    let at = ["-p", "quote3d", "--retry-at", "1,2", "--time-scale", "100"];
    sent(&[&[&*address.to_string()], &at[..]].concat()).is(1).says("#3");
    assert_eq!(notes.got().len(), 3);
    sent(&[&address.to_string(), "-p", "quote3d", "--retry-at", "5,1"]).is(2);
    sent(&[&address.to_string(), "-p", "quote3d", "--retry-at", "5", "--time-scale", "0"]).is(2);
}

#[test]
fn no_retry_comes_before_its_time() {
    let times = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&times);
    let (_, address) = Notes::start(move |_| {
        noted.lock().unwrap().push(Instant::now());
        StatusCode::BAD_GATEWAY
    });
    // Before the first try, from which the schedule counts: what is late is no fault.
    let began = Instant::now();
    sent(&[&address.to_string(), "-p", "3qpr", "--retry-at", "1,3,6", "--time-scale", "10"]).is(1);
    let times = times.lock().unwrap();
    assert_eq!(times.len(), 4);
    for (time, due) in times.iter().zip([0, 100, 300, 600]) {
        assert!(*time >= began + Duration::from_millis(due), "{began:?}, {times:?}");
    }
}

#[test]
fn an_answer_is_shown_without_what_a_terminal_would_obey() {
    let (_, address) = Notes::start(|_| (StatusCode::BAD_REQUEST, "\x1b[2Jtwo\nlines\u{202e}"));
    let ended = sent(&[&address.to_string(), "-p", "3qpr"]);
    ended.is(1).says("\\u{1b}[2Jtwo\n     lines\\u{202e}");
    let ended = sent(&[&address.to_string(), "-p", "3qpr", "--json"]);
    assert_eq!(ended.is(1).shown()[0]["body"], "\x1b[2Jtwo\nlines\u{202e}");
}

#[test]
fn ctrl_c_ends_it_with_what_came_so_far() {
    let (_, address) = Notes::answering(500);
    // The next try is so far off that none comes before the signal.
    let arguments = [&address.to_string(), "-p", "3qpr", "--retry-at", "3600", "--json"];
    let mut child = Running::start(&mut sending(&arguments));
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("500"));
    child.signal("INT");
    assert!(lines.next().unwrap().unwrap().contains("\"sent\":1"));
    assert_eq!(child.0.wait().unwrap().code(), Some(130));
}

/// By TLS, with the roots of this machine, to which `SSL_CERT_FILE` adds.
#[test]
fn https_is_spoken_with_whom_this_machine_trusts() {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.pem");
    let der = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, signed.cert.der());
    std::fs::write(&root, format!("-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----\n"))
        .unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}/webhooks/3qpr", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = stream.unwrap();
            let mut tls = rustls::Stream::new(&mut connection, &mut stream);
            let mut request = vec![0; 64 << 10];
            // One that does not trust us hangs up here.
            if tls.read(&mut request).is_ok_and(|read| read > 0) {
                tls.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok").unwrap();
            }
        }
    });
    run(sending(&[&url, "-p", "3qpr"]).env("SSL_CERT_FILE", &root), b"").is(0).says("202");
    sent(&[&url, "-p", "3qpr"]).is(3).says("no TLS with localhost");
}

/// A bar is for people: where nobody watches, there is none.
#[test]
fn standard_error_has_no_bar_where_it_is_no_terminal() {
    let (_, address) = Notes::answering(200);
    let mut command = sending(&[&address.to_string(), "-p", "quote3d", "--duplicate", "200"]);
    let ended = run(command.stderr(Stdio::piped()), b"");
    assert_eq!(ended.is(0).err, "");
}

/// Whatever its numbers are, wrong usage is said, and nothing breaks.
#[test]
fn no_time_of_a_retry_is_too_much_to_count() {
    let (_, address) = Notes::answering(500);
    let to = address.to_string();
    for numbers in [
        ["--retry-at", "5", "--time-scale", "1e-300"],
        ["--retry-at", "5", "--time-scale", "1e300"],
        ["--retry-at", "5", "--time-scale", "NaN"],
        ["--retry-at", "18446744073709551615", "--time-scale", "1"],
        ["--retry-at", "31536001", "--time-scale", "0.001"],
    ] {
        sent(&[&[&*to, "-p", "quote3d"], &numbers[..]].concat()).is(2);
    }
}
