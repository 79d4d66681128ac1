//! What a claim and its completion cost in each database, as ratios against the two bare statements. What
//! a key takes once it is vacuumed, `benches/figures` says.
//!
//! For the SQL stores it also compares many calls at once, with the shared flush, without it, and for duplicates. Those
//! candidates take turns too.
//!
//! Run it with `cargo bench --bench stores --features conformance`, where
//! PostgreSQL and Redis are installed: it starts servers of its own. The two candidates take turns in
//! blocks, so that a noisy machine slows both alike, and their medians are compared.

#[path = "../tests/common/servers.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests use the rest")]
mod servers;

use std::time::{Duration, Instant};

use countersign::store::{Claim, conformance};
use countersign::{IdempotencyKey, IdempotencyStore};
use countersign_redis::RedisStore;
use countersign_redis::redis::{self, Client, Script};
use countersign_sqlx::sqlx;
use countersign_sqlx::sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use countersign_sqlx::{PostgresStore, SqliteStore, TableName};
use servers::Server;
use tokio::task::JoinSet;

const LEASE: Duration = Duration::from_secs(60);
const RETENTION: Duration = Duration::from_secs(7 * 86_400);
const BLOCKS: usize = 60;
const BLOCK: usize = 50;
/// How often each store takes its turn with many calls at once, and for how long.
const TURNS: usize = 7;
const TURN: Duration = Duration::from_millis(500);

async fn claim_and_complete<S: IdempotencyStore>(store: &S, key: &IdempotencyKey) {
    let Claim::Acquired(lease) = store.claim(key, LEASE).await.unwrap() else {
        unreachable!("the key is new")
    };
    let _ = store.complete(&lease, RETENTION).await.unwrap();
}

/// Lets the bare pair and the store take turns, and prints their medians.
async fn compare<S: IdempotencyStore>(name: &str, store: &S, bare: impl AsyncFn(&IdempotencyKey)) {
    let mut times = [Vec::new(), Vec::new()];
    for block in 0..BLOCKS {
        let keys: Vec<_> = (0..2 * BLOCK).map(|_| conformance::fresh_key()).collect();
        // Each goes first every other time.
        for turn in [block % 2, 1 - block % 2] {
            let start = Instant::now();
            for key in &keys[turn * BLOCK..][..BLOCK] {
                if turn == 0 { bare(key).await } else { claim_and_complete(store, key).await }
            }
            times[turn].push(start.elapsed().as_secs_f64() / BLOCK as f64);
        }
    }
    let [bare, ours] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2] * 1e6
    });
    println!(
        "{name:<12} bare {bare:>8.1} µs   claim and complete {ours:>8.1} µs   throughput {:.2} of bare",
        bare / ours
    );
}

/// How many calls a second are done by this many at once, and the 99th percentile of their times, in seconds.
async fn rate<F: Future<Output = ()> + Send>(
    at_once: usize,
    call: impl Fn() -> F + Clone + Send + 'static,
) -> (f64, Vec<f64>) {
    let start = Instant::now();
    let calls = (0..at_once).map(|_| {
        let call = call.clone();
        async move {
            let mut times = Vec::new();
            while start.elapsed() < TURN {
                let begin = Instant::now();
                call().await;
                times.push(begin.elapsed().as_secs_f64());
            }
            times
        }
    });
    let times: Vec<_> = calls.collect::<JoinSet<_>>().join_all().await.concat();
    (times.len() as f64 / start.elapsed().as_secs_f64(), times)
}

/// Lets stores take turns at claims and completions, and at claims of a done key, and prints the medians as ratios to
/// the first one's.
async fn many<S: IdempotencyStore + Clone + 'static>(stores: &[(&str, S)]) {
    for duplicates in [false, true] {
        for at_once in [1, 8, 32, 128] {
            let mut figures = vec![(Vec::new(), Vec::new()); stores.len()];
            for turn in 0..TURNS {
                for n in 0..stores.len() {
                    let n = (n + turn) % stores.len();
                    let (store, done) = (stores[n].1.clone(), conformance::fresh_key());
                    claim_and_complete(&store, &done).await;
                    let call = move || {
                        let (store, done) = (store.clone(), done.clone());
                        async move {
                            if duplicates {
                                assert!(matches!(store.claim(&done, LEASE).await, Ok(Claim::Done)));
                            } else {
                                claim_and_complete(&store, &conformance::fresh_key()).await;
                            }
                        }
                    };
                    let (rate, times) = rate(at_once, call).await;
                    figures[n].0.push(rate);
                    figures[n].1.extend(times);
                }
            }
            let figures: Vec<_> = figures
                .into_iter()
                .map(|(mut rates, mut times)| {
                    rates.sort_by(f64::total_cmp);
                    times.sort_by(f64::total_cmp);
                    (rates[rates.len() / 2], times[times.len() * 99 / 100] * 1e3)
                })
                .collect();
            let what = if duplicates { "duplicates" } else { "claim and complete" };
            for ((name, _), (rate, slow)) in stores.iter().zip(&figures) {
                let (first, first_slow) = figures[0];
                println!(
                    "{name:<24} {what:<18} {at_once:>3} at once {rate:>7.0} a second ({:.2}), p99 {slow:>7.2} ms ({:.2})",
                    rate / first,
                    slow / first_slow,
                );
            }
        }
    }
}

