//! Every framework over real HTTP, byte by byte as a client would write it: the same endpoints, held
//! to the same rules.
#![allow(unreachable_pub, reason = "the modules of one test")]

mod client;
#[path = "../common/mod.rs"]
mod common;
mod rules;
mod servers;

/// Each rule, in each framework.
macro_rules! in_each_framework {
    ($($rule:ident)*) => {
        mod axum { $(#[tokio::test] async fn $rule() { crate::rules::$rule(crate::servers::axum().await).await })* }
        mod actix_web { $(#[tokio::test] async fn $rule() { crate::rules::$rule(crate::servers::actix_web().await).await })* }
        mod hyper { $(#[tokio::test] async fn $rule() { crate::rules::$rule(crate::servers::hyper().await).await })* }
    };
}

in_each_framework! {
    the_documented_deliveries_are_accepted
    every_refusal_is_its_status_and_its_code_and_no_more
    a_body_is_refused_for_its_length_before_it_has_come
    a_request_without_a_signature_is_refused_before_its_body_is_sent
    a_body_may_arrive_in_any_pieces
    a_client_that_expects_to_be_told_to_continue_is
    a_client_that_stalls_or_hangs_up_in_the_body_leaves_nothing
    a_client_that_hangs_up_in_the_handler_leaves_the_claim_to_its_lease
    a_header_of_64_kib_harms_nobody
    headers_without_number_harm_nobody
    requests_after_a_refusal_are_answered_each_by_its_own
    what_stands_in_a_refused_body_is_no_request
    a_tenants_secret_is_good_for_its_own_path
    a_tenant_that_does_not_exist_is_answered_like_a_bad_signature
    secrets_that_cannot_be_looked_up_are_503
}

mod bodies {
    use std::io;

    use axum::body::Body;
    use countersign::provider::ThreeQpr;
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
