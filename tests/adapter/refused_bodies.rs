//! What holds in every framework of the rest of a body that is refused.

use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Answer, Client, chunk, chunked, head, request, send, send_all_then_read};
use crate::common::THREEQPR;
use crate::rules::{EVENT, SIGNATURE, sign, to_nowtoprint, to_quote3d};
use crate::servers::{LIMIT, Server};

pub async fn a_request_without_a_signature_is_refused_before_its_body_is_sent(server: Server) {
    let name = "X-3QPR-Signature";
    let cases: [(&[(&str, &str)], &str); 3] = [
        (&[], "missing_signature"),
        (&[(name, "sha256=00")], "malformed_signature"),
        (&[(name, "a"), (name, "b")], "duplicate_signature"),
    ];
    let lengths = [("Content-Length", "1000000"), ("Transfer-Encoding", "chunked")];
    let each = cases.iter().flat_map(|case| lengths.map(|length| (case, length)));
    join_all(each.map(async |((headers, code), length)| {
        let head = head("/3qpr", &[headers, &[length][..]].concat());
        send(server.address, head.as_bytes()).await.is_error(401, code);
    }))
    .await;
}

pub async fn a_client_that_writes_its_whole_body_first_sees_the_refusal(Server { address, app }: Server) {
    const MIB: usize = 1 << 20;
    let signed = ("X-3QPR-Signature", &*sign("other"));
    let cases: [(&[(&str, &str)], usize, u16); 4] =
        [(&[signed], MIB + 1, 413), (&[signed], 4 * MIB, 413), (&[], 2 * MIB, 401), (&[], 7 * MIB, 401)];
    for (headers, length, expected) in cases {
        let announced = head("/3qpr", &[headers, &[("Content-Length", &length.to_string())]].concat());
        let chunked = head("/3qpr", &[headers, &[("Transfer-Encoding", "chunked")]].concat());
        let tries = if length > 4 * MIB { 5 } else { 40 };
        let seen = tokio::task::spawn_blocking(move || {
            let body = vec![b'x'; length];
            let chunk = format!("{length:x}\r\n");
            let forms: [&[&[u8]]; 2] = [
                &[announced.as_bytes(), &body],
                &[chunked.as_bytes(), chunk.as_bytes(), &body, b"\r\n0\r\n\r\n"],
            ];
            forms.map(|form| (0..tries).map(|_| send_all_then_read(address, form)).collect::<Vec<_>>())
        });
        for seen in seen.await.unwrap() {
            let others: Vec<_> =
                seen.iter().filter(|seen| !matches!(seen, Ok(status) if *status == expected)).collect();
            assert!(
                others.is_empty(),
                "{length}: {} of {tries} did not see {expected}: {:?}",
                others.len(),
                others[0]
            );
        }
    }
    assert_eq!(app.handled(), 0);
}

/// The head of a request without a signature, of a body of so many bytes.
fn unsigned(length: u64) -> String {
    head("/3qpr", &[("Content-Length", &length.to_string())])
}

pub async fn a_sender_that_stalls_after_a_refusal_is_answered_within_two_seconds(
    Server { address, .. }: Server,
) {
    for sent in [0, 10, 500_000] {
        let mut client = Client::connect(address).await;
        client.write(unsigned(1_000_000).as_bytes()).await;
        client.write(&vec![b'x'; sent]).await;
        let start = Instant::now();
        client.answer().await.is_error(401, "missing_signature");
        client.closed().await;
        assert!(start.elapsed() < Duration::from_secs(4), "{:?} after {sent} bytes", start.elapsed());
    }
}

pub async fn a_sender_that_dribbles_after_a_refusal_is_answered_within_six_seconds(
    Server { address, .. }: Server,
) {
    let (mut read, mut write) = TcpStream::connect(address).await.unwrap().into_split();
    write.write_all(unsigned(1_000_000).as_bytes()).await.unwrap();
    let dribble = tokio::spawn(async move {
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let start = Instant::now();
    let mut answer = [0; 12];
    read.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    // And its connection is closed.
    tokio::time::timeout(Duration::from_secs(10), dribble).await.unwrap().unwrap();
}

/// Writes the head of a request, and then its body until the connection is closed, or for ten seconds. Tells
/// how many MiB were taken, and whether the connection was closed.
async fn write_without_end(address: SocketAddr, head: String, piece: Vec<u8>) -> (usize, bool) {
    let write = move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let (start, mut taken) = (Instant::now(), 0);
        while start.elapsed() < Duration::from_secs(10) {
            if stream.write_all(&piece).is_err() {
                return (taken >> 20, true);
            }
            taken += piece.len();
        }
        (taken >> 20, false)
    };
    tokio::task::spawn_blocking(write).await.unwrap()
}

pub async fn a_sender_without_end_loses_the_connection(Server { address, .. }: Server) {
    // What is announced to be longer than what would be dropped is answered at once.
    let start = Instant::now();
    let mut client = Client::connect(address).await;
    client.write(unsigned((8 << 20) + 1).as_bytes()).await;
    client.answer().await.is_error(401, "missing_signature");
    assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());
    client.closed().await;
    let (taken, is_closed) = write_without_end(address, unsigned(1 << 50), vec![b'x'; 1 << 20]).await;
    assert!(is_closed, "{taken} MiB");
}

pub async fn no_more_than_8_mib_of_a_refused_body_are_read(Server { address, .. }: Server) {
    let chunked = head("/3qpr", &[("Transfer-Encoding", "chunked")]);
    let piece = chunk(&"x".repeat(1 << 20)).into_bytes();
    // And what is in buffers on the way.
    for (head, most) in [(unsigned(1 << 50), 16), (chunked, 24)] {
        let (taken, is_closed) = write_without_end(address, head, piece.clone()).await;
        assert!(is_closed && taken <= most, "{taken} MiB");
    }
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