async fn postgres() {
    let Some(server) = Server::postgres() else { return };
    let pool = PostgresStore::pool_options().max_connections(32);
    let store = PostgresStore::connect_with(pool, server.url().parse().unwrap()).await.unwrap();
    store.migrate().await.unwrap();
    sqlx::raw_sql("CREATE TABLE bare (LIKE countersign_keys INCLUDING ALL)")
        .execute(store.pool())
        .await
        .unwrap();
    compare("PostgreSQL", &store, async |key| {
        let insert = "INSERT INTO bare VALUES ($1, $2, false, clock_timestamp() + interval '1 minute')";
        sqlx::query(insert).bind(key.as_str()).bind(&[7_u8; 16][..]).execute(store.pool()).await.unwrap();
        let update =
            "UPDATE bare SET done = true, expires_at = clock_timestamp() + interval '7 days' WHERE key = $1";
        sqlx::query(update).bind(key.as_str()).execute(store.pool()).await.unwrap();
    })
    .await;
    let apart = store.clone().with_table(&TableName::new("apart").unwrap()).without_shared_flush();
    apart.migrate().await.unwrap();
    many(&[("PostgreSQL, not shared", apart), ("PostgreSQL, shared", store.clone())]).await;
    let size = "SELECT pg_total_relation_size('countersign_keys') / count(*) FROM countersign_keys";
    let size: i64 = sqlx::query_scalar(size).fetch_one(store.pool()).await.unwrap();
    println!("{:<12} {size} bytes a key, with its claim's row not yet vacuumed", "");
}

async fn sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("webhooks.db");
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let pool = SqlitePoolOptions::new().max_connections(1);
    let store = SqliteStore::connect_with(pool, options).await.unwrap();
    store.migrate().await.unwrap();
    let bare = include_str!("../stores/sqlx/src/sqlite.sql").replace("countersign_keys", "bare");
    sqlx::raw_sql(sqlx::AssertSqlSafe(bare)).execute(store.pool()).await.unwrap();
    compare("SQLite", &store, async |key| {
        let insert = "INSERT INTO bare VALUES (?1, ?2, 0, ?3)";
        sqlx::query(insert)
            .bind(key.as_str())
            .bind(&[7_u8; 16][..])
            .bind(1_i64)
            .execute(store.pool())
            .await
            .unwrap();
        let update = "UPDATE bare SET done = 1, expires_at = ?2 WHERE key = ?1";
        sqlx::query(update).bind(key.as_str()).bind(2_i64).execute(store.pool()).await.unwrap();
    })
    .await;
    let apart = store.clone().with_table(&TableName::new("apart").unwrap()).without_shared_flush();
    apart.migrate().await.unwrap();
    many(&[("SQLite, not shared", apart), ("SQLite, shared", store)]).await;
}

async fn redis() {
    let Some(server) = Server::redis() else { return };
    let connection = Client::open(server.url()).unwrap().get_connection_manager().await.unwrap();
    let store = RedisStore::new(connection.clone());
    let complete = Script::new(
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
         redis.call('SET', KEYS[1], 'D', 'PX', ARGV[2]) return 1",
    );
    compare("Redis", &store, async |key| {
        let mut connection = connection.clone();
        let mut set = redis::cmd("SET");
        set.arg(key.as_str()).arg("P0123456789abcdef").arg(&["NX", "GET", "PX"]).arg(60_000);
        let _: Option<String> = set.query_async(&mut connection).await.unwrap();
        let mut complete = complete.key(key.as_str());
        complete.arg("P0123456789abcdef").arg(604_800_000_u64);
        let _: bool = complete.invoke_async(&mut connection).await.unwrap();
    })
    .await;
    many(&[("Redis", store)]).await;
}

#[tokio::main]
async fn main() {
    // `cargo test` runs benchmarks too, where they would only cost time.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    postgres().await;
    sqlite().await;
    redis().await;
}
