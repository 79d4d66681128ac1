//! `countersign listen`: what it takes, keeps, passes on and tells, and to whom.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Mutex, mpsc};

use axum::http::{StatusCode, header};
use serde_json::{Value, json};

use super::providers::with_all;
use super::receiver::Notes;
use super::support::*;

#[test]
fn a_delivery_is_answered_as_the_library_would_and_logged() {
    let listener = Listener::start(&[]);
    let post = |headers: &[(&str, String)]| listener.post("/webhooks/quote3d", headers, COMPLETED.as_bytes());
    let genuine = of_quote3d("quote.completed", COMPLETED.as_bytes());
    assert_eq!((post(&genuine).status, post(&genuine).status), (200, 200));
    let unsigned = post(&[]);
    assert_eq!((unsigned.status, unsigned.json()), (401, json!({ "error": "missing_signature" })));
    assert_eq!(
        post(&of_quote3d("quote.failed", COMPLETED.as_bytes())).json(),
        json!({ "error": "event_mismatch" })
    );
    let log = listener.logged(4);
    let find = |number: u64| log.iter().find(|line| line["number"] == number).unwrap();
    let first = find(1);
    for (name, value) in [
        ("verdict", json!("accepted")),
        ("provider", json!("quote3d")),
        ("event", json!("quote.completed")),
        ("variant", json!("QuoteCompleted")),
        (
            "idempotency_key",
            json!("quote3d:sha256:40d99dbca215dd13c968b53bcab954dd7f73d7e1289002e0ee46e7e484c428c9"),
        ),
        ("duplicate_of", Value::Null),
        ("answered", json!(200)),
        ("bytes", json!(COMPLETED.len())),
        ("endpoint", json!({ "state": "none" })),
    ] {
        assert_eq!(first[name], value, "{name}");
    }
    assert_eq!(find(2)["duplicate_of"], 1);
    assert_eq!((&find(3)["verdict"], &find(3)["error"]), (&json!("rejected"), &json!("missing_signature")));
    assert_eq!(listener.post("/webhooks/acme", &[], b"").status, 404);
    for wrong in
        [listener.get("/nothing"), listener.post("/", &[], b""), listener.post("/webhooks", &[], b"")]
    {
        assert_eq!(wrong.status, 404);
        assert!(wrong.text().contains("/webhooks/NAME"), "{wrong:?}");
    }
}

#[test]
fn a_provider_without_a_secret_is_shown_and_not_verified() {
    let mut command = bare(&["listen", "--port", "0", "--json"]);
    command.env("THREEQPR_WEBHOOK_SECRET", THREEQPR);
    let listener = Listener::of(command);
    let answer = listener.post(
        "/webhooks/quote3d",
        &of_quote3d("quote.completed", COMPLETED.as_bytes()),
        COMPLETED.as_bytes(),
    );
    assert_eq!((answer.status, answer.json()), (503, json!({ "error": "secret_unavailable" })));
    let detail = listener.get("/api/deliveries/1").json();
    assert_eq!(detail["judgement"]["causes"][0]["code"], "no_secret");
    assert!(detail["judgement"]["causes"][0]["cure"].as_str().unwrap().contains("QUOTE3D_WEBHOOK_SECRET"));
}

/// An announcement ends with its second empty line.
fn is_announcement(text: &str) -> bool {
    text.matches("\n\n").count() >= 2
}

/// What a listener says before anything comes, with names for what differs each time, and on standard error.
fn announced(mut command: std::process::Command) -> (String, String) {
    let mut child = Running::start(&mut command);
    let output = child.0.stdout.take().unwrap();
    let (_output, said) = read_until(output, is_announcement);
    child.signal("INT");
    until("its end", || child.0.try_wait().unwrap());
    let mut notes = String::new();
    child.0.stderr.take().unwrap().read_to_string(&mut notes).unwrap();
    let between = |before: &str| said.split(before).nth(1).unwrap().split_whitespace().next().unwrap();
    let port = between("http://").rsplit(':').next().unwrap();
    (said.replace(between("?key="), "KEY").replace(port, "PORT"), notes)
}

