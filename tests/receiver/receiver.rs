//! A receiver: what it answers, and when the handler runs.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use countersign::provider::{NowToPrint, Quote3d, Slack, ThreeQpr, Zoom};
use countersign::store::{DynIdempotencyStore, LeaseStatus};
use countersign::{
    Delivery, Error, IdempotencyStore, MemoryStore, Outcome, Provider, Receiver, Scheme, Secrets,
    UnknownEvent, Webhook,
};
use countersign_sqlx::SqliteStore;

use crate::common::{NOWTOPRINT, QUOTE3D, headers, signed, webhook};
use crate::support::{Faulty, Handled, MINUTE, answer, receive, receiver, unreached};

#[tokio::test]
async fn an_event_is_handled_once_however_often_it_is_delivered() {
    let receiver = receiver(MemoryStore::new());
    let handled = AtomicUsize::new(0);
    for round in 0..5 {
        let outcome = receive(&receiver, async |delivery| {
            assert_eq!(delivery.event_name(), "quote.received");
            handled.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
        .await;
        let expected = if round == 0 { (200, "handled", None) } else { (200, "duplicate", None) };
        assert_eq!(answer(&outcome), expected);
        assert!(outcome.is_acknowledged());
    }
    assert_eq!(handled.into_inner(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_deliveries_at_once_one_is_handled_and_the_others_are_not_acknowledged() {
    let receiver = Arc::new(receiver(MemoryStore::new()));
    let handled = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let (receiver, handled) = (Arc::clone(&receiver), Arc::clone(&handled));
            tokio::spawn(async move {
                let outcome = receive(&receiver, async |_| {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    handled.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                });
                answer(&outcome.await)
            })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    assert_eq!(handled.load(Ordering::Relaxed), 1);
    assert_eq!(answers.iter().filter(|answer| **answer == (200, "handled", None)).count(), 1);
    let in_flight = |answer: &&(u16, &str, Option<u64>)| {
        (answer.0, answer.1) == (409, "in_flight")
            && answer.2.is_some_and(|seconds| (1..=60).contains(&seconds))
    };
    assert_eq!(answers.iter().filter(in_flight).count(), 63);
}

#[tokio::test]
async fn a_refused_delivery_never_reaches_the_store() {
    let receiver = Receiver::new(webhook::<Quote3d>(), Faulty::default());
    let right = &receiver.webhook().sign(QUOTE3D.as_bytes()).to_string();
    let other = &receiver.webhook().sign(b"other").to_string();
    let (signature, event) = ("x-webhook-signature", ("x-webhook-event", "quote.completed"));
    let cases: [(&[(&str, &str)], &str, u16, &str); 7] = [
        (&[event], QUOTE3D, 401, "missing_signature"),
        (&[event, (signature, right), (signature, right)], QUOTE3D, 401, "duplicate_signature"),
        (&[event, (signature, "sha256=")], QUOTE3D, 401, "malformed_signature"),
        (&[event, (signature, other)], QUOTE3D, 401, "signature_mismatch"),
        (&[event, (signature, other)], "other", 400, "malformed_payload"),
        (&[(signature, right)], QUOTE3D, 400, "missing_event_header"),
        (&[(signature, right), ("x-webhook-event", "quote.failed")], QUOTE3D, 400, "event_mismatch"),
    ];
    for (pairs, body, status, code) in cases {
        let handler = async |_: Delivery<'_, Quote3d>| -> Handled { panic!("the handler must not run") };
        let outcome = receiver.receive(&headers(pairs), body.as_bytes(), handler).await;
        assert_eq!(answer(&outcome), (status, code, None));
        assert!(matches!(outcome, Outcome::Rejected(_)));
    }
    assert_eq!(receiver.store().calls.load(Ordering::Relaxed), 0);
}

/// Hands a delivery over in each of the ways, and returns the outcomes, which should be one.
async fn in_each_way<P: Provider + Default>(body: &str) -> [Outcome; 3] {
    // One receiver for all tenants, whose own webhook has no secret.
    let head = || Webhook::<P>::new(Secrets::reject_all()).unwrap();
    let (receiver, tenant) = (Receiver::new(head(), Faulty::default()), webhook::<P>().with_tenant("acme"));
    let headers = tenant.signed_headers(body.as_bytes());
    let delivery = || tenant.verify(&headers, body.as_bytes()).unwrap();
    let handled = receiver.handle(delivery(), async |_| -> Handled { panic!("the handler must not run") });
    let leased = receiver.handle_with_lease(delivery(), async |_, _| -> Result<LeaseStatus, io::Error> {
        panic!("the handler must not run")
    });
    let sqlite = Receiver::new(head(), SqliteStore::in_memory().await.unwrap());
    let committed = sqlite.handle_in_transaction(delivery(), async |_, _| -> Result<_, io::Error> {
        panic!("the handler must not run")
    });
    let outcomes = [handled.await, leased.await, committed.await];
    assert_eq!(receiver.store().calls.load(Ordering::Relaxed), 0);
    outcomes
}

#[tokio::test]
async fn a_providers_verification_of_the_endpoint_is_answered_and_not_handled() {
    let slack = r#"{"type":"url_verification","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY"}"#;
    let zoom = r#"{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"}}"#;
    let answers = [
        (in_each_way::<Slack>(slack).await, r#"{"challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY"}"#),
        (in_each_way::<Zoom>(zoom).await, r#"{"plainToken":"qgg8vlvZRS6UYooatFL8Aw","encryptedToken":""#),
    ];
    for (outcomes, expected) in answers {
        for outcome in outcomes {
            assert_eq!(answer(&outcome), (200, "challenge", None));
            assert!(outcome.is_acknowledged());
            assert!(matches!(&outcome, Outcome::Challenge(answer) if answer.starts_with(expected)));
            assert_eq!(format!("{outcome:?}"), "Challenge(..)");
        }
    }
}

#[tokio::test]
async fn a_handler_that_fails_gives_the_key_back() {
    let receiver = receiver(MemoryStore::new());
    for _ in 0..3 {
        let outcome = receive(&receiver, async |_| Err(io::Error::other("no disk"))).await;
        assert_eq!(answer(&outcome), (500, "handler_failed", None));
        assert_eq!(outcome.error().unwrap().to_string(), "no disk");
    }
    assert_eq!(answer(&receive(&receiver, async |_| Ok(())).await), (200, "handled", None));
}

#[tokio::test]
async fn a_handlers_error_may_be_any_and_this_crates_has_its_status() {
    let receiver = Receiver::new(webhook::<NowToPrint>(), MemoryStore::new());
    let body = br#"{"event":"quote.received","id":"evt_1","data":{}}"#;
    let headers = signed(receiver.webhook(), body);
    let outcome = receiver.receive(&headers, body, async |_| Err("text")).await;
    assert_eq!(answer(&outcome), (500, "handler_failed", None));
    let outcome = receiver.receive(&headers, body, async |_| Err("text".to_owned())).await;
    assert_eq!(answer(&outcome), (500, "handler_failed", None));
    let outcome = receiver.receive(&headers, body, async |delivery| delivery.event().map(drop)).await;
    assert_eq!(answer(&outcome), (422, "invalid_event", None));
    assert!(matches!(outcome, Outcome::Failed(_)));
    // Any other error of this crate is the handler's own business: the provider is not told 401.
    let outcome = receiver.receive(&headers, body, async |_| Err(Error::SignatureMismatch)).await;
    assert_eq!(answer(&outcome), (500, "handler_failed", None));
}

#[test]
fn a_providers_type_need_be_nothing_but_a_provider() {
    struct Plain;

    impl Provider for Plain {
        type Event = UnknownEvent;
        const NAME: &'static str = "plain";

        const SCHEME: Scheme<'static> = Scheme::new("x-signature").with_prefix("sha256=");
    }

    fn is_cloned_and_shown<T: Clone + std::fmt::Debug + Send + Sync + 'static>() {}
    is_cloned_and_shown::<Webhook<Plain>>();
    is_cloned_and_shown::<Delivery<'static, Plain>>();
    is_cloned_and_shown::<Receiver<Plain, Arc<MemoryStore>>>();
}

#[tokio::test]
async fn a_store_that_fails_is_503_and_nothing_is_acknowledged() {
    let store = receiver(Faulty { fail_claim: true, ..Faulty::default() });
    let outcome = receive(&store, unreached).await;
    assert_eq!(answer(&outcome), (503, "store_unavailable", None));
    assert_eq!(outcome.error().unwrap().to_string(), "the database is gone");

    let store = receiver(Faulty { fail_complete: true, ..Faulty::default() });
    let outcome = receive(&store, async |_| Ok(())).await;
    assert_eq!(answer(&outcome), (503, "store_unavailable", None));
    // It may or may not be done; until the lease lapses, nobody else handles it.
    assert_eq!(receive(&store, unreached).await.status(), 409);

    let store = receiver(Faulty { fail_release: true, ..Faulty::default() });
    let outcome = receive(&store, async |_| Err(io::Error::other("no disk"))).await;
    assert_eq!(answer(&outcome), (500, "handler_failed", None));
    assert_eq!(outcome.error().unwrap().to_string(), "no disk");
}

#[tokio::test]
async fn a_completion_that_fails_is_tried_once_more_so_that_the_effect_is_not_repeated() {
    for cut_after in [false, true] {
        let faulty = |times| Faulty { cut_completions: Mutex::new(times), cut_after, ..Faulty::default() };
        let store = receiver(faulty(1));
        assert_eq!(answer(&receive(&store, async |_| Ok(())).await), (200, "handled", None));
        // A claim and two completions.
        assert_eq!(store.store().calls.load(Ordering::Relaxed), 3);
        assert_eq!(receive(&store, unreached).await.code(), "duplicate");

        // Once more, and not for ever.
        let store = receiver(faulty(2));
        assert_eq!(answer(&receive(&store, async |_| Ok(())).await), (503, "store_unavailable", None));
        assert_eq!(store.store().calls.load(Ordering::Relaxed), 3);
    }
}

#[tokio::test]
async fn a_handler_that_outlasts_its_lease_is_not_acknowledged_once_another_has_begun() {
    let store = Arc::new(MemoryStore::new());
    let slow = receiver(Arc::clone(&store)).with_lease_duration(Duration::from_millis(50)).unwrap();
    let next = receiver(Arc::clone(&store));
    let outcome = receive(&slow, async |_| {
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(receive(&next, async |_| Ok(())).await.code(), "handled");
        Ok(())
    })
    .await;
    assert_eq!(answer(&outcome), (409, "lease_lost", Some(1)));
    assert_eq!(receive(&slow, unreached).await.code(), "duplicate");
}

#[tokio::test]
async fn a_handler_that_outlasts_its_lease_is_acknowledged_if_nobody_else_began() {
    let receiver = receiver(MemoryStore::new()).with_lease_duration(Duration::from_millis(10)).unwrap();
    let outcome = receive(&receiver, async |_| {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok(())
    })
    .await;
    assert_eq!(answer(&outcome), (200, "handled", None));
}

#[tokio::test]
async fn a_dropped_handler_leaves_the_claim_to_its_lease() {
    let receiver = receiver(MemoryStore::new()).with_lease_duration(Duration::from_millis(200)).unwrap();
    {
        // The client hangs up while the handler runs.
        let mut future = pin!(receive(&receiver, async |_| std::future::pending().await));
        let mut context = Context::from_waker(Waker::noop());
        assert!(matches!(future.as_mut().poll(&mut context), Poll::Pending));
    }
    let outcome = receive(&receiver, unreached).await;
    assert_eq!(answer(&outcome), (409, "in_flight", Some(1)));
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(receive(&receiver, async |_| Ok(())).await.code(), "handled");
}

#[tokio::test]
async fn a_handler_may_complete_its_lease_itself() {
    let receiver = receiver(MemoryStore::new());
    let body = NOWTOPRINT.as_bytes();
    let headers = signed(receiver.webhook(), body);
    let delivery = || receiver.webhook().verify(&headers, body).unwrap();
    let store = receiver.store();

    let failing = receiver.handle_with_lease(delivery(), async |_, _| Err::<LeaseStatus, _>("no disk"));
    assert_eq!(failing.await.code(), "handler_failed");
    let losing = receiver.handle_with_lease(delivery(), async |delivery, lease| {
        assert!(store.forget(delivery.idempotency_key().as_str()).await?);
        store.complete(lease, receiver.retention()).await
    });
    assert_eq!(losing.await.code(), "lease_lost");
    let unable = receiver.handle_with_lease(delivery(), async |delivery, _| {
        let full = MemoryStore::new().with_capacity(0);
        full.claim(&delivery.idempotency_key(), MINUTE).await.map(|_| LeaseStatus::Lost)
    });
    assert_eq!(answer(&unable.await), (503, "store_unavailable", None));
    let completing = receiver
        .handle_with_lease(delivery(), async |_, lease| store.complete(lease, receiver.retention()).await);
    assert_eq!(completing.await.code(), "handled");
    let again =
        receiver.handle_with_lease(delivery(), async |_, _| -> Result<LeaseStatus, Error> { panic!() });
    assert_eq!(again.await.code(), "duplicate");
}

#[tokio::test]
async fn a_handler_that_panics_leaves_the_claim_to_its_lease() {
    let receiver = Arc::new(receiver(MemoryStore::new()));
    let task = tokio::spawn({
        let receiver = Arc::clone(&receiver);
        async move { receive(&receiver, async |_| panic!("a bug")).await.status() }
    });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(receive(&receiver, unreached).await.status(), 409);
}

#[tokio::test]
async fn a_forgotten_key_is_handled_again() {
    let receiver = receiver(MemoryStore::new());
    assert_eq!(receive(&receiver, async |_| Ok(())).await.code(), "handled");
    // An operator has the key as text, from a log.
    assert!(receiver.store().forget("nowtoprint:evt_01js3q7d9w4b2k8m1z0h3v6x7y").await.unwrap());
    assert_eq!(receive(&receiver, async |_| Ok(())).await.code(), "handled");
}

#[tokio::test]
async fn two_providers_may_share_a_store_and_an_id() {
    let store: Arc<dyn DynIdempotencyStore> = Arc::new(MemoryStore::new());
    let body = br#"{"event":"quote.updated","id":"evt_1"}"#;
    let one = Receiver::new(webhook::<NowToPrint>(), Arc::clone(&store));
    let other = Receiver::new(webhook::<ThreeQpr>(), store);
    let outcome = one.receive(&signed(one.webhook(), body), body, async |_| Ok::<_, Error>(())).await;
    assert_eq!(outcome.code(), "handled");
    let outcome = other.receive(&signed(other.webhook(), body), body, async |_| Ok::<_, Error>(())).await;
    assert_eq!(outcome.code(), "handled");
}

/// Compiles only if the future can be spawned, with a handler that borrows and awaits.
#[tokio::test(flavor = "multi_thread")]
async fn the_future_can_be_spawned() {
    let receiver = Arc::new(receiver(MemoryStore::new()));
    let log = Arc::new(tokio::sync::Mutex::new(Vec::new()));
    let task = tokio::spawn({
        let log = Arc::clone(&log);
        async move {
            let body = NOWTOPRINT.as_bytes().to_vec();
            let headers = signed(receiver.webhook(), &body);
            let outcome = receiver.receive(&headers, &body, async |delivery| {
                let name = delivery.event_name().to_owned();
                tokio::task::yield_now().await;
                log.lock().await.push(name);
                delivery.event().map(drop)
            });
            outcome.await.status()
        }
    });
    assert_eq!(task.await.unwrap(), 200);
    assert_eq!(*log.lock().await, ["quote.received"]);
}
