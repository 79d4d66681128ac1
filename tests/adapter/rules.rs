//! What holds in every framework.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use countersign::Signature;
use countersign::provider::ThreeQpr;

use crate::client::{Answer, Client, chunk, chunked, head, request, send};
use crate::common::{NOWTOPRINT, QUOTE3D, THREEQPR, webhook};
use crate::servers::{LIMIT, STORE_CAPACITY, Server, tenants_secret};

const SIGNATURE: &str = "X-Webhook-Signature";
const EVENT: (&str, &str) = ("X-Webhook-Event", "quote.completed");

fn sign(body: &str) -> String {
    webhook::<ThreeQpr>().sign(body.as_bytes()).to_string()
}

fn to_quote3d() -> Vec<u8> {
    request("/quote3d", &[(SIGNATURE, &sign(QUOTE3D)), EVENT], QUOTE3D)
}

fn to_nowtoprint(body: &str) -> Vec<u8> {
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

pub async fn a_request_without_a_signature_is_refused_before_its_body_is_sent(server: Server) {
    let name = "X-3QPR-Signature";
    let cases: [(&[(&str, &str)], &str); 3] = [
        (&[], "missing_signature"),
        (&[(name, "sha256=00")], "malformed_signature"),
        (&[(name, "a"), (name, "b")], "duplicate_signature"),
    ];
    for (headers, code) in cases {
        for length in [("Content-Length", "1000000"), ("Transfer-Encoding", "chunked")] {
            let head = head("/3qpr", &[headers, &[length]].concat());
            send(server.address, head.as_bytes()).await.is_error(401, code);
        }
    }
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
    while app.receiver.store().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(client);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let answer = send(*address, &slow).await;
    answer.is_error(409, "in_flight");
    assert!(answer.1.contains("retry-after: 60"), "{answer:?}");
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

pub async fn requests_after_a_refusal_are_answered_each_by_its_own(Server { address, .. }: Server) {
    let forged = request("/3qpr", &[("X-3QPR-Signature", &sign("other"))], THREEQPR);
    let right = request("/3qpr", &[("X-3QPR-Signature", &sign(THREEQPR))], THREEQPR);
    // Their bodies were read, so the connection is good for more.
    let mut client = Client::connect(address).await;
    client.write(&[forged.clone(), right.clone(), forged, right.clone()].concat()).await;
    for status in [401, 200, 401, 200] {
        assert_eq!(client.answer().await.0, status);
    }
    // Of an unread body the server may take the rest, or close: the next request is its own either way.
    let unsigned = request("/3qpr", &[], THREEQPR);
    let mut client = Client::connect(address).await;
    client.write(&[unsigned, right].concat()).await;
    client.answer().await.is_error(401, "missing_signature");
    if let Some(answer) = client.next().await {
        answer.is(200, "scan.created");
    }
}

pub async fn what_stands_in_a_refused_body_is_no_request(Server { address, app }: Server) {
    let smuggled = String::from_utf8(to_quote3d()).unwrap();
    let padded = format!("{}{smuggled}", "x".repeat(LIMIT + 1));
    let of_unread_bodies = [
        request("/quote3d", &[EVENT], &smuggled),
        request("/quote3d", &[EVENT, (SIGNATURE, &sign("other"))], &padded),
        chunked("/quote3d", &[EVENT], &[&smuggled]),
        chunked("/quote3d", &[EVENT, (SIGNATURE, &sign("other"))], &[&"x".repeat(LIMIT + 1), &smuggled]),
    ];
    for request in of_unread_bodies {
        let mut client = Client::connect(address).await;
        client.write(&request).await;
        let answer = client.answer().await;
        assert!([401, 413].contains(&answer.0), "{answer:?}");
        // Another request on the connection, so that whatever the server kept is read.
        client.write(&to_nowtoprint(r#"{"event":"quote.updated","id":"evt_after","data":{}}"#)).await;
        if let Some(Answer(status, _, body)) = client.next().await {
            assert!(!body.contains("quote3d:"), "{status} {body}");
        }
    }
    assert_eq!(app.handled(), app.receiver.store().len(), "only what was sent after");
}

fn to_tenant(tenant: &str, signed_by: &str) -> Vec<u8> {
    let signature = Signature::sign(&tenants_secret(signed_by), THREEQPR.as_bytes()).to_string();
    request(&format!("/tenants/{tenant}/3qpr"), &[("X-3QPR-Signature", &signature)], THREEQPR)
}

pub async fn a_tenants_secret_is_good_for_its_own_path(Server { address, app }: Server) {
    for tenant in ["acme", "globex"] {
        // The same event of two tenants has two keys.
        let key = format!("3qpr@{tenant}:evt_01HXYZSCAN");
        send(address, &to_tenant(tenant, tenant)).await.is(200, &key);
    }
    for (tenant, signed_by) in [("acme", "globex"), ("globex", "acme")] {
        send(address, &to_tenant(tenant, signed_by)).await.is_error(401, "signature_mismatch");
    }
    assert_eq!(app.handled(), 2);
}

pub async fn a_tenant_that_does_not_exist_is_answered_like_a_bad_signature(server: Server) {
    let Server { address, app } = server;
    let path = |tenant| format!("/tenants/{tenant}/3qpr");
    let empty_key = "sha256=b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad";
    let mut answers = Vec::new();
    for tenant in ["acme", "nobody"] {
        let mut of_tenant = vec![send(address, &to_tenant(tenant, "globex")).await];
        for headers in [
            &[][..],
            &[("X-3QPR-Signature", "sha256=00")],
            &[("X-3QPR-Signature", empty_key)],
            &[("X-3QPR-Signature", "a"), ("X-3QPR-Signature", "a")],
            &[("X-3QPR-Signature", empty_key), ("Content-Length", "1048577")],
        ] {
            let request = match headers {
                [.., ("Content-Length", _)] => head(&path(tenant), headers).into_bytes(),
                _ => request(&path(tenant), headers, ""),
            };
            of_tenant.push(send(address, &request).await);
        }
        // All but the date, which is the time of the answer.
        answers.push(
            of_tenant
                .into_iter()
                .map(|Answer(status, head, body)| {
                    let head = head.lines().filter(|line| !line.starts_with("date: "));
                    (status, head.collect::<String>(), body)
                })
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!(answers[0], answers[1]);
    let statuses: Vec<_> = answers[0].iter().map(|answer| answer.0).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 401, 413]);
    assert_eq!(app.handled(), 0);
}

pub async fn secrets_that_cannot_be_looked_up_are_503(Server { address, app }: Server) {
    send(address, &to_tenant("outage", "acme")).await.is_error(503, "secret_unavailable");
    assert_eq!(app.handled(), 0);
}

pub async fn a_maximum_age_holds_and_its_end_is_stale(Server { address, app }: Server) {
    let signed = |time: &str| {
        let body = format!(r#"{{"event":"scan.created","id":"evt_1","timestamp":"{time}","data":{{}}}}"#);
        let signature = Signature::sign(&tenants_secret("aging"), body.as_bytes()).to_string();
        request("/tenants/aging/3qpr", &[("X-3QPR-Signature", &signature)], &body)
    };
    let now = humantime::format_rfc3339(SystemTime::now()).to_string();
    let long_ago = humantime::format_rfc3339(SystemTime::now() - Duration::from_secs(3_700)).to_string();
    send(address, &signed(&now)).await.is(200, "3qpr@aging:evt_1");
    send(address, &signed(&long_ago)).await.is_error(400, "stale");
    assert_eq!(app.handled(), 1);
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