#[test]
fn it_says_where_it_listens_and_what_each_provider_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let acme = written(folder.path(), "acme.json", r#"{"name":"acme","signature":{"header":"x-s"}}"#);
    let mut some = bare(&["listen", "--port", "0", "-p", &acme, "-f", "127.0.0.1:1/hooks?a"]);
    some.env("THREEQPR_WEBHOOK_SECRET", THREEQPR).env("SQUARE_WEBHOOK_SECRET", THREEQPR);
    let said = "\
listening on http://127.0.0.1:PORT
watch at     http://127.0.0.1:PORT/?key=KEY

  3QPR              http://127.0.0.1:PORT/webhooks/3qpr              secret set
  Square            http://127.0.0.1:PORT/webhooks/square            Square signs its notification URL:  \
Give --notification-url URL, or set SQUARE_NOTIFICATION_URL.
  acme              http://127.0.0.1:PORT/webhooks/acme              ACME_WEBHOOK_SECRET is not set
  no secret: quote3d, nowtoprint, standard-webhooks, stripe, github, shopify, slack, zoom, paddle, linear
  forwarded to http://127.0.0.1:1/hooks?…

";
    assert_eq!(announced(some), (said.to_owned(), String::new()));

    let said = "\
listening on http://0.0.0.0:PORT
watch at     http://127.0.0.1:PORT/?key=KEY

  no secret: quote3d, nowtoprint, 3qpr, standard-webhooks, stripe, github, shopify, slack, zoom, paddle, linear, square
  set the secret of one, such as STRIPE_WEBHOOK_SECRET (countersign providers lists them)

";
    let note = "note: other machines can send deliveries; only this machine can open the page\n";
    let none = bare(&["listen", "--port", "0", "--bind", "0.0.0.0"]);
    assert_eq!(announced(none), (said.to_owned(), note.to_owned()));

    let (said, _) = announced(with_all(&["listen", "--port", "0"]));
    assert_eq!((said.matches(" secret set\n").count(), said.contains("no secret")), (12, false), "{said}");
}

