//! Every framework over real HTTP, byte by byte as a client would write it: the same endpoints, held
//! to the same rules.
#![allow(unreachable_pub, reason = "the modules of one test")]

mod client;
#[path = "../common/mod.rs"]
mod common;
mod http2;
#[cfg(feature = "tracing")]
mod logging;
mod refused_bodies;
mod rules;
mod servers;
mod shutdown;
mod tenants;
mod transactions;

/// Each rule, in each framework.
macro_rules! in_each_framework {
    ($($module:ident { $($rule:ident)* })*) => {
        mod axum { $($(#[tokio::test] async fn $rule() { crate::$module::$rule(crate::servers::axum().await).await })*)* }
        mod actix_web { $($(#[tokio::test] async fn $rule() { crate::$module::$rule(crate::servers::actix_web().await).await })*)* }
        mod hyper { $($(#[tokio::test] async fn $rule() { crate::$module::$rule(crate::servers::hyper().await).await })*)* }
    };
}

in_each_framework! {
    rules {
        the_documented_deliveries_are_accepted
        every_refusal_is_its_status_and_its_code_and_no_more
        a_body_is_refused_for_its_length_before_it_has_come
        a_body_may_arrive_in_any_pieces
        a_client_that_expects_to_be_told_to_continue_is
        a_client_that_stalls_or_hangs_up_in_the_body_leaves_nothing
        a_client_that_hangs_up_in_the_handler_leaves_the_claim_to_its_lease
        a_header_of_64_kib_harms_nobody
        headers_without_number_harm_nobody
        a_handler_that_fails_is_500_and_a_store_that_fails_503
    }
    refused_bodies {
        a_request_without_a_signature_is_refused_before_its_body_is_sent
        a_client_that_writes_its_whole_body_first_sees_the_refusal
        a_sender_that_stalls_after_a_refusal_is_answered_within_two_seconds
        a_sender_that_dribbles_after_a_refusal_is_answered_within_six_seconds
        a_sender_without_end_loses_the_connection
        requests_after_a_refusal_are_answered_each_by_its_own
        what_stands_in_a_refused_body_is_no_request
    }
    tenants {
        only_a_request_with_a_well_formed_signature_looks_secrets_up
        a_tenants_secret_is_good_for_its_own_path
        a_tenant_that_does_not_exist_is_answered_like_a_bad_signature
        secrets_that_cannot_be_looked_up_are_503
        a_maximum_age_holds_and_its_end_is_stale
    }
}

/// How much of a refused body is read is this crate's to say there. actix-web reads on by itself.
mod bounds {
    #[tokio::test]
    async fn axum_reads_no_more_than_8_mib_of_a_refused_body() {
        crate::refused_bodies::no_more_than_8_mib_of_a_refused_body_are_read(crate::servers::axum().await)
            .await;
    }

    #[tokio::test]
    async fn hyper_reads_no_more_than_8_mib_of_a_refused_body() {
        crate::refused_bodies::no_more_than_8_mib_of_a_refused_body_are_read(crate::servers::hyper().await)
            .await;
    }
}

mod layers {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll};

    use countersign::provider::ThreeQpr;
    use countersign::tower::{Endpoint, Verified, VerifyLayer};
    use countersign::{MemoryStore, Receiver};
    use http::{Request, Response};
    use tower::{Layer, Service, ServiceExt};

    use crate::common::{THREEQPR, webhook};

    /// A service that counts how often it was asked whether it is ready, must be before each call, and
    /// answers with what else came with the request.
    #[derive(Clone, Default)]
    struct Strict {
        asked: Arc<AtomicUsize>,
        ready: bool,
    }

    impl Service<Request<Verified<ThreeQpr>>> for Strict {
        type Response = Response<String>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Response<String>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            self.ready = true;
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<Verified<ThreeQpr>>) -> Self::Future {
            assert!(std::mem::take(&mut self.ready), "called before it was ready");
            let (head, Verified(delivery)) = request.into_parts();
            let number = head.extensions.get::<u8>();
            let head = format!("{} {} {:?} {number:?}", head.method, head.uri, head.headers.get("x-other"));
            std::future::ready(Ok(Response::new(format!("{head} {}", delivery.event_name()))))
        }
    }

    #[tokio::test]
    async fn the_inner_service_is_asked_for_room_only_for_what_is_verified_and_gets_the_whole_head() {
        let webhook = webhook::<ThreeQpr>();
        let inner = Strict::default();
        let service = VerifyLayer::new(webhook.clone()).layer(inner.clone());
        let request = |signature: String| {
            Request::put("/path?query")
                .header("x-3qpr-signature", signature)
                .header("x-other", "other")
                .extension(7_u8)
                .body(THREEQPR.to_owned())
                .unwrap()
        };
        let forged = service.clone().oneshot(request(webhook.sign(b"other").to_string())).await.unwrap();
        assert_eq!((forged.status().as_u16(), inner.asked.load(Ordering::Relaxed)), (401, 0));
        let right = request(webhook.sign(THREEQPR.as_bytes()).to_string());
        let answer = service.oneshot(right).await.unwrap();
        assert_eq!(answer.body(), r#"PUT /path?query Some("other") Some(7) scan.created"#);
        assert_eq!(inner.asked.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn debug_shows_what_a_service_is_made_of_and_no_handler() {
        let webhook = webhook::<ThreeQpr>();
        let layer = VerifyLayer::new(webhook.clone());
        assert_eq!(format!("{layer:?}"), format!("VerifyLayer {{ webhook: {webhook:?} }}"));
        let service = layer.layer("inner");
        assert_eq!(format!("{service:?}"), format!(r#"Verify {{ webhook: {webhook:?}, inner: "inner" }}"#));
        let signed = crate::common::signed(&webhook, THREEQPR.as_bytes());
        let verified = Verified(webhook.verify(&signed, THREEQPR.as_bytes()).unwrap().into_owned());
        assert_eq!(format!("{verified:?}"), format!("Verified({:?})", verified.0));
        let receiver = Arc::new(Receiver::new(webhook, MemoryStore::new()));
        let handler = async |_: Verified<ThreeQpr>| Ok::<_, Infallible>(());
        let endpoint = Endpoint::new(Arc::clone(&receiver), handler);
        assert_eq!(format!("{endpoint:?}"), format!("Endpoint {{ receiver: {receiver:?}, .. }}"));
    }
}

mod actix {
    use actix_web::{App, HttpResponse, ResponseError as _, test, web};
    use countersign::actix_web::{Verified, endpoint};
    use countersign::provider::ThreeQpr;
    use countersign::{Error, MemoryStore, Receiver};

    use crate::common::{THREEQPR, webhook};

    async fn verified(_: Verified<ThreeQpr>) -> HttpResponse {
        HttpResponse::Ok().finish()
    }

    fn request(path: &str) -> test::TestRequest {
        let signature = webhook::<ThreeQpr>().sign(THREEQPR.as_bytes()).to_string();
        test::TestRequest::post()
            .uri(path)
            .insert_header(("X-3QPR-Signature", signature))
            .set_payload(THREEQPR)
    }

    #[tokio::test]
    async fn without_a_webhook_nothing_is_verified() {
        let app = App::new().route("/", web::post().to(verified));
        let app = test::init_service(app).await;
        let answer = test::call_service(&app, request("/").to_request()).await;
        assert_eq!(answer.status(), 503);
        assert_eq!(test::read_body(answer).await, r#"{"error":"secret_unavailable"}"#);
    }

    /// A middleware that logs errors asks for the status alone.
    #[test]
    fn an_errors_status_is_that_of_its_answer() {
        let errors = [
            Error::MissingSignature,
            Error::SignatureMismatch,
            Error::incomplete_body("hung up"),
            Error::secret_unavailable("no database"),
        ];
        for error in errors {
            assert_eq!(error.status_code().as_u16(), error.status(), "{error}");
            assert_eq!(error.error_response().status(), error.status_code(), "{error}");
        }
    }

    #[tokio::test]
    async fn an_endpoint_is_for_post_requests() {
        let handler = |_: Verified<ThreeQpr>| async { Ok::<_, Error>(()) };
        let receiver = Receiver::new(webhook(), MemoryStore::new());
        let app = test::init_service(App::new().route("/", endpoint(receiver, handler))).await;
        let put = request("/").method(actix_web::http::Method::PUT);
        assert!(test::call_service(&app, put.to_request()).await.status().is_client_error());
        assert_eq!(test::call_service(&app, request("/").to_request()).await.status(), 200);
    }
}

mod bodies {
    use std::io;

    use axum::body::Body;
    use countersign::provider::ThreeQpr;
    use countersign::tower::http_body;
    use http::Request;

    use crate::common::{THREEQPR, webhook};

    /// The error's code, or that there was none.
    async fn verify(body: Body) -> &'static str {
        let webhook = webhook::<ThreeQpr>();
        let signature = webhook.sign(THREEQPR.as_bytes()).to_string();
        let request = Request::post("/").header("x-3qpr-signature", signature).body(body).unwrap();
        webhook.verify_request(request).await.map_or_else(|error| error.code(), |_| "accepted")
    }

    #[tokio::test]
    async fn a_limit_of_a_layer_around_the_endpoint_is_a_limit_too() {
        let limited = http_body_util::Limited::new(Body::from(THREEQPR), 10);
        assert_eq!(verify(Body::new(limited)).await, "body_too_large");
    }

    /// A body that says how long it is before it is read, and must not be.
    #[tokio::test]
    async fn a_body_that_is_known_to_be_longer_than_what_is_dropped_is_not_read() {
        struct Long;

        impl http_body::Body for Long {
            type Data = bytes::Bytes;
            type Error = io::Error;

            fn poll_frame(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, io::Error>>> {
                panic!("it was read")
            }

            fn size_hint(&self) -> http_body::SizeHint {
                http_body::SizeHint::with_exact((8 << 20) + 1)
            }
        }

        assert_eq!(verify(Body::new(Long)).await, "body_too_large");
    }

    /// A body that comes as one frame, which is its end, and does not say before how long it is.
    #[tokio::test]
    async fn a_whole_body_that_is_too_long_is_refused_though_nothing_announced_its_length() {
        struct Whole(Option<bytes::Bytes>);

        impl http_body::Body for Whole {
            type Data = bytes::Bytes;
            type Error = io::Error;

            fn poll_frame(
                mut self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, io::Error>>> {
                std::task::Poll::Ready(self.0.take().map(|body| Ok(http_body::Frame::data(body))))
            }

            fn is_end_stream(&self) -> bool {
                self.0.is_none()
            }
        }

        // Signed, and JSON whatever follows: a blank more is too long.
        let limit = crate::servers::LIMIT;
        let webhook = webhook::<ThreeQpr>().with_body_limit(limit);
        for (length, expected) in [(limit, "accepted"), (limit + 1, "body_too_large")] {
            let body = format!("{THREEQPR:<length$}");
            let signature = webhook.sign(body.as_bytes()).to_string();
            let body = Body::new(Whole(Some(body.into())));
            assert_eq!(http_body::Body::size_hint(&body).lower(), 0);
            let request = Request::post("/").header("x-3qpr-signature", signature).body(body).unwrap();
            let verified = webhook.verify_request(request).await;
            assert_eq!(verified.as_ref().map_or_else(countersign::Error::code, |_| "accepted"), expected);
            assert_eq!(verified.err().map(|error| error.status()), (length > limit).then_some(413));
        }
    }

    #[tokio::test]
    async fn what_is_left_of_a_refused_body_is_read_but_for_those_who_ask_first_and_http_2() {
        let read = async |header: &'static str, version| {
            let (mut sender, body) = http_body_util::channel::Channel::<bytes::Bytes, io::Error>::new(4);
            let sent = tokio::spawn(async move {
                for _ in 0..64 {
                    sender.send_data(vec![0; 64 << 10].into()).await?;
                }
                Ok::<_, http_body_util::channel::SendError>(())
            });
            let request =
                Request::post("/").version(version).header(header, "100-continue").body(body).unwrap();
            let error = webhook::<ThreeQpr>().verify_request(request).await.unwrap_err();
            assert_eq!(error.code(), "missing_signature");
            sent.await.unwrap().is_ok()
        };
        assert!(read("x-other", http::Version::HTTP_11).await);
        assert!(read("x-other", http::Version::HTTP_10).await);
        assert!(!read("expect", http::Version::HTTP_11).await);
        assert!(!read("x-other", http::Version::HTTP_2).await);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_incomplete() {
        let (mut sender, broken) = http_body_util::channel::Channel::<bytes::Bytes, io::Error>::new(1);
        sender.send_data(THREEQPR.into()).await.unwrap();
        sender.abort(io::ErrorKind::ConnectionReset.into());
        assert_eq!(verify(Body::new(broken)).await, "incomplete_body");
    }

    #[tokio::test]
    async fn trailers_and_empty_frames_are_no_part_of_the_body() {
        let (mut sender, body) = http_body_util::channel::Channel::<bytes::Bytes, io::Error>::new(8);
        let (first, second) = THREEQPR.split_at(20);
        for piece in ["", first, "", second, ""] {
            sender.send_data(piece.into()).await.unwrap();
        }
        sender.send_trailers(http::HeaderMap::new()).await.unwrap();
        drop(sender);
        assert_eq!(verify(Body::new(body)).await, "accepted");
    }
}
