//! A store's server that is stopped and started again under load.

mod common;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::servers::Server;
use common::{signed, webhook};
use countersign::provider::ThreeQpr;
use countersign::{Error, IdempotencyStore, Outcome, Receiver};
use countersign_redis::RedisStore;
use countersign_redis::redis::Client;
use countersign_redis::redis::aio::ConnectionManagerConfig;
use countersign_sqlx::PostgresStore;
use countersign_sqlx::sqlx::postgres::PgPoolOptions;

const EVENTS: usize = 600;
const WORKERS: usize = 16;
/// How many events are acknowledged before the server is stopped.
const BEFORE: usize = 200;
const OUTAGE: Duration = Duration::from_secs(2);
const LEASE: Duration = Duration::from_secs(1);

struct Run<S> {
    receiver: Receiver<ThreeQpr, S>,
    /// How often each event took effect.
    effects: Mutex<HashMap<usize, usize>>,
    next: AtomicUsize,
    acknowledged: AtomicUsize,
    /// Whether the server is gone, for certain.
    down: AtomicBool,
    /// How many deliveries came and were answered while it was gone.
    refused: AtomicUsize,
}

impl<S: IdempotencyStore + 'static> Run<S> {
    fn new(store: S) -> Arc<Self> {
        Arc::new(Self {
            receiver: Receiver::new(webhook(), store).with_lease(LEASE),
            effects: Mutex::default(),
            next: AtomicUsize::new(0),
            acknowledged: AtomicUsize::new(0),
            down: AtomicBool::new(false),
            refused: AtomicUsize::new(0),
        })
    }

    async fn deliver(&self, event: usize) -> Outcome {
        let body = format!(r#"{{"event":"scan.created","id":"evt_{event}"}}"#);
        let headers = signed(self.receiver.webhook(), body.as_bytes());
        let handler = async |_: countersign::Delivery<'_, ThreeQpr>| {
            tokio::time::sleep(Duration::from_millis(5)).await;
            *self.effects.lock().unwrap().entry(event).or_default() += 1;
            Ok::<_, Error>(())
        };
        self.receiver.receive(&headers, body.as_bytes(), handler).await
    }

    /// Delivers events until there is none left, each until it is acknowledged.
    async fn work(&self) {
        loop {
            let event = self.next.fetch_add(1, Ordering::SeqCst);
            if event >= EVENTS {
                return;
            }
            loop {
                let was_down = self.down.load(Ordering::SeqCst);
                let outcome = self.deliver(event).await;
                if was_down && self.down.load(Ordering::SeqCst) {
                    assert_eq!(outcome.status(), 503, "{outcome:?}");
                    self.refused.fetch_add(1, Ordering::SeqCst);
                }
                if outcome.is_acknowledged() {
                    self.acknowledged.fetch_add(1, Ordering::SeqCst);
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// The whole load, with an outage in it.
    async fn suffer(self: &Arc<Self>, server: &mut Server) {
        let workers: Vec<_> = (0..WORKERS)
            .map(|_| {
                let run = Arc::clone(self);
                tokio::spawn(async move { run.work().await })
            })
            .collect();
        while self.acknowledged.load(Ordering::SeqCst) < BEFORE {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::task::block_in_place(|| server.stop());
        self.down.store(true, Ordering::SeqCst);
        tokio::time::sleep(OUTAGE).await;
        self.down.store(false, Ordering::SeqCst);
        tokio::task::block_in_place(|| server.start());
        let start = Instant::now();
        for worker in workers {
            worker.await.unwrap();
            assert!(start.elapsed() < Duration::from_secs(60), "it does not recover");
        }
        assert_eq!(self.acknowledged.load(Ordering::SeqCst), EVENTS);
        assert!(self.refused.load(Ordering::SeqCst) > 0, "no delivery came while the server was gone");
    }

    /// How many events took effect never, and how many more than once.
    fn lost_and_doubled(&self) -> (usize, usize) {
        let effects = self.effects.lock().unwrap();
        let lost = (0..EVENTS).filter(|event| !effects.contains_key(event)).count();
        (lost, effects.values().filter(|count| **count > 1).count())
    }

    fn report(&self, store: &str) {
        let (lost, doubled) = self.lost_and_doubled();
        let refused = self.refused.load(Ordering::SeqCst);
        println!(
            "{store}: {EVENTS} events, {refused} answered 503 in the outage, {lost} lost, {doubled} doubled"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_postgres_loses_nothing_and_acknowledges_nothing_meanwhile() {
    let Some(mut server) = Server::postgres() else { return };
    let pool = PgPoolOptions::new().max_connections(16).acquire_timeout(Duration::from_millis(300));
    let store = PostgresStore::connect_with(pool, server.url().parse().unwrap()).await.unwrap();
    store.migrate().await.unwrap();
    let run = Run::new(store);
    run.suffer(&mut server).await;
    run.report("PostgreSQL");
    let (lost, doubled) = run.lost_and_doubled();
    assert_eq!(lost, 0);
    // Only what was between its effect and its completion when the server went.
    assert!(doubled <= WORKERS, "{doubled}");

    // It remembers all of them.
    for event in 0..EVENTS {
        assert_eq!(run.deliver(event).await.code(), "duplicate");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_redis_loses_no_event_but_what_redis_forgot_is_handled_again() {
    let Some(mut server) = Server::redis() else { return };
    let config = ConnectionManagerConfig::new().set_number_of_retries(1);
    let client = Client::open(server.url()).unwrap();
    let run = Run::new(RedisStore::new(client.get_connection_manager_with_config(config).await.unwrap()));
    run.suffer(&mut server).await;
    run.report("Redis");
    let (lost, doubled) = run.lost_and_doubled();
    assert_eq!(lost, 0);
    assert!(doubled <= WORKERS, "{doubled}");

    // It was restarted empty: a duplicate of what was handled before the outage is handled again, and
    // one of what was handled after it is not.
    let mut codes = HashMap::<_, usize>::new();
    for event in 0..EVENTS {
        *codes.entry(run.deliver(event).await.code()).or_default() += 1;
    }
    println!("Redis, all delivered once more: {codes:?}");
    assert!(codes["handled"] >= BEFORE - WORKERS && codes["duplicate"] > 0, "{codes:?}");
    assert_eq!(codes["handled"] + codes["duplicate"], EVENTS);
}
