//! What a claim costs in each store by the number of keys that it holds, and while it is purged:
//! `growing MOST [STORE…]`, with as many keys as that at most (10,000,000 take 3.5 GB on disk in each of
//! the databases, and as much memory in Redis and in this process).
//!
//! All numbers of keys are there at once, in tables of one server, and take turns. A commit that waits for
//! the disk hides what the keys cost, so that the databases are measured without that wait as well.

use std::time::{Duration, Instant};

use compare::claims::{LEASE, claim_and_complete};
use compare::keys::keys;
use compare::record::put;
use compare::servers::Server;
use countersign::store::Claim;
use countersign::{IdempotencyKey, IdempotencyStore, MemoryStore};
use countersign_redis::RedisStore;
use countersign_redis::redis::{self, Client};
use countersign_sqlx::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use countersign_sqlx::sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use countersign_sqlx::sqlx::{self, AssertSqlSafe, ConnectOptions, Connection};
use countersign_sqlx::{PostgresStore, SqliteStore, TableName};

const ROUNDS: usize = 45;
/// The claims of a turn. All rounds' together, twice, are fewer than the fewest keys.
const TURN: usize = 10;
/// How many keys there are while others are purged, and how many those are.
const KEPT: u64 = 1_000_000;
const PURGED: u64 = 200_000;

fn numbers(most: u64) -> Vec<u64> {
    (3..=9).map(|power| 10_u64.pow(power)).take_while(|number| *number <= most).collect()
}

async fn claimed<S: IdempotencyStore>(store: &S, key: &IdempotencyKey) -> Duration {
    let start = Instant::now();
    let claim = store.claim(key, LEASE).await.unwrap();
    let time = start.elapsed();
    assert!(matches!(claim, Claim::Acquired(_)), "the key is new");
    time
}

fn put_times(name: &str, mut times: Vec<Duration>) {
    times.sort();
    for (percent, place) in [(50, times.len() / 2), (99, times.len() * 99 / 100)] {
        put(format_args!("{name}/p{percent}"), times[place].as_nanos() as f64);
    }
}

/// Keys that are in no store yet.
struct Fresh(u64);

impl Fresh {
    /// From a number on that no store is filled to.
    fn new() -> Self {
        Self(1 << 40)
    }

    fn take(&mut self, count: usize) -> Vec<IdempotencyKey> {
        let first = self.0;
        self.0 += count as u64;
        keys(first..self.0)
    }
}

/// Lets the stores, which hold so many keys each, take turns.
async fn by_number<S: IdempotencyStore>(name: &str, stores: &[(u64, S)], fresh: &mut Fresh) {
    let mut times = vec![Vec::new(); stores.len()];
    for round in 0..=ROUNDS {
        // Each is first in its turn.
        for at in (0..stores.len()).map(|at| (at + round) % stores.len()) {
            for key in fresh.take(TURN) {
                let time = claimed(&stores[at].1, &key).await;
                // In the first, connections are made and statements prepared.
                if round > 0 {
                    times[at].push(time);
                }
            }
        }
    }
    for ((number, _), times) in stores.iter().zip(times) {
        put_times(&format!("keys/{name}/{number}"), times);
    }
}

/// Claims one after the other while nothing else is done, and while expired keys are purged.
async fn while_purged<S: IdempotencyStore>(
    name: &str,
    store: &S,
    fresh: &mut Fresh,
    purge: impl Future<Output = u64> + Send + 'static,
) {
    let mut alone = Vec::new();
    for key in fresh.take(2_000) {
        alone.push(claimed(store, &key).await);
    }
    put_times(&format!("purge/{name}/without"), alone);
    let mut fresh = fresh.take(40_000).into_iter();
    let purge = tokio::spawn(async {
        let start = Instant::now();
        (purge.await, start.elapsed())
    });
    let mut during = Vec::new();
    while !purge.is_finished() {
        during.push(claimed(store, &fresh.next().expect("keys enough")).await);
    }
    let (purged, time) = purge.await.unwrap();
    assert_eq!(purged, PURGED);
    put_times(&format!("purge/{name}/during"), during);
    put(format_args!("purge/{name}/a second"), purged as f64 / time.as_secs_f64());
}

