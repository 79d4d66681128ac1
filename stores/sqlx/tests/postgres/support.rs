//! The store on a server, and what the tests do with it.

use std::time::Duration;

use countersign::IdempotencyKey;
use countersign::store::Claim;
use countersign_sqlx::PostgresStore;
use countersign_sqlx::sqlx::{self, PgConnection, PgPool};

use crate::common::servers::Server;

pub(crate) const LEASE: Duration = Duration::from_secs(60);
pub(crate) const RETENTION: Duration = Duration::from_secs(3600);

pub(crate) async fn connect(server: &Server) -> PostgresStore {
    let pool = PostgresStore::pool_options().max_connections(16).acquire_timeout(Duration::from_secs(60));
    PostgresStore::connect_with(pool, server.url().parse().unwrap()).await.unwrap()
}

/// A store with a single connection.
pub(crate) async fn connect_once(server: &Server) -> PostgresStore {
    let pool = PostgresStore::pool_options().max_connections(1);
    PostgresStore::connect_with(pool, server.url().parse().unwrap()).await.unwrap()
}

/// Makes a store on a new server, if PostgreSQL is installed.
pub(crate) async fn store() -> Option<(Server, PostgresStore)> {
    let server = Server::postgres()?;
    let store = connect(&server).await;
    store.migrate().await.unwrap();
    Some((server, store))
}

pub(crate) fn acquired(claim: Claim) -> countersign::store::Lease {
    match claim {
        Claim::Acquired(lease) => lease,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn sleep(time: Duration) {
    tokio::time::sleep(time).await;
}

/// An effect of a handler: a row in a table without a unique index.
pub(crate) async fn add_effect(connection: &mut PgConnection, key: &IdempotencyKey) {
    let insert = sqlx::query("INSERT INTO effects VALUES ($1)").bind(key.as_str());
    insert.execute(connection).await.unwrap();
}

pub(crate) async fn effects(pool: &PgPool, key: &IdempotencyKey) -> i64 {
    let count = sqlx::query_scalar("SELECT count(*) FROM effects WHERE key = $1").bind(key.as_str());
    count.fetch_one(pool).await.unwrap()
}
