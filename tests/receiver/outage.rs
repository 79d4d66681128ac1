//! A store's server that is stopped and started again under load, and one whose connections are cut.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::common::servers::Server;
use crate::common::{signed, webhook};
use countersign::provider::ThreeQpr;
use countersign::{Error, IdempotencyStore, Outcome, Receiver};
use countersign_redis::RedisStore;
use countersign_redis::redis::aio::ConnectionManagerConfig;
use countersign_redis::redis::{self, Client};
use countersign_sqlx::PostgresStore;
use countersign_sqlx::sqlx::postgres::PgPoolOptions;
use countersign_sqlx::sqlx::{self, Connection, PgConnection};

const EVENTS: usize = 600;
/// How often all connections are cut, and the time between, in which the pool opens others.
const CUTS: usize = 40;
const BETWEEN_CUTS: Duration = Duration::from_millis(200);
const WORKERS: usize = 16;
/// How many events are acknowledged before the server is stopped.
const BEFORE: usize = 200;
const OUTAGE: Duration = Duration::from_secs(2);
const LEASE: Duration = Duration::from_secs(1);

struct Run<S> {
    events: AtomicUsize,
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
    fn new(store: S, events: usize) -> Arc<Self> {
        Arc::new(Self {
            events: events.into(),
            receiver: Receiver::new(webhook(), store).with_lease_duration(LEASE).unwrap(),
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
            if event >= self.events.load(Ordering::SeqCst) {
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

    fn spawn_workers(self: &Arc<Self>) -> Vec<tokio::task::JoinHandle<()>> {
        (0..WORKERS)
            .map(|_| {
                let run = Arc::clone(self);
                tokio::spawn(async move { run.work().await })
            })
            .collect()
    }

    /// As much load as there is while all connections are cut again and again.
    async fn be_cut(self: &Arc<Self>, mut cut: impl AsyncFnMut() -> usize) {
        let workers = self.spawn_workers();
        let mut cuts = 0;
        for _ in 0..CUTS {
            tokio::time::sleep(BETWEEN_CUTS).await;
            cuts += cut().await;
        }
        let events = self.next.load(Ordering::SeqCst);
        self.events.store(events, Ordering::SeqCst);
        for worker in workers {
            worker.await.unwrap();
        }
        assert!(cuts >= CUTS, "{cuts} connections were cut");
        let (lost, doubled) = self.lost_and_doubled();
        println!("{events} events, {cuts} connections cut, {lost} lost, {doubled} doubled");
        assert_eq!(lost, 0);
        // Thirty and more if a completion were tried once. The connection of the second try may be one that
        // is just being cut as well.
        assert!(doubled <= CUTS / 8, "{doubled}");
    }

    /// The whole load, with an outage in it.
    async fn suffer(self: &Arc<Self>, server: &mut Server) {
        let workers = self.spawn_workers();
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
        let lost =
            (0..self.events.load(Ordering::SeqCst)).filter(|event| !effects.contains_key(event)).count();
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
    let run = Run::new(store, EVENTS);
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
async fn connections_to_postgres_that_are_cut_lose_no_event_and_repeat_next_to_none() {
    let Some(server) = Server::postgres() else { return };
    let pool = PostgresStore::pool_options().max_connections(16);
    let store = PostgresStore::connect_with(pool, server.url().parse().unwrap()).await.unwrap();
    store.migrate().await.unwrap();
    let mut cutter = PgConnection::connect(&server.url()).await.unwrap();
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
         WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    let cut = async || {
        let cut: i64 = sqlx::query_scalar(cut).fetch_one(&mut cutter).await.unwrap();
        usize::try_from(cut).unwrap()
    };
    Run::new(store, usize::MAX).be_cut(cut).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_redis_that_are_cut_lose_no_event_and_repeat_next_to_none() {
    let Some(server) = Server::redis() else { return };
    let config = ConnectionManagerConfig::new().set_number_of_retries(1);
    let client = Client::open(server.url()).unwrap();
    let store = RedisStore::new(client.get_connection_manager_with_config(config).await.unwrap());
    let mut cutter = client.get_multiplexed_async_connection().await.unwrap();
    let cut = async || {
        let mut kill = redis::cmd("CLIENT");
        kill.arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes");
        kill.query_async(&mut cutter).await.unwrap()
    };
    Run::new(store, usize::MAX).be_cut(cut).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_redis_loses_no_event_but_what_redis_forgot_is_handled_again() {
    let Some(mut server) = Server::redis() else { return };
    let config = ConnectionManagerConfig::new().set_number_of_retries(1);
    let client = Client::open(server.url()).unwrap();
    let store = RedisStore::new(client.get_connection_manager_with_config(config).await.unwrap());
    let run = Run::new(store, EVENTS);
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