fn table(number: u64) -> TableName {
    TableName::new(format!("keys_{number}")).unwrap()
}

async fn postgres(most: u64) {
    let server = Server::postgres().expect("PostgreSQL is installed");
    let options: PgConnectOptions = server.url().parse().unwrap();
    let pool = PostgresStore::pool_options().max_connections(4);
    let pool = PostgresStore::connect_with(pool, options.clone()).await.unwrap();
    let execute = async |sql: String| sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool.pool()).await.unwrap();
    let store = |store: &PostgresStore, number| store.clone().with_table(&table(number));
    for number in numbers(most) {
        store(&pool, number).migrate().await.unwrap();
        execute(format!(
            "INSERT INTO keys_{number}
             SELECT 'quote3d:sha256:' || encode(sha256(n::text::bytea), 'hex'), decode(md5(n::text), 'hex'), true,
                 clock_timestamp() + interval '7 days' + n * interval '1 millisecond'
             FROM generate_series(1, {number}) AS n;"
        ))
        .await;
        execute(format!("VACUUM ANALYZE keys_{number}")).await;
        let size = format!("SELECT pg_total_relation_size('keys_{number}')");
        let size: i64 = sqlx::query_scalar(AssertSqlSafe(size)).fetch_one(pool.pool()).await.unwrap();
        put(format_args!("bytes a key/postgres/{number}"), size as f64 / number as f64);
    }
    execute("CHECKPOINT".to_owned()).await;
    let stores =
        |pool| numbers(most).into_iter().map(|number| (number, store(pool, number))).collect::<Vec<_>>();
    let mut fresh = Fresh::new();
    by_number("postgres", &stores(&pool), &mut fresh).await;
    let no_wait = options.options([("synchronous_commit", "off")]);
    let no_wait =
        PostgresStore::connect_with(PgPoolOptions::new().max_connections(1), no_wait).await.unwrap();
    by_number("postgres, no wait for the disk", &stores(&no_wait), &mut fresh).await;
    let lsn = async || -> i64 {
        let lsn = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint";
        sqlx::query_scalar(lsn).fetch_one(pool.pool()).await.unwrap()
    };
    let before = lsn().await;
    let largest = store(&pool, *numbers(most).last().unwrap());
    let deliveries = fresh.take(1_000);
    for key in &deliveries {
        claim_and_complete(&largest, key).await;
    }
    put("bytes of log a delivery/postgres", (lsn().await - before) as f64 / deliveries.len() as f64);
    let kept = KEPT.min(most);
    execute(format!(
        "INSERT INTO keys_{kept}
         SELECT 'quote3d:sha256:' || encode(sha256(('expired ' || n)::bytea), 'hex'), decode(md5(n::text), 'hex'),
             true, clock_timestamp() - interval '1 day' + n * interval '1 millisecond'
         FROM generate_series(1, {PURGED}) AS n"
    ))
    .await;
    execute(format!("VACUUM ANALYZE keys_{kept}")).await;
    let store = store(&pool, kept);
    let purging = store.clone();
    while_purged("postgres", &store, &mut fresh, async move { purging.purge().await.unwrap() }).await;
}

