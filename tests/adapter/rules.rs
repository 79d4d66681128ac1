//! What holds in every framework.

use std::sync::Arc;
use std::time::Duration;

use countersign::provider::ThreeQpr;

use crate::client::{Answer, Client, chunk, chunked, head, request, send};
use crate::common::{NOWTOPRINT, QUOTE3D, THREEQPR, until, webhook};
use crate::servers::{LIMIT, STORE_CAPACITY, Server};

pub(crate) const SIGNATURE: &str = "X-Webhook-Signature";
pub(crate) const EVENT: (&str, &str) = ("X-Webhook-Event", "quote.completed");

pub(crate) fn sign(body: &str) -> String {
    webhook::<ThreeQpr>().sign(body.as_bytes()).to_string()
}

pub(crate) fn to_quote3d() -> Vec<u8> {
    request("/quote3d", &[(SIGNATURE, &sign(QUOTE3D)), EVENT], QUOTE3D)
}

pub(crate) fn to_nowtoprint(body: &str) -> Vec<u8> {
    request("/nowtoprint", &[(SIGNATURE, &sign(body))], body)
}

pub async fn the_documented_deliveries_are_accepted(Server { address, app }: Server) {
    let key = "quote3d:sha256:40d99dbca215dd13c968b53bcab954dd7f73d7e1289002e0ee46e7e484c428c9";
    send(address, &to_quote3d()).await.is(200, key);
    let headers = [("X-3QPR-Signature", &*sign(THREEQPR))];
    send(address, &request("/3qpr", &headers, THREEQPR)).await.is(200, "scan.created");
    for _ in 0..2 {
        send(address, &to_nowtoprint(NOWTOPRINT)).await.is(200, "");
    }
    assert_eq!(app.handled(), 3);
}

pub async fn every_refusal_is_its_status_and_its_code_and_no_more(Server { address, app }: Server) {
    let right = &*sign(QUOTE3D);
    let other = &*sign("other");
    let lacking = r#"{"event":"quote.completed","data":{}}"#;
    let envelope = r#"["quote.completed"]"#;
    let cases: [(&[(&str, &str)], &str, u16, &str); 11] = [
        (&[EVENT], QUOTE3D, 401, "missing_signature"),
        (&[EVENT, (SIGNATURE, right), (SIGNATURE, right)], QUOTE3D, 401, "duplicate_signature"),
        (&[EVENT, (SIGNATURE, &right.to_uppercase())], QUOTE3D, 401, "malformed_signature"),
        (&[EVENT, (SIGNATURE, &format!("{right}, {right}"))], QUOTE3D, 401, "malformed_signature"),
        (&[EVENT, (SIGNATURE, other)], QUOTE3D, 401, "signature_mismatch"),
        (&[EVENT, (SIGNATURE, &sign(envelope))], envelope, 400, "malformed_payload"),
        (&[(SIGNATURE, right)], QUOTE3D, 400, "missing_event_header"),
        (&[EVENT, EVENT, (SIGNATURE, right)], QUOTE3D, 400, "duplicate_event_header"),
        (&[("X-Webhook-Event", "quote.failed"), (SIGNATURE, right)], QUOTE3D, 400, "event_mismatch"),
        (&[EVENT, (SIGNATURE, &sign(lacking))], lacking, 422, "invalid_event"),
        (&[EVENT, (SIGNATURE, right)], &"x".repeat(LIMIT + 1), 413, "body_too_large"),
    ];
    for (headers, body, status, code) in cases {
        send(address, &request("/quote3d", headers, body)).await.is_error(status, code);
        send(address, &chunked("/quote3d", headers, &[body])).await.is_error(status, code);
    }
    // The whole endpoint answers alike, and knows one more.
    let cases: [(&[(&str, &str)], &str, u16, &str); 4] = [
        (&[], NOWTOPRINT, 401, "missing_signature"),
        (&[(SIGNATURE, right)], NOWTOPRINT, 401, "signature_mismatch"),
        (&[(SIGNATURE, &sign(envelope))], envelope, 400, "malformed_payload"),
        (&[(SIGNATURE, other)], &"x".repeat((1 << 20) + 1), 413, "body_too_large"),
    ];
    for (headers, body, status, code) in cases {
        send(address, &request("/nowtoprint", headers, body)).await.is_error(status, code);
    }
    assert_eq!(app.handled(), 0);
    assert!(app.receiver.store().is_empty());

    let lacking = r#"{"event":"quote.received","id":"evt_1","data":{}}"#;
    send(address, &to_nowtoprint(lacking)).await.is_error(422, "invalid_event");
}

