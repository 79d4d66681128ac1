//! A delivery in one commit against the same by hand: verify, `INSERT … ON CONFLICT DO NOTHING`, the effect, commit.
//!
//! Run it with `cargo bench --bench one_commit`, where PostgreSQL is installed: it starts a server of its own. With
//! `-- SQLite` or `-- PostgreSQL`, it measures that one alone. Both candidates keep each key; the table by hand knows no
//! retention, and so can never be purged. Both wait for the disk. They take turns, so that a noisy machine slows both alike, and their medians are
//! compared.

#[path = "../tests/common/servers.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests use the rest")]
mod servers;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use countersign::provider::ThreeQpr;
use countersign::{Delivery, Receiver, Secret, Webhook};
use countersign_sqlx::sqlx::postgres::PgPoolOptions;
use countersign_sqlx::sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use countersign_sqlx::sqlx::{self, PgPool, SqlitePool};
use countersign_sqlx::{PostgresStore, PostgresTransaction, SqlStoreError, SqliteStore, SqliteTransaction};
use servers::Server;

const ROUNDS: usize = 9;
/// How many deliveries a turn has, with one in flight and with many.
const TURNS: [usize; 2] = [100, 600];
const CONNECTIONS: u32 = 10;

type Scan = Delivery<'static, ThreeQpr>;