#[test]
fn what_is_passed_on_is_what_came() {
    let (notes, endpoint) = Notes::start(|count| match count {
        1 => (
            StatusCode::ACCEPTED,
            [(header::CONTENT_TYPE, "text/plain"), (header::SET_COOKIE, "a=b")],
            "thanks",
        ),
        _ => (StatusCode::FOUND, [(header::LOCATION, "/elsewhere"), (header::RETRY_AFTER, "7")], ""),
    });
    let listener = Listener::start(&["--forward-to", &format!("http://{endpoint}")]);
    let body = b"{\"event\": \"a\", \"data\": 25.50}\r\n\xff";
    let headers = [
        ("X-3QPR-Signature", sign(THREEQPR, body)),
        ("X-3QPR-Signature", "a second".to_owned()),
        ("Authorization", "Bearer kept".to_owned()),
        ("Cookie", "kept=too".to_owned()),
        ("Content-Type", "application/json; charset=utf-8".to_owned()),
        ("User-Agent", "3QPR/1".to_owned()),
        ("X-Forwarded-For", "203.0.113.7".to_owned()),
        ("Connection", "close, X-Hop".to_owned()),
        ("X-Hop", "1".to_owned()),
        ("Keep-Alive", "timeout=5".to_owned()),
        ("Proxy-Authorization", "Basic hop".to_owned()),
        ("TE", "trailers".to_owned()),
        ("Upgrade", "h2c".to_owned()),
    ];
    let answer = listener.post("/webhooks/3qpr?tenant=acme&x=%20", &headers, body);
    assert_eq!((answer.status, answer.text()), (202, "thanks".to_owned()));
    assert!(
        answer.head.contains("content-type: text/plain") && !answer.head.contains("set-cookie"),
        "{answer:?}"
    );
    let got = notes.got().remove(0);
    assert_eq!((&*got.uri, &got.body[..]), ("/webhooks/3qpr?tenant=acme&x=%20", &body[..]));
    let values = |name: &str| {
        got.headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for (name, value) in &headers[..7] {
        assert!(values(name).contains(value), "{name} is not passed on: {got:?}");
    }
    assert_eq!(values("x-3qpr-signature").len(), 2);
    for name in
        ["x-hop", "keep-alive", "proxy-authorization", "te", "upgrade", "transfer-encoding", "connection"]
    {
        assert_eq!(values(name), [""; 0], "{name} is between neighbours alone");
    }
    assert_eq!(values("host"), [endpoint.to_string()]);
    assert_eq!(values("content-length"), [body.len().to_string()]);

    // A redirect is the answer: it is not followed.
    let redirected = listener.post("/webhooks/3qpr", &[], b"");
    assert_eq!(redirected.status, 302);
    assert!(redirected.head.contains("retry-after: 7"), "{redirected:?}");
    assert_eq!(notes.got().len(), 2);
    let log = listener.logged(2);
    assert!(
        log.iter().any(|line| line["endpoint"]["status"] == 202
            && line["endpoint"]["ms"].is_number()
            && line["answered"] == 202),
        "{log:?}"
    );
}

#[test]
fn an_endpoint_with_a_path_gets_everything_there() {
    let (notes, endpoint) = Notes::answering(200);
    let listener = Listener::start(&["--forward-to", &format!("{endpoint}/hooks?a=b")]);
    listener.post("/webhooks/3qpr?c=d", &[], b"");
    listener.post("/webhooks/quote3d", &[], b"");
    assert_eq!(notes.got().iter().map(|got| &*got.uri).collect::<Vec<_>>(), ["/hooks?a=b", "/hooks?a=b"]);
}

#[test]
fn an_endpoint_that_is_gone_or_silent_is_said_to_be_so() {
    let listener = Listener::start(&["--forward-to", "127.0.0.1:1"]);
    let answer = listener.post(
        "/webhooks/3qpr",
        &[("X-3QPR-Signature", sign(THREEQPR, SCANNED.as_bytes()))],
        SCANNED.as_bytes(),
    );
    assert_eq!(answer.status, 502);
    assert_eq!(listener.logged(1)[0]["endpoint"]["state"], "unreachable");

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let listener =
        Listener::start(&["--forward-to", &silent.local_addr().unwrap().to_string(), "--timeout", "1"]);
    assert_eq!(listener.post("/webhooks/3qpr", &[], b"").status, 504);
}

/// A sender that hangs up does not keep a delivery from its endpoint.
#[test]
fn a_delivery_outlives_its_sender() {
    let (release, held) = mpsc::channel();
    let held = Mutex::new(held);
    let (notes, endpoint) = Notes::start(move |_| {
        // It ends, too, with a test that has failed.
        let _ = held.lock().unwrap().recv();
        StatusCode::OK
    });
    let listener = Listener::start(&["--forward-to", &endpoint.to_string()]);
    let mut stream = TcpStream::connect(listener.address).unwrap();
    stream.write_all(b"POST /webhooks/3qpr HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}").unwrap();
    until("the endpoint's turn", || (notes.got().len() == 1).then_some(()));
    stream.shutdown(Shutdown::Write).unwrap();
    // The listener has seen that its sender is gone: it ends the connection without an answer.
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0);
    release.send(()).unwrap();
    assert_eq!(listener.logged(1)[0]["answered"], 200);
}

