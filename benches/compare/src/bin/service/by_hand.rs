//! What somebody writes by hand: the bare `hmac`, structs, and the store's own client.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::handler::Handler;
use axum::routing::{MethodRouter, post};
use countersign_redis::redis::{self, RedisError, aio::ConnectionManager};
use countersign_sqlx::sqlx::postgres::PgPoolOptions;
use countersign_sqlx::sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use countersign_sqlx::sqlx::{self, PgPool, SqlitePool};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, StatusCode};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::effects::{self, Effects, REDIS_LIST};
use crate::payload::{Quote, parse};
use crate::{CONNECTIONS, SECRET};

/// The endpoint's state, with what it keeps its keys in.
pub struct Service<S> {
    mac: Hmac<Sha256>,
    store: S,
}

type Answer = Result<StatusCode, StatusCode>;

/// A route to this handler.
fn route<S, H, T>(handler: H, store: S) -> MethodRouter
where
    S: Send + Sync + 'static,
    H: Handler<T, Arc<Service<S>>>,
    T: 'static,
{
    let mac = Hmac::new_from_slice(SECRET.as_bytes()).unwrap();
    post(handler).with_state(Arc::new(Service { mac, store }))
}

impl<S> Service<S> {
    /// Verifies and reads a delivery, and makes its key of the body's hash: Quote3D sends no id.
    fn read(&self, headers: &HeaderMap, body: &[u8]) -> Result<(String, Quote), StatusCode> {
        self.verify(headers, body).ok_or(StatusCode::UNAUTHORIZED)?;
        let quote = parse(body).ok_or(StatusCode::UNPROCESSABLE_ENTITY)?;
        Ok((format!("quote3d:sha256:{}", hex::encode(Sha256::digest(body))), quote))
    }

    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Option<()> {
        let header = headers.get("x-webhook-signature")?.to_str().ok()?;
        let tag = hex::decode(header.strip_prefix("sha256=")?).ok()?;
        let computed = self.mac.clone().chain_update(body).finalize().into_bytes();
        bool::from(computed.ct_eq(&tag)).then_some(())
    }
}

fn unavailable<E: std::fmt::Display>(error: E) -> StatusCode {
    eprintln!("{error}");
    StatusCode::SERVICE_UNAVAILABLE
}

/// Reads the body, and does nothing with it.
pub fn only_read() -> MethodRouter {
    post(async |body: Bytes| assert!(!body.is_empty()))
}

type Map = (Mutex<HashMap<String, bool>>, Effects);

pub fn in_memory(effects: Effects) -> MethodRouter {
    route(handle_in_memory, (Mutex::default(), effects))
}

async fn handle_in_memory(
    State(service): State<Arc<Service<Map>>>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let (key, quote) = service.read(&headers, &body)?;
    let (seen, effects) = &service.store;
    match seen.lock().unwrap().entry(key.clone()) {
        Entry::Occupied(is_done) => {
            return Ok(if *is_done.get() { StatusCode::OK } else { StatusCode::CONFLICT });
        }
        Entry::Vacant(new) => new.insert(false),
    };
    effects.push(quote.job_id, quote.total_price);
    seen.lock().unwrap().insert(key, true);
    Ok(StatusCode::OK)
}

/// The key and the effect in one transaction.
macro_rules! one_commit {
    ($handle:ident, $pool:ty, $begin:literal, $now:literal) => {
        async fn $handle(
            State(service): State<Arc<Service<$pool>>>,
            headers: HeaderMap,
            body: Bytes,
        ) -> Answer {
            let (key, quote) = service.read(&headers, &body)?;
            let handled = async {
                let mut transaction = service.store.begin_with($begin).await?;
                let insert = concat!("INSERT INTO inbox VALUES ($1, ", $now, ") ON CONFLICT DO NOTHING");
                let insert = sqlx::query(insert).bind(key).execute(&mut *transaction).await?;
                if insert.rows_affected() == 1 {
                    let insert = sqlx::query(effects::INSERT).bind(quote.job_id).bind(quote.total_price);
                    insert.execute(&mut *transaction).await?;
                }
                transaction.commit().await
            };
            handled.await.map_err(unavailable::<sqlx::Error>)?;
            Ok(StatusCode::OK)
        }
    };
}