/// Makes the next delivery, which no one has seen.
fn delivery(webhook: &Webhook<ThreeQpr>) -> Scan {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let body = format!(r#"{{"event":"scan.created","id":"evt_{id}","data":{{}}}}"#);
    webhook.verify(&webhook.signed_headers(body.as_bytes()), body.as_bytes()).unwrap().into_owned()
}

const EFFECT: &str = "INSERT INTO effects VALUES ($1, $2)";

macro_rules! handlers {
    ($ours:ident, $by_hand:ident, $store:ty, $transaction:ty, $pool:ty, $begin:literal, $now:literal) => {
        async fn $ours(receiver: Arc<Receiver<ThreeQpr, $store>>, delivery: Scan) {
            let handler = async |delivery: Scan, mut transaction: $transaction| {
                let insert = sqlx::query(EFFECT).bind(delivery.id()).bind(delivery.event_name());
                insert.execute(&mut *transaction).await?;
                Ok::<_, SqlStoreError>(transaction)
            };
            assert_eq!(receiver.handle_in_transaction(delivery, handler).await.code(), "handled");
        }

        async fn $by_hand(pool: $pool, delivery: Scan) {
            let mut transaction = pool.begin_with($begin).await.unwrap();
            let key = delivery.idempotency_key();
            let insert = concat!("INSERT INTO inbox VALUES ($1, ", $now, ") ON CONFLICT DO NOTHING");
            let insert = sqlx::query(insert).bind(key.as_str());
            assert_eq!(insert.execute(&mut *transaction).await.unwrap().rows_affected(), 1);
            let insert = sqlx::query(EFFECT).bind(delivery.id()).bind(delivery.event_name());
            insert.execute(&mut *transaction).await.unwrap();
            transaction.commit().await.unwrap();
        }
    };
}

handlers!(
    sqlite,
    sqlite_by_hand,
    SqliteStore,
    SqliteTransaction,
    SqlitePool,
    "BEGIN IMMEDIATE",
    "unixepoch()"
);
handlers!(postgres, postgres_by_hand, PostgresStore, PostgresTransaction, PgPool, "BEGIN", "now()");

/// How many deliveries per second a candidate handles, with so many in flight.
async fn rate<F>(webhook: &Webhook<ThreeQpr>, in_flight: usize, handle: impl Fn(Scan) -> F) -> f64
where
    F: Future<Output = ()> + Send + 'static,
{
    let each = TURNS[usize::from(in_flight > 1)].div_ceil(in_flight).max(4);
    let mut deliveries: Vec<_> = (0..each * in_flight).map(|_| handle(delivery(webhook))).collect();
    let start = Instant::now();
    let tasks: Vec<_> = (0..in_flight)
        .map(|_| {
            let mine = deliveries.split_off(deliveries.len() - each);
            tokio::spawn(async move {
                for handling in mine {
                    handling.await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    (each * in_flight) as f64 / start.elapsed().as_secs_f64()
}

async fn compare<A, B>(name: &str, by_hand: impl Fn(Scan) -> A, ours: impl Fn(Scan) -> B)
where
    A: Future<Output = ()> + Send + 'static,
    B: Future<Output = ()> + Send + 'static,
{
    let others = ["SQLite", "PostgreSQL"].into_iter().filter(|other| *other != name);
    if others.into_iter().any(|other| std::env::args().any(|argument| argument == other)) {
        return;
    }
    let webhook = Webhook::new(Secret::new("whsec_0123456789abcdef").unwrap()).unwrap();
    for in_flight in [1, 32, 128] {
        let mut rates = [Vec::new(), Vec::new()];
        for round in 0..=ROUNDS {
            for turn in [round % 2, 1 - round % 2] {
                let rate = match turn {
                    0 => rate(&webhook, in_flight, &by_hand).await,
                    _ => rate(&webhook, in_flight, &ours).await,
                };
                // The first round warms up.
                if round > 0 {
                    rates[turn].push(rate);
                }
            }
        }
        let [by_hand, ours] = rates.map(|mut rates| {
            rates.sort_by(f64::total_cmp);
            rates[rates.len() / 2]
        });
        println!(
            "{name:<10} {in_flight:>3} in flight   by hand {by_hand:>6.0}/s   one commit {ours:>6.0}/s   ratio {:.2}",
            ours / by_hand
        );
    }
}

#[tokio::main]
async fn main() {
    let webhook = Webhook::new(Secret::new("whsec_0123456789abcdef").unwrap()).unwrap();
    let tables = "CREATE TABLE effects (id TEXT, event TEXT)";

    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path().join("ours.db")).await.unwrap();
    sqlx::raw_sql(tables).execute(store.pool()).await.unwrap();
    let options = SqliteConnectOptions::new()
        .filename(directory.path().join("by_hand.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    // With one connection: with more, they wait for each other's locks and are slower.
    let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(30));
    let pool = pool.connect_with(options).await.unwrap();
    let inbox = "CREATE TABLE inbox (key TEXT NOT NULL PRIMARY KEY, received_at INTEGER NOT NULL) STRICT, WITHOUT ROWID";
    for sql in [tables, inbox] {
        sqlx::raw_sql(sql).execute(&pool).await.unwrap();
    }
    let receiver = Arc::new(Receiver::new(webhook.clone(), store));
    let by_hand = |delivery| sqlite_by_hand(pool.clone(), delivery);
    compare("SQLite", by_hand, |delivery| sqlite(Arc::clone(&receiver), delivery)).await;

    let Some(server) = Server::postgres() else { return };
    let pool = || {
        PostgresStore::pool_options().max_connections(CONNECTIONS).acquire_timeout(Duration::from_secs(30))
    };
    let store = PostgresStore::connect_with(pool(), server.url().parse().unwrap()).await.unwrap();
    store.migrate().await.unwrap();
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS);
    let pool = pool.connect(&server.url()).await.unwrap();
    let inbox = r#"CREATE TABLE inbox (key text COLLATE "C" PRIMARY KEY, received_at timestamptz NOT NULL)"#;
    for sql in [tables, inbox] {
        sqlx::raw_sql(sql).execute(&pool).await.unwrap();
    }
    let receiver = Arc::new(Receiver::new(webhook, store));
    let by_hand = |delivery| postgres_by_hand(pool.clone(), delivery);
    compare("PostgreSQL", by_hand, |delivery| postgres(Arc::clone(&receiver), delivery)).await;
}