#[test]
fn it_forwards_to_no_one_but_another() {
    for to in ["localhost", "127.0.0.1", "[::1]"] {
        // A port that was free may be taken a moment later.
        let ended = until("a free port", || {
            let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
            let to = format!("http://{to}:{free}/webhooks");
            let ended = run(&mut program(&["listen", "--port", &free, "--forward-to", &to]), b"");
            (!ended.err.contains("cannot listen on")).then_some(ended)
        });
        ended.is(2).says("is this listener itself");
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    run(&mut program(&["listen", "--port", &port]), b"").is(2).says("cannot listen on").says("--port");
}

#[test]
fn a_body_is_taken_up_to_its_limit_and_no_longer_one_is_kept() {
    let (notes, endpoint) = Notes::answering(200);
    let listener = Listener::start(&["--forward-to", &endpoint.to_string()]);
    let exact = vec![b' '; 1 << 20];
    assert_eq!(listener.post("/webhooks/3qpr", &[], &exact).status, 200);
    let mut stream = TcpStream::connect(listener.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let chunk = format!("100001\r\n{}\r\n0\r\n\r\n", "x".repeat(0x10_0001));
    let head = "POST /webhooks/3qpr HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(format!("{head}{chunk}").as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    assert_eq!(notes.got().len(), 1);
    let detail = listener.get("/api/deliveries/2").json();
    assert_eq!((&detail["error"], &detail["bytes"]), (&json!("body_too_large"), &json!(0)));
    // One that breaks off is not called too long.
    let broken = TcpStream::connect(listener.address).unwrap();
    broken.set_read_timeout(Some(PATIENCE)).unwrap();
    (&broken).write_all(format!("{head}not a chunk\r\n").as_bytes()).unwrap();
    (&broken).read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 400");
    assert_eq!(listener.get("/api/deliveries/3").json()["error"], "incomplete_body");
    // Of a long one, the page gets the beginning.
    let detail = listener.get("/api/deliveries/1").json();
    assert_eq!(detail["body"]["cut"], true);
    assert_eq!(detail["body"]["raw"].as_str().unwrap().len(), 256 << 10);
}

/// The stream up to the end of its first event: it has all that there is, and the stream never ends.
fn events(listener: &Listener, last: &str) -> String {
    let mut stream = TcpStream::connect(listener.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("GET /api/events?key={} HTTP/1.1\r\nHost: {}\r\n", listener.key, listener.address);
    stream.write_all(format!("{head}Last-Event-ID: {last}\r\n\r\n").as_bytes()).unwrap();
    let mut text = String::new();
    let mut stream = BufReader::new(stream);
    while !text.split_once("event: deliveries").is_some_and(|(_, event)| event.contains("\n\n")) {
        assert_ne!(stream.read_line(&mut text).unwrap(), 0, "{text}");
    }
    text
}

#[test]
fn a_stream_goes_on_where_it_broke_off() {
    let listener = Listener::start(&[]);
    let post = |body: &str| {
        let headers = [("X-3QPR-Signature", sign(THREEQPR, body.as_bytes()))];
        listener.post("/webhooks/3qpr", &headers, body.as_bytes());
    };
    post(r#"{"event":"first"}"#);
    let whole = events(&listener, "");
    assert!(whole.contains("retry: 1000") && whole.contains(r#""event":"first""#), "{whole}");
    let id = whole.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    post(r#"{"event":"second"}"#);
    let rest = events(&listener, &id);
    assert!(rest.contains(r#""event":"second""#) && !rest.contains(r#""event":"first""#), "{rest}");
    // What another process has said tells nothing.
    let all = events(&listener, "0123456789abcdef0123456789abcdef-1");
    assert!(all.contains(r#""event":"first""#) && all.contains(r#""event":"second""#), "{all}");
}

/// Of a name that a terminal would obey, and an endpoint that answers with as much.
#[test]
fn all_that_it_serves_and_prints_shows_what_is_hidden() {
    let event = "a\u{9b}2Jb\u{7f}\u{202e}c\u{2066}";
    let (_, endpoint) = Notes::start(move |_| event);
    let listener = Listener::start(&["--forward-to", &endpoint.to_string()]);
    let body = json!({ "event": event, "id": event, "data": event }).to_string();
    let headers =
        [("X-3QPR-Signature", sign(THREEQPR, body.as_bytes())), ("X-Name", event.replace('\u{7f}', ""))];
    listener.post("/webhooks/3qpr", &headers, body.as_bytes());
    let line = listener.logged(1).remove(0);
    assert_eq!(line["event"], event);
    let detail = listener.get("/api/deliveries/1");
    assert!(detail.json()["body"]["raw"].as_str().unwrap().contains(event), "{detail:?}");
    assert_eq!(detail.json()["answer"]["raw"], event);
    let curl = listener.get("/api/deliveries/1/curl").text();
    for text in [listener.printed(), events(&listener, ""), detail.text(), curl.clone()] {
        assert_eq!(hidden_in(&text.replace(['\n', '\r'], "")), [""; 0], "{text}");
    }
    // The command still delivers every byte, those of the headers as well.
    let ran = super::support::curl(&curl);
    assert!(ran.status.success(), "{curl}: {}", String::from_utf8_lossy(&ran.stderr));
    let copied = listener.get("/api/deliveries/2").json();
    assert_eq!(copied["duplicate_of"], 1);
    let name = |detail: &Value| {
        let headers = detail["headers"].as_array().unwrap();
        headers.iter().find(|header| header["name"] == "x-name").unwrap()["value"].clone()
    };
    assert_eq!(name(&copied), name(&detail.json()));
}

/// Everything that it serves and prints, for a delivery that brings credentials of its own.
#[test]
fn no_secret_and_no_credential_is_shown_anywhere() {
    let listener = Listener::start(&[]);
    let credentials = ["Bearer a-token-of-the-sender", "session=of-the-sender", "key-of-the-sender"];
    let mut headers = of_quote3d("quote.completed", COMPLETED.as_bytes());
    headers.extend([
        ("Authorization", credentials[0].to_owned()),
        ("Cookie", credentials[1].to_owned()),
        ("X-Api-Key", credentials[2].to_owned()),
    ]);
    listener.post("/webhooks/quote3d", &headers, COMPLETED.as_bytes());
    listener.post(
        "/webhooks/quote3d",
        &[("X-Webhook-Signature", sign(NOWTOPRINT, COMPLETED.as_bytes()))],
        COMPLETED.as_bytes(),
    );
    listener.logged(2);
    let stream = events(&listener, "");
    assert!(stream.contains("event: deliveries") && stream.contains("\"number\":2"), "{stream}");
    let served = ["/", "/api/deliveries/1", "/api/deliveries/1/curl", "/api/deliveries/2"]
        .map(|path| listener.get(path).text());
    assert!(served[1].contains("\"redacted\":true") && served[2].contains("x-webhook-signature"));
    // The diagnosis knows whose secret it was, and not what it is.
    assert!(served[3].contains("secret_of_other") && served[3].contains("NowToPrint"), "{}", served[3]);
    for text in served.iter().chain([&stream]) {
        shows_no_secret(text);
        for credential in credentials {
            assert!(!text.contains(credential), "{credential} is shown: {text}");
        }
    }
    listener.signal("INT");
    assert_eq!(listener.ended(), 0);
}

/// Ctrl-C ends it also while a page watches and a diagnosis runs.
#[test]
fn it_ends_when_told_whatever_goes_on() {
    let listener = Listener::start(&[]);
    let mut watching = TcpStream::connect(listener.address).unwrap();
    write!(watching, "GET /api/events?key={} HTTP/1.1\r\nHost: {}\r\n\r\n", listener.key, listener.address)
        .unwrap();
    let long = format!("{{\"event\":\"a\",\"data\":\"{}\"}}", "é/".repeat(100_000));
    let mut number = 0;
    until("a diagnosis that goes on", || {
        listener.post("/webhooks/3qpr", &[("X-3QPR-Signature", sign(QUOTE3D, b"other"))], long.as_bytes());
        number += 1;
        let key = [("X-Countersign-Token", listener.key.clone())];
        request(listener.address, "POST", &format!("/api/deliveries/{number}/diagnose"), &key, b"");
        let delivery = listener.get(&format!("/api/deliveries/{number}")).json();
        (delivery["in_diagnosis"] == true).then_some(())
    });
    listener.signal("INT");
    assert_eq!(listener.ended(), 0);
}

#[test]
fn it_ends_when_nobody_reads_its_output() {
    let mut child = Running::start(&mut program(&["listen", "--port", "0"]));
    let (output, text) = read_until(child.0.stdout.take().unwrap(), is_announcement);
    let address: std::net::SocketAddr =
        text.lines().next().unwrap().strip_prefix("listening on http://").unwrap().parse().unwrap();
    drop(output);
    // It cannot say that this came, or that it listens.
    let mut stream = TcpStream::connect(address).unwrap();
    let request = "POST /webhooks/3qpr HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    let _ = stream.write_all(request.as_bytes());
    assert_eq!(until("its end", || child.0.try_wait().unwrap()).code(), Some(141));
}