pub async fn a_body_is_refused_for_its_length_before_it_has_come(Server { address, .. }: Server) {
    let signature = (SIGNATURE, &*sign(""));
    // The head alone, of a body that never comes.
    for length in [&*(LIMIT + 1).to_string(), "1099511627776"] {
        let head = head("/quote3d", &[signature, ("Content-Length", length)]);
        send(address, head.as_bytes()).await.is_error(413, "body_too_large");
    }
    let head_of = head("/3qpr", &[("X-3QPR-Signature", signature.1), ("Content-Length", "1048577")]);
    send(address, head_of.as_bytes()).await.is_error(413, "body_too_large");
    // Without a length it is read, but not beyond the limit: what follows never comes.
    let head = head("/quote3d", &[signature, ("Transfer-Encoding", "chunked")]);
    let (half, byte) = (chunk(&"x".repeat(LIMIT / 2)), chunk("x"));
    send(address, format!("{head}{half}{half}{byte}").as_bytes()).await.is_error(413, "body_too_large");
    // A body of just the limit is taken.
    let body = "x".repeat(LIMIT);
    let request = request("/quote3d", &[(SIGNATURE, &sign(&body))], &body);
    send(address, &request).await.is_error(400, "malformed_payload");
}

pub async fn a_body_may_arrive_in_any_pieces(Server { address, app }: Server) {
    let headers = [(SIGNATURE, &*sign(NOWTOPRINT))];
    let mut clients = Vec::new();
    for cut in 1..NOWTOPRINT.len() {
        let mut client = Client::connect(address).await;
        let (first, second) = NOWTOPRINT.split_at(cut);
        client.write(&chunked("/nowtoprint", &headers, &[first, second])).await;
        clients.push(client);
    }
    let bytes: Vec<_> = NOWTOPRINT.split("").collect();
    let bytes = &bytes[1..bytes.len() - 1];
    let mut client = Client::connect(address).await;
    client.write(&chunked("/nowtoprint", &headers, bytes)).await;
    clients.push(client);
    for mut client in clients {
        let answer = client.answer().await;
        // They are one event: all but one come while it is handled, or after.
        assert!(answer.0 == 200 || (answer.0 == 409 && answer.1.contains("retry-after: ")), "{answer:?}");
    }
    assert_eq!(app.handled(), 1);
}

pub async fn a_client_that_expects_to_be_told_to_continue_is(Server { address, app }: Server) {
    let length = QUOTE3D.len().to_string();
    let expect = [("Expect", "100-continue"), ("Content-Length", &*length), EVENT];
    let mut client = Client::connect(address).await;
    let right = head("/quote3d", &[&expect[..], &[(SIGNATURE, &*sign(QUOTE3D))]].concat());
    client.write(right.as_bytes()).await;
    assert_eq!(client.answer().await.0, 100);
    client.write(QUOTE3D.as_bytes()).await;
    assert_eq!(client.answer().await.0, 200);
    // Unsigned, it is refused without its body. (actix-web says to continue by itself, and then this.)
    let mut client = Client::connect(address).await;
    client.write(head("/quote3d", &expect).as_bytes()).await;
    let mut answer = client.answer().await;
    if answer.0 == 100 {
        answer = client.answer().await;
    }
    answer.is_error(401, "missing_signature");
    assert_eq!(app.handled(), 1);
}

