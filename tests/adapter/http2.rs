//! HTTP/2 without TLS, in axum and hyper: what one stream does, and what it does to the others of its connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use http::{HeaderMap, Request};
use tokio::net::TcpStream;

use crate::client::Answer;
use crate::common::{NOWTOPRINT, QUOTE3D, THREEQPR, until, within_30_s};
use crate::rules::{EVENT, SIGNATURE, sign};
use crate::servers::{LIMIT, STORE_CAPACITY, Server};

macro_rules! in_axum_and_hyper {
    ($($rule:ident)*) => {
        mod axum { $(#[tokio::test] async fn $rule() { super::$rule(crate::servers::axum().await).await })* }
        mod hyper { $(#[tokio::test] async fn $rule() { super::$rule(crate::servers::hyper().await).await })* }
    };
}

in_axum_and_hyper! {
    the_documented_deliveries_are_accepted
    every_refusal_is_its_status_and_its_code_and_leaves_the_connection_open
    a_body_may_arrive_in_any_frames_with_trailers_after_it
    a_body_that_is_reset_or_of_another_length_leaves_nothing
    a_stream_that_is_reset_in_the_handler_leaves_the_claim_to_its_lease
    an_event_on_many_streams_at_once_is_handled_once
    refused_bodies_that_nobody_reads_hold_up_no_other_stream
}

/// A connection, on which streams are opened.
pub(crate) struct Connection(SendRequest<Bytes>);

/// A request whose head is sent.
pub(crate) struct Stream {
    answer: ResponseFuture,
    body: SendStream<Bytes>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (requests, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self(requests)
    }

    pub(crate) async fn head(&self, path: &str, headers: &[(&str, &str)]) -> Result<Stream, h2::Error> {
        let mut request = Request::post(format!("http://localhost{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut requests = self.0.clone().ready().await?;
        let (answer, body) = requests.send_request(request.body(()).unwrap(), false)?;
        Ok(Stream { answer, body })
    }

    async fn send(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut stream = self.head(path, headers).await.unwrap();
        stream.end(body);
        stream.answer().await.unwrap()
    }

    async fn to_nowtoprint(&self, body: &str) -> Answer {
        self.send("/nowtoprint", &[(SIGNATURE, &sign(body))], body).await
    }
}

impl Stream {
    /// Sends a piece of the body. The server may have ended the stream already.
    pub(crate) fn piece(&mut self, piece: &str) {
        let _ = self.body.send_data(Bytes::copy_from_slice(piece.as_bytes()), false);
    }

    pub(crate) fn end(&mut self, rest: &str) {
        let _ = self.body.send_data(Bytes::copy_from_slice(rest.as_bytes()), true);
    }

    pub(crate) async fn answer(self) -> Result<Answer, h2::Error> {
        let answer = async {
            let (head, mut body) = self.answer.await?.into_parts();
            let mut text = Vec::new();
            while let Some(piece) = body.data().await {
                text.extend_from_slice(&piece?);
            }
            let lines =
                head.headers.iter().map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap()));
            Ok(Answer(head.status.as_u16(), lines.collect(), String::from_utf8(text).unwrap()))
        };
        within_30_s("an answer, or the end", answer).await
    }
}

async fn the_documented_deliveries_are_accepted(Server { address, app }: Server) {
    let connection = Connection::open(address).await;
    let key = "quote3d:sha256:40d99dbca215dd13c968b53bcab954dd7f73d7e1289002e0ee46e7e484c428c9";
    connection.send("/quote3d", &[(SIGNATURE, &sign(QUOTE3D)), EVENT], QUOTE3D).await.is(200, key);
    let headers = [("X-3QPR-Signature", &*sign(THREEQPR))];
    connection.send("/3qpr", &headers, THREEQPR).await.is(200, "scan.created");
    for _ in 0..2 {
        connection.to_nowtoprint(NOWTOPRINT).await.is(200, "");
    }
    assert_eq!((app.handled(), app.receiver.store().len()), (3, 1));
}

async fn every_refusal_is_its_status_and_its_code_and_leaves_the_connection_open(
    Server { address, app }: Server,
) {
    let right = &*sign(QUOTE3D);
    let other = &*sign("other");
    let over = (LIMIT + 1).to_string();
    let cases: [(&[(&str, &str)], &str, u16, &str); 9] = [
        (&[EVENT], QUOTE3D, 401, "missing_signature"),
        // Fields of one name stay apart, also where they are equal.
        (&[EVENT, (SIGNATURE, right), (SIGNATURE, right)], QUOTE3D, 401, "duplicate_signature"),
        (&[EVENT, (SIGNATURE, right), (SIGNATURE, other)], QUOTE3D, 401, "duplicate_signature"),
        (&[EVENT, (SIGNATURE, &format!("{right}, {right}"))], QUOTE3D, 401, "malformed_signature"),
        (&[EVENT, (SIGNATURE, other)], QUOTE3D, 401, "signature_mismatch"),
        (&[EVENT, EVENT, (SIGNATURE, right)], QUOTE3D, 400, "duplicate_event_header"),
        (&[(SIGNATURE, right)], QUOTE3D, 400, "missing_event_header"),
        // Announced and not.
        (&[(SIGNATURE, right), ("Content-Length", &over)], "", 413, "body_too_large"),
        (&[(SIGNATURE, right)], &"x".repeat(LIMIT + 1), 413, "body_too_large"),
    ];
    let connection = Connection::open(address).await;
    for (headers, body, status, code) in cases {
        let mut stream = connection.head("/quote3d", headers).await.unwrap();
        stream.piece(body);
        // What is announced to be too long is answered before it comes.
        if code != "body_too_large" {
            stream.end("");
        }
        stream.answer().await.unwrap().is_error(status, code);
    }
    let cases: [(&[(&str, &str)], &str); 3] = [
        (&[], "missing_signature"),
        (&[(SIGNATURE, other)], "signature_mismatch"),
        (&[(SIGNATURE, right), (SIGNATURE, right)], "duplicate_signature"),
    ];
    for (headers, code) in cases {
        connection.send("/nowtoprint", headers, NOWTOPRINT).await.is_error(401, code);
    }
    assert_eq!((app.handled(), app.receiver.store().len()), (0, 0));
    connection.to_nowtoprint(NOWTOPRINT).await.is(200, "");
}

async fn a_body_may_arrive_in_any_frames_with_trailers_after_it(Server { address, app }: Server) {
    let connection = Connection::open(address).await;
    let mut stream = connection.head("/nowtoprint", &[(SIGNATURE, &sign(NOWTOPRINT))]).await.unwrap();
    for (number, piece) in NOWTOPRINT.split("").enumerate() {
        stream.piece(piece);
        if number % 100 == 0 {
            stream.piece("");
        }
    }
    // A trailer is no header: this one would be a second signature.
    let mut trailers = HeaderMap::new();
    trailers.insert("x-webhook-signature", sign("other").parse().unwrap());
    stream.body.send_trailers(trailers).unwrap();
    stream.answer().await.unwrap().is(200, "");
    // Nor can it be the only one.
    let mut stream = connection.head("/nowtoprint", &[]).await.unwrap();
    stream.piece(NOWTOPRINT);
    let mut trailers = HeaderMap::new();
    trailers.insert("x-webhook-signature", sign(NOWTOPRINT).parse().unwrap());
    let _ = stream.body.send_trailers(trailers);
    stream.answer().await.unwrap().is_error(401, "missing_signature");
    assert_eq!((app.handled(), app.receiver.store().len()), (1, 1));
}

async fn a_body_that_is_reset_or_of_another_length_leaves_nothing(Server { address, app }: Server) {
    let signature = (SIGNATURE, &*sign(NOWTOPRINT));
    let connection = Connection::open(address).await;
    for sent in [0, 1, NOWTOPRINT.len() - 1, NOWTOPRINT.len()] {
        let mut stream = connection.head("/nowtoprint", &[signature]).await.unwrap();
        stream.piece(&NOWTOPRINT[..sent]);
        // Also after the last byte, where all that is missing is the end.
        stream.body.send_reset(Reason::CANCEL);
        assert_eq!(stream.answer().await.unwrap_err().reason(), Some(Reason::CANCEL));
    }
    for announced in [NOWTOPRINT.len() - 1, NOWTOPRINT.len() + 1] {
        let length = ("Content-Length", &*announced.to_string());
        let mut stream = connection.head("/nowtoprint", &[signature, length]).await.unwrap();
        stream.end(NOWTOPRINT);
        let answer = stream.answer().await;
        assert!(
            answer.as_ref().is_err_and(|error| error.reason() == Some(Reason::PROTOCOL_ERROR)),
            "{answer:?}"
        );
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((app.handled(), app.receiver.store().len()), (0, 0));
    // The connection, and the delivery, are good for another try.
    connection.to_nowtoprint(NOWTOPRINT).await.is(200, "");
}

async fn a_stream_that_is_reset_in_the_handler_leaves_the_claim_to_its_lease(
    Server { address, app }: Server,
) {
    let slow = r#"{"event":"quote.updated","id":"evt_slow","data":"slow"}"#;
    let connection = Connection::open(address).await;
    let mut stream = connection.head("/nowtoprint", &[(SIGNATURE, &sign(slow))]).await.unwrap();
    stream.end(slow);
    until("the event is claimed", || !app.receiver.store().is_empty()).await;
    let holders = Arc::strong_count(&app);
    stream.body.send_reset(Reason::CANCEL);
    until("the handler is dropped", || Arc::strong_count(&app) < holders).await;
    // The handler is gone, its claim is not.
    let answer = connection.to_nowtoprint(slow).await;
    answer.is_error(409, "in_flight");
    assert!(answer.has_a_lease_to_run(), "{answer:?}");
    assert_eq!((app.handled(), app.receiver.store().len()), (0, 1));
}

async fn an_event_on_many_streams_at_once_is_handled_once(Server { address, app }: Server) {
    let event = |number| format!(r#"{{"event":"quote.updated","id":"evt_{number}","data":{{}}}}"#);
    let bodies: Vec<_> = (0..5 * STORE_CAPACITY).map(|number| event(number % STORE_CAPACITY)).collect();
    let connection = Connection::open(address).await;
    let mut streams = Vec::new();
    for body in &bodies {
        streams.push(connection.head("/nowtoprint", &[(SIGNATURE, &sign(body))]).await.unwrap());
    }
    // All are open before the halves of their bodies come.
    streams.iter_mut().zip(&bodies).for_each(|(stream, body)| stream.piece(&body[..20]));
    streams.iter_mut().zip(&bodies).for_each(|(stream, body)| stream.end(&body[20..]));
    let mut handled = vec![false; STORE_CAPACITY];
    for (number, answer) in join_all(streams.into_iter().map(Stream::answer)).await.into_iter().enumerate() {
        let answer = answer.unwrap();
        // One that came while another was handled is told so.
        assert!(answer.0 == 200 || (answer.0 == 409 && answer.1.contains("retry-after: ")), "{answer:?}");
        handled[number % STORE_CAPACITY] |= answer.0 == 200;
    }
    assert_eq!(handled, [true; STORE_CAPACITY]);
    assert_eq!((app.handled(), app.receiver.store().len()), (STORE_CAPACITY, STORE_CAPACITY));
}

async fn refused_bodies_that_nobody_reads_hold_up_no_other_stream(Server { address, app }: Server) {
    // Far more than the windows of a stream and of a connection, which are at most 1 MiB.
    let body = "x".repeat(256 << 10);
    let connection = Connection::open(address).await;
    let mut refused = Vec::new();
    for _ in 0..100 {
        let mut stream = connection.head("/3qpr", &[]).await.unwrap();
        stream.end(&body);
        refused.push(stream);
    }
    for answer in join_all(refused.into_iter().map(Stream::answer)).await {
        answer.unwrap().is_error(401, "missing_signature");
    }
    let headers = [("X-3QPR-Signature", &*sign(THREEQPR))];
    connection.send("/3qpr", &headers, THREEQPR).await.is(200, "scan.created");
    assert_eq!(app.handled(), 1);
}
