//! What somebody writes with countersign: its endpoint, and a handler.

use std::time::Duration;

use axum::routing::{MethodRouter, post_service};
use countersign::provider::{Quote3d, quote3d};
use countersign::tower::{Endpoint, Verified};
use countersign::{IdempotencyStore, MemoryStore, Receiver, Secret, Webhook};
use countersign_redis::RedisStore;
use countersign_redis::redis::{self, aio::ConnectionManager};
use countersign_sqlx::sqlx;
use countersign_sqlx::sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use countersign_sqlx::{PostgresStore, PostgresTransaction, SqliteStore, SqliteTransaction};

use crate::effects::{self, Effects, REDIS_LIST};
use crate::payload::Quote;
use crate::{CONNECTIONS, SECRET};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

fn receiver<S: IdempotencyStore>(store: S) -> Receiver<Quote3d, S> {
    Receiver::new(Webhook::new(Secret::new(SECRET).unwrap()).unwrap(), store)
}

/// The typed event, of which the effect is made.
fn quote(Verified(delivery): Verified<Quote3d>) -> Result<Quote, BoxError> {
    match delivery.event()? {
        quote3d::Event::QuoteCompleted(quote) => {
            Ok(Quote { job_id: quote.job_id, total_price: quote.result.total_price.parse()? })
        }
        other => Err(format!("{} is not measured", other.name()).into()),
    }
}

/// An endpoint whose handler does this with a quote.
fn endpoint<S, F>(store: S, handle: impl Fn(Quote) -> F + Clone + Send + Sync + 'static) -> MethodRouter
where
    S: IdempotencyStore + 'static,
    F: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    let handler = move |delivery| {
        let handle = handle.clone();
        async move { handle(quote(delivery)?).await }
    };
    post_service(Endpoint::new(receiver(store), handler))
}

fn endpoint_with_effects_in_memory<S: IdempotencyStore + 'static>(
    store: S,
    effects: Effects,
) -> MethodRouter {
    endpoint(store, move |quote| {
        let effects = effects.clone();
        async move {
            effects.push(quote.job_id, quote.total_price);
            Ok(())
        }
    })
}

pub fn in_memory(effects: Effects) -> MethodRouter {
    // More than there will be.
    endpoint_with_effects_in_memory(MemoryStore::new().with_capacity(usize::MAX), effects)
}

pub fn in_redis(connection: ConnectionManager) -> MethodRouter {
    endpoint(RedisStore::new(connection.clone()), move |quote| {
        let mut connection = connection.clone();
        async move { Ok(redis::cmd("RPUSH").arg(REDIS_LIST).arg(quote.job_id).exec_async(&mut connection).await?) }
    })
}

macro_rules! sql_store {
    ($store:ty, $transaction:ty, $one_commit:ident, $apart:ident) => {
        /// The key and the effect in one commit.
        pub fn $one_commit(store: $store) -> MethodRouter {
            let handler = async |delivery, mut transaction: $transaction| {
                let quote = quote(delivery)?;
                let insert = sqlx::query(effects::INSERT).bind(quote.job_id).bind(quote.total_price);
                insert.execute(&mut *transaction).await?;
                Ok::<_, BoxError>(transaction)
            };
            post_service(Endpoint::in_transaction(receiver(store), handler))
        }

        /// The claim, the effect and the completion in a commit each; the effect in memory instead, if there are effects
        /// in memory.
        pub fn $apart(store: $store, in_memory: Option<Effects>) -> MethodRouter {
            if let Some(effects) = in_memory {
                return endpoint_with_effects_in_memory(store, effects);
            }
            let pool = store.pool().clone();
            endpoint(store, move |quote| {
                let pool = pool.clone();
                async move {
                    let insert = sqlx::query(effects::INSERT).bind(quote.job_id).bind(quote.total_price);
                    insert.execute(&pool).await?;
                    Ok(())
                }
            })
        }
    };
}

sql_store!(SqliteStore, SqliteTransaction, one_commit_in_sqlite, apart_in_sqlite);
sql_store!(PostgresStore, PostgresTransaction, one_commit_in_postgres, apart_in_postgres);

pub async fn sqlite(path: &str) -> SqliteStore {
    let store = SqliteStore::open(path).await.unwrap();
    sqlx::raw_sql(effects::SQLITE_TABLE).execute(store.pool()).await.unwrap();
    store
}

/// As `open` does it, but the handlers' own statements wait for the connection for as long as by hand.
pub async fn sqlite_apart(path: &str) -> SqliteStore {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(30));
    let store = SqliteStore::connect_with(pool, options).await.unwrap();
    store.migrate().await.unwrap();
    sqlx::raw_sql(effects::SQLITE_TABLE).execute(store.pool()).await.unwrap();
    store
}

pub async fn postgres(url: &str) -> PostgresStore {
    // As long as a plain pool of sqlx's waits for a connection: with many in flight, a slow disk would be a 503.
    let pool =
        PostgresStore::pool_options().max_connections(CONNECTIONS).acquire_timeout(Duration::from_secs(30));
    let store = PostgresStore::connect_with(pool, url.parse().unwrap()).await.unwrap();
    store.migrate().await.unwrap();
    store
}