one_commit!(handle_in_sqlite, SqlitePool, "BEGIN IMMEDIATE", "unixepoch()");
one_commit!(handle_in_postgres, PgPool, "BEGIN", "now()");

pub async fn in_sqlite(path: &str) -> MethodRouter {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    // With more connections, they wait for each other's locks, and are slower.
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let inbox =
        "CREATE TABLE IF NOT EXISTS inbox (key TEXT NOT NULL PRIMARY KEY, received_at INTEGER NOT NULL)
        STRICT, WITHOUT ROWID";
    for sql in [inbox, effects::SQLITE_TABLE] {
        sqlx::raw_sql(sql).execute(&pool).await.unwrap();
    }
    route(handle_in_sqlite, pool)
}

async fn pool(url: &str) -> PgPool {
    PgPoolOptions::new().max_connections(CONNECTIONS).connect(url).await.unwrap()
}

pub async fn in_postgres(url: &str) -> MethodRouter {
    route(handle_in_postgres, pool(url).await)
}

type Apart = (PgPool, Option<Effects>);

/// With the effect in memory instead of the database, if there are effects in memory.
pub async fn apart_in_postgres(url: &str, in_memory: Option<Effects>) -> MethodRouter {
    route(handle_apart, (pool(url).await, in_memory))
}

/// A claim, the effect and a completion, each in a statement of its own.
async fn handle_apart(State(service): State<Arc<Service<Apart>>>, headers: HeaderMap, body: Bytes) -> Answer {
    let (key, quote) = service.read(&headers, &body)?;
    let (pool, in_memory) = &service.store;
    let handled = async {
        let claim =
            "INSERT INTO claims VALUES ($1, false, now() + interval '1 minute') ON CONFLICT DO NOTHING";
        if sqlx::query(claim).bind(&key).execute(pool).await?.rows_affected() == 0 {
            let is_done = sqlx::query_scalar("SELECT done FROM claims WHERE key = $1").bind(&key);
            let is_done: bool = is_done.fetch_one(pool).await?;
            return Ok(if is_done { StatusCode::OK } else { StatusCode::CONFLICT });
        }
        match in_memory {
            Some(effects) => effects.push(quote.job_id, quote.total_price),
            None => {
                let insert = sqlx::query(effects::INSERT).bind(quote.job_id).bind(quote.total_price);
                insert.execute(pool).await?;
            }
        }
        let complete = "UPDATE claims SET done = true, expires_at = now() + interval '7 days' WHERE key = $1";
        sqlx::query(complete).bind(&key).execute(pool).await?;
        Ok(StatusCode::OK)
    };
    handled.await.map_err(unavailable::<sqlx::Error>)
}

pub fn in_redis(connection: ConnectionManager) -> MethodRouter {
    route(handle_in_redis, connection)
}

async fn handle_in_redis(
    State(service): State<Arc<Service<ConnectionManager>>>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let (key, quote) = service.read(&headers, &body)?;
    let mut connection = service.store.clone();
    let handled = async {
        let mut claim = redis::cmd("SET");
        claim.arg(&key).arg("claimed").arg(&["NX", "GET", "PX"]).arg(60_000);
        let before: Option<String> = claim.query_async(&mut connection).await?;
        if let Some(state) = before {
            return Ok(if state == "done" { StatusCode::OK } else { StatusCode::CONFLICT });
        }
        redis::cmd("RPUSH").arg(REDIS_LIST).arg(quote.job_id).exec_async(&mut connection).await?;
        let mut complete = redis::cmd("SET");
        complete.arg(&key).arg("done").arg("PX").arg(604_800_000);
        complete.exec_async(&mut connection).await?;
        Ok(StatusCode::OK)
    };
    handled.await.map_err(unavailable::<RedisError>)
}