/// Waits until nobody but the server itself holds the receiver, as they do while a request is handled.
async fn settled(Server { app, .. }: &Server, holders: usize) {
    for _ in 0..1_000 {
        if Arc::strong_count(&app.receiver) <= holders {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} hold the receiver", Arc::strong_count(&app.receiver));
}

pub async fn a_client_that_stalls_or_hangs_up_in_the_body_leaves_nothing(server: Server) {
    let Server { address, app } = &server;
    let whole = to_nowtoprint(NOWTOPRINT);
    send(*address, &request("/nowtoprint", &[], "")).await.is_error(401, "missing_signature");
    let holders = Arc::strong_count(&app.receiver);
    let mut stalled = Vec::new();
    for missing in [1, 10, NOWTOPRINT.len()] {
        let mut client = Client::connect(*address).await;
        client.write(&whole[..whole.len() - missing]).await;
        stalled.push(client);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!((app.handled(), app.receiver.store().len()), (0, 0));
    // Others are served meanwhile.
    send(*address, &to_quote3d()).await.is(200, &send(*address, &to_quote3d()).await.2);
    drop(stalled);
    settled(&server, holders).await;
    assert_eq!((app.handled(), app.receiver.store().len()), (2, 0));
    send(*address, &whole).await.is(200, "");
}

pub async fn a_client_that_hangs_up_in_the_handler_leaves_the_claim_to_its_lease(server: Server) {
    let Server { address, app } = &server;
    let slow = to_nowtoprint(r#"{"event":"quote.updated","id":"evt_slow","data":"slow"}"#);
    let mut client = Client::connect(*address).await;
    client.write(&slow).await;
    until("the event is claimed", || !app.receiver.store().is_empty()).await;
    drop(client);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let answer = send(*address, &slow).await;
    answer.is_error(409, "in_flight");
    assert!(answer.has_a_lease_to_run(), "{answer:?}");
    assert_eq!(app.handled(), 0);
}

pub async fn a_header_of_64_kib_harms_nobody(Server { address, app }: Server) {
    let long = "x".repeat(64 << 10);
    let signed = (SIGNATURE, &*sign(QUOTE3D));
    for (headers, status) in [
        (vec![EVENT, (SIGNATURE, &*long)], 401),
        (vec![signed, ("X-Webhook-Event", &*long)], 400),
        (vec![signed, EVENT, ("X-Other", &*long)], 200),
    ] {
        let answer = send(address, &request("/quote3d", &headers, QUOTE3D)).await;
        assert_eq!(answer.0, status, "{}", answer.2);
    }
    send(address, &to_quote3d()).await;
    assert_eq!(app.handled(), 2);
}

pub async fn headers_without_number_harm_nobody(Server { address, app }: Server) {
    let signature = sign(QUOTE3D);
    let mut headers = vec![("X-Other", "x"); 6_000];
    headers.extend([(SIGNATURE, &*signature), EVENT]);
    let mut client = Client::connect(address).await;
    client.write(&request("/quote3d", &headers, QUOTE3D)).await;
    // The server's own refusal, with a status or by closing the connection.
    if let Some(answer) = client.next().await {
        assert!((400..=431).contains(&answer.0), "{answer:?}");
    }
    assert_eq!(app.handled(), 0);
    assert_eq!(send(address, &to_quote3d()).await.0, 200);
}

pub async fn a_handler_that_fails_is_500_and_a_store_that_fails_503(Server { address, app }: Server) {
    let failing = r#"{"event":"quote.updated","id":"evt_failing","data":"failing"}"#;
    for _ in 0..2 {
        send(address, &to_nowtoprint(failing)).await.is_error(500, "handler_failed");
    }
    let mut handled = 0;
    // Until the store is full: the key that was given back has its place in it too.
    let refused = loop {
        let body = format!(r#"{{"event":"quote.updated","id":"evt_{handled}","data":{{}}}}"#);
        match send(address, &to_nowtoprint(&body)).await {
            Answer(200, ..) => handled += 1,
            refused => break refused,
        }
        assert!(handled <= STORE_CAPACITY);
    };
    refused.is_error(503, "store_unavailable");
    assert!(handled > 0 && app.handled() == handled);
}
