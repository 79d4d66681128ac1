//! What a listener withstands: readers that do not read, senders that do not send, and itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use axum::http::{StatusCode, header};
use serde_json::{Value, json};

use super::receiver::Notes;
use super::support::*;

/// A terminal that is held, or a pipe that nobody drains, stops neither deliveries nor Ctrl-C.
#[test]
fn output_that_nobody_drains_stops_nothing_and_what_is_lost_is_counted() {
    for drained in [false, true] {
        let mut child = Running::start(&mut program(&["listen", "--port", "0", "--json"]));
        let mut output = BufReader::new(child.0.stdout.take().unwrap());
        let mut first = String::new();
        output.read_line(&mut first).unwrap();
        let first: Value = serde_json::from_str(&first).unwrap();
        let address = first["listening"].as_str().unwrap().strip_prefix("http://").unwrap().parse().unwrap();
        for _ in 0..900 {
            assert_eq!(request(address, "POST", "/webhooks/3qpr", &[], b"").status, 401);
        }
        if drained {
            let mut lines = output.by_ref().lines().map(Result::unwrap);
            let dropped = lines
                .find_map(|line| serde_json::from_str::<Value>(&line).unwrap()["lines_dropped"].as_u64());
            assert!(dropped.is_some_and(|dropped| dropped > 0), "{dropped:?}");
        }
        child.signal("INT");
        assert_eq!(until("its end", || child.0.try_wait().unwrap()).code(), Some(0));
    }
}

#[test]
fn no_name_of_the_listener_itself_makes_it_forward_to_itself() {
    for to in ["0.0.0.0", "LOCALHOST", "[::ffff:127.0.0.1]", "127.1"] {
        // A port that was free, and so most often still is.
        let listener = until("a port of its own", || {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
            let to = format!("http://{to}:{port}");
            Listener::try_of(program(&["listen", "--json", "--port", &port, "--forward-to", &to])).ok()
        });
        assert_eq!(listener.post("/webhooks/3qpr", &[], b"").status, 502, "{to}");
        let said = listener.logged(1)[0]["endpoint"]["message"].as_str().unwrap().to_owned();
        assert!(said.contains("this listener itself"), "{to}: {said}");
        assert_eq!(listener.get("/api/deliveries/2").status, 404, "{to}");
    }
}

/// A browser that hangs up does not take back what it has sent again.
#[test]
fn what_is_sent_again_outlives_its_page() {
    let (notes, endpoint) = Notes::start(|_| {
        std::thread::sleep(Duration::from_millis(300));
        StatusCode::OK
    });
    let listener = Listener::start(&["--forward-to", &endpoint.to_string()]);
    listener.post("/webhooks/3qpr", &[], b"");
    let mut stream = TcpStream::connect(listener.address).unwrap();
    let head = format!("Host: {}\r\nX-Countersign-Token: {}", listener.address, listener.key);
    write!(stream, "POST /api/deliveries/1/resend HTTP/1.1\r\n{head}\r\nContent-Length: 0\r\n\r\n").unwrap();
    until("the endpoint's turn", || (notes.got().len() == 2).then_some(()));
    drop(stream);
    assert_eq!(listener.logged(2)[1]["answered"], 200);
}

/// The delivery of one that sends is the first, though others began before it.
#[test]
fn slow_senders_keep_nobody_from_their_turn() {
    let (_, endpoint) = Notes::answering(200);
    let listener = Listener::start(&["--forward-to", &endpoint.to_string()]);
    let slow: Vec<_> = (0..80)
        .map(|_| {
            let mut stream = TcpStream::connect(listener.address).unwrap();
            stream
                .write_all(b"POST /webhooks/3qpr HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{")
                .unwrap();
            stream
        })
        .collect();
    let headers = [("X-3QPR-Signature", sign(THREEQPR, SCANNED.as_bytes()))];
    assert_eq!(listener.post("/webhooks/3qpr", &headers, SCANNED.as_bytes()).status, 200);
    assert_eq!(listener.get("/api/deliveries/1").json()["verdict"], "accepted");
    drop(slow);
}

/// A server that gives each request these bytes for an answer.
fn answering_bytes(answer: &'static str) -> std::net::SocketAddr {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in server.incoming().map_while(Result::ok) {
            let mut request = [0; 4_096];
            let read = stream.read(&mut request).unwrap();
            assert!(read > 0);
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    address
}