async fn sqlite(most: u64) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("webhooks.db");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let keys_table = |number: u64| {
        include_str!("../../../../stores/sqlx/src/sqlite.sql")
            .replace("countersign_keys", table(number).as_str())
    };
    let row = |expires: &str| {
        format!(
            "'quote3d:sha256:' || lower(hex(randomblob(32))), randomblob(16), 1, unixepoch() * 1000 + {expires}"
        )
    };
    let numbered = |count: u64| {
        format!("WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {count})")
    };
    let mut filling = options
        .clone()
        .journal_mode(SqliteJournalMode::Off)
        .synchronous(SqliteSynchronous::Off)
        .connect()
        .await
        .unwrap();
    for number in numbers(most) {
        let before = std::fs::metadata(&path).map_or(0, |file| file.len());
        let fill = format!(
            "{} {} INSERT INTO keys_{number} SELECT {} FROM n; ANALYZE keys_{number};",
            keys_table(number),
            numbered(number),
            row("604800000 + n"),
        );
        sqlx::raw_sql(AssertSqlSafe(fill)).execute(&mut filling).await.unwrap();
        let size = std::fs::metadata(&path).unwrap().len() - before;
        put(format_args!("bytes a key/sqlite/{number}"), size as f64 / number as f64);
    }
    filling.close().await.unwrap();

    let pool = async |synchronous| {
        let options = options.clone().journal_mode(SqliteJournalMode::Wal).synchronous(synchronous);
        SqliteStore::connect_with(SqlitePoolOptions::new().max_connections(1), options).await.unwrap()
    };
    let store = |store: &SqliteStore, number| store.clone().with_table(&table(number));
    let stores =
        |pool| numbers(most).into_iter().map(|number| (number, store(pool, number))).collect::<Vec<_>>();
    let mut fresh = Fresh::new();
    let no_wait = pool(SqliteSynchronous::Off).await;
    by_number("sqlite, no wait for the disk", &stores(&no_wait), &mut fresh).await;
    no_wait.pool().close().await;
    // As `SqliteStore::open` does it.
    let pool = pool(SqliteSynchronous::Full).await;
    by_number("sqlite", &stores(&pool), &mut fresh).await;
    let kept = KEPT.min(most);
    let fill = format!("{} INSERT INTO keys_{kept} SELECT {} FROM n;", numbered(PURGED), row("n - 86400000"));
    sqlx::raw_sql(AssertSqlSafe(fill)).execute(pool.pool()).await.unwrap();
    sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(pool.pool()).await.unwrap();
    let store = store(&pool, kept);
    let purging = store.clone();
    while_purged("sqlite", &store, &mut fresh, async move { purging.purge().await.unwrap() }).await;
}

async fn redis(most: u64) {
    let server = Server::redis().expect("Redis is installed");
    let mut stores = Vec::new();
    for (database, number) in numbers(most).into_iter().enumerate() {
        let client = Client::open(format!("{}/{database}", server.url())).unwrap();
        let mut connection = client.get_connection_manager().await.unwrap();
        let memory = async |connection: &mut _| -> f64 {
            let info: String = redis::cmd("INFO").arg("memory").query_async(connection).await.unwrap();
            info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().parse().unwrap()
        };
        let before = memory(&mut connection).await;
        for from in (0..number).step_by(1_000) {
            let mut fill = redis::pipe();
            for n in from..number.min(from + 1_000) {
                let key = format!("countersign:quote3d:sha256:{n:064x}");
                fill.cmd("SET").arg(key).arg("D0123456789abcdef").arg("PX").arg(604_800_000 + n).ignore();
            }
            fill.exec_async(&mut connection).await.unwrap();
        }
        let size = memory(&mut connection).await - before;
        put(format_args!("bytes a key/redis/{number}"), size / number as f64);
        stores.push((number, RedisStore::new(connection)));
    }
    by_number("redis", &stores, &mut Fresh::new()).await;
}

async fn memory(most: u64) {
    let mut stores = Vec::new();
    for number in numbers(most) {
        let store = MemoryStore::new().with_capacity(usize::MAX);
        for from in (0..number).step_by(10_000) {
            for key in keys(from..number.min(from + 10_000)) {
                claim_and_complete(&store, &key).await;
            }
        }
        stores.push((number, store));
    }
    by_number("memory", &stores, &mut Fresh::new()).await;
}

#[tokio::main]
async fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let most: u64 = arguments.first().map_or(10_000_000, |most| most.parse().unwrap());
    assert!(numbers(most).contains(&most), "MOST has to be a power of ten from 1,000 on");
    let stores = arguments.get(1..).filter(|stores| !stores.is_empty());
    let all = ["postgres", "sqlite", "redis", "memory"].map(str::to_owned);
    for store in stores.unwrap_or(&all) {
        match &**store {
            "postgres" => postgres(most).await,
            "sqlite" => sqlite(most).await,
            "redis" => redis(most).await,
            "memory" => memory(most).await,
            unknown => panic!("no store is called {unknown}"),
        }
    }
}
