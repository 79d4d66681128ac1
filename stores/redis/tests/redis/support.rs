//! A connection to a server, and what the tests do with it.

use std::time::Duration;

use countersign::store::{Claim, IdempotencyStore, Lease, conformance};
use countersign_redis::redis::Client;
use countersign_redis::redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use countersign_redis::{RedisStore, RedisStoreError};

use crate::common::servers::Server;

pub(crate) const LEASE: Duration = Duration::from_secs(60);
pub(crate) const RETENTION: Duration = Duration::from_secs(3600);

pub(crate) async fn connect(server: &Server) -> ConnectionManager {
    let config = ConnectionManagerConfig::new().set_number_of_retries(1);
    let client = Client::open(server.url()).unwrap();
    client.get_connection_manager_with_config(config).await.unwrap()
}

/// The lease of a key that nobody else has.
pub(crate) async fn claimed<C>(store: &RedisStore<C>, lease_duration: Duration) -> Lease
where
    C: ConnectionLike + Clone + Send + Sync,
{
    let Claim::Acquired(lease) = store.claim(&conformance::fresh_key(), lease_duration).await.unwrap() else {
        panic!()
    };
    lease
}

pub(crate) async fn sleep(time: Duration) {
    tokio::time::sleep(time).await;
}

/// What the error says of its cause, for a log.
pub(crate) fn cause(error: &RedisStoreError) -> String {
    std::error::Error::source(error).unwrap().to_string()
}