#[test]
fn a_sender_gets_the_answer_with_what_it_takes_to_read_it() {
    let (_, endpoint) = Notes::start(|count| match count {
        1 => (
            StatusCode::SEE_OTHER,
            [(header::LOCATION, "/elsewhere"), (header::CONTENT_ENCODING, "identity")],
            "x".repeat(16 << 10),
        ),
        _ => (
            StatusCode::OK,
            [(header::LOCATION, "/"), (header::CONTENT_ENCODING, "identity")],
            "x".repeat((16 << 10) + 1),
        ),
    });
    let listener = Listener::start(&["--forward-to", &endpoint.to_string()]);
    let answer = listener.post("/webhooks/3qpr", &[], b"");
    assert!(answer.head.contains("location: /elsewhere"), "{}", answer.head);
    assert!(answer.head.contains("content-encoding: identity"), "{}", answer.head);
    listener.post("/webhooks/3qpr", &[], b"");
    for (number, cut) in [(1, false), (2, true)] {
        let detail = listener.get(&format!("/api/deliveries/{number}")).json();
        assert_eq!((&detail["endpoint"]["cut"], &detail["answer"]["cut"]), (&json!(cut), &json!(cut)));
    }
}

/// Where the endpoint is, is nobody's business but that of whoever reads the page.
#[test]
fn a_sender_is_not_told_why_the_endpoint_does_not_answer() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let switching =
        answering_bytes("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n");
    for (endpoint, why) in [(free, "no connection"), (switching, "101")] {
        let listener = Listener::start(&["--forward-to", &endpoint.to_string()]);
        let answer = listener.post("/webhooks/3qpr", &[], b"");
        assert_eq!((answer.status, answer.json()), (502, json!({ "error": "endpoint_unreachable" })));
        let said = listener.logged(1)[0]["endpoint"]["message"].as_str().unwrap().to_owned();
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn an_endpoint_s_query_is_sent_and_not_shown() {
    let (notes, endpoint) = Notes::answering(200);
    let to = format!("http://{endpoint}/?token=of-nobodys-business");
    let listener = Listener::start(&["--forward-to", &to]);
    listener.post("/webhooks/3qpr?c=d", &[], b"");
    assert_eq!(notes.got()[0].uri, "/?token=of-nobodys-business");
    let page = listener.get("/").text();
    assert!(page.contains(&format!("http://{endpoint}/?…")) && !page.contains("nobodys-business"));

    let mut child = Running::start(&mut program(&["listen", "--port", "0", "--forward-to", &to]));
    let mut said = String::new();
    let mut output = BufReader::new(child.0.stdout.take().unwrap());
    while !said.contains("forwarded to") {
        assert_ne!(output.read_line(&mut said).unwrap(), 0, "{said}");
    }
    assert!(said.contains("/?…") && !said.contains("nobodys-business"), "{said}");
    run(&mut program(&["listen", "--forward-to", "ftp://a/?token=of-nobodys-business"]), b"").is(2);
}

#[test]
fn a_name_is_listed_by_its_beginning() {
    let listener = Listener::start(&[]);
    let body = format!(r#"{{"event":"{0}","id":"{0}","data":{{}}}}"#, "x".repeat(100_000));
    let headers = [("X-3QPR-Signature", sign(THREEQPR, body.as_bytes()))];
    assert_eq!(listener.post("/webhooks/3qpr", &headers, body.as_bytes()).status, 200);
    let line = &listener.logged(1)[0];
    assert!(line["event"].as_str().unwrap().starts_with(&format!("{}…", "x".repeat(200))));
    assert!(line.to_string().len() < 2_000, "{}", line.to_string().len());
}

/// Whoever keeps a connection and says nothing, or half of it, does so for a while only.
#[test]
fn a_silent_sender_loses_its_place() {
    let listener = Listener::start(&[]);
    let half = "POST /webhooks/3qpr HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{";
    let senders = ["", "POST /webhooks/3qpr HTTP/1.1\r\n", half].map(|said| {
        let mut stream = TcpStream::connect(listener.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(said.as_bytes()).unwrap();
        stream
    });
    let heard = senders.map(|mut stream| {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    });
    assert!(heard[2].contains("incomplete_body"), "{heard:?}");
    assert_eq!(listener.logged(1)[0]["error"], "incomplete_body");
}

/// How many of the deliveries that are kept have been diagnosed, when none waits for it any more.
fn diagnosed(listener: &Listener, numbers: std::ops::RangeInclusive<u64>) -> usize {
    let reasons = numbers.filter(|number| {
        let detail = until("its diagnosis", || {
            let detail = listener.get(&format!("/api/deliveries/{number}")).json();
            (detail["in_diagnosis"] == false).then_some(detail)
        });
        let finding = detail["judgement"]["finding"].as_str().unwrap().to_owned();
        !finding.starts_with("not diagnosed")
    });
    reasons.count()
}

/// A diagnosis of the longest body hashes 512 MiB: whoever sends bodies must not make the listener do so.
#[test]
fn a_long_body_is_diagnosed_when_somebody_asks_for_it() {
    let listener = Listener::start(&[]);
    let forged = |body: &[u8]| {
        let headers = [("X-3QPR-Signature", sign(QUOTE3D, b"another body"))];
        assert_eq!(listener.post("/webhooks/3qpr", &headers, body).status, 401);
    };
    let longest_unasked = vec![b' '; 64 << 10];
    let long = format!("{{\"event\":\"a\",\"data\":\"{}\"}}", "x".repeat((1 << 20) - 30));
    for _ in 0..30 {
        forged(long.as_bytes());
    }
    forged(&[&longest_unasked[..], b" "].concat());
    forged(&longest_unasked);
    forged(SCANNED.as_bytes());
    assert_eq!(diagnosed(&listener, 1..=31), 0);
    assert_eq!(diagnosed(&listener, 32..=33), 2);
    let detail = listener.get("/api/deliveries/1").json();
    assert_eq!((&detail["can_be_diagnosed"], &detail["in_diagnosis"]), (&json!(true), &json!(false)));
    assert_eq!(listener.get("/api/deliveries/33").json()["can_be_diagnosed"], false);

    let ask = |number: u64, headers: &[(&str, String)]| {
        request(listener.address, "POST", &format!("/api/deliveries/{number}/diagnose"), headers, b"").status
    };
    let key = [("X-Countersign-Token", listener.key.clone())];
    assert_eq!(ask(7, &[]), 403);
    assert_eq!(ask(7, &key), 202);
    assert_eq!((ask(33, &key), ask(99, &key)), (409, 404));
    assert_eq!(diagnosed(&listener, 1..=31), 1);
    let detail = listener.get("/api/deliveries/7").json();
    assert_eq!(detail["judgement"]["hints"][0]["code"], "unfinished");
    assert_eq!((detail["can_be_diagnosed"].as_bool(), ask(7, &key)), (Some(false), 409));
}

/// The page marks the difference, for which it needs all of both bodies.
#[test]
fn the_signed_body_is_shown_if_both_bodies_fit() {
    const SHOWN: usize = 256 << 10;
    let listener = Listener::start(&[]);
    let text = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
    let line = |length: usize| text(length - 1) + "\n";
    for (number, received, signed, code, is_told) in [
        (1, line(SHOWN), text(SHOWN - 1), "body_newline_added", true),
        (2, line(SHOWN + 1), text(SHOWN), "body_newline_added", false),
        (3, text(SHOWN - 1), line(SHOWN), "body_newline_lost", true),
        (4, text(SHOWN), line(SHOWN + 1), "body_newline_lost", false),
    ] {
        let headers = [("X-3QPR-Signature", sign(THREEQPR, signed.as_bytes()))];
        let answer = listener.post("/webhooks/3qpr", &headers, received.as_bytes());
        assert_eq!(answer.status, 401);
        let key = [("X-Countersign-Token", listener.key.clone())];
        until("its turn to be asked for", || {
            let path = format!("/api/deliveries/{number}/diagnose");
            (listener.post(&path, &key, b"").status == 202).then_some(())
        });
        let detail = until("its diagnosis", || {
            let detail = listener.get(&format!("/api/deliveries/{number}")).json();
            (detail["in_diagnosis"] == false).then_some(detail)
        });
        assert_eq!(detail["causes"][0]["code"], code);
        assert_eq!(detail["signed"], is_told.then_some(signed).map_or(Value::Null, Value::from));
    }
}
