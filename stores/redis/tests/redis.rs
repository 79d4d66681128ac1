//! The Redis store, on a real server.

#[path = "../../../tests/common/mod.rs"]
mod common;
#[path = "../../../tests/common/race.rs"]
mod race;

use std::sync::Arc;
use std::time::Duration;

use common::servers::Server;
use countersign::IdempotencyStore;
use countersign::store::{Claim, ErasedStore, Fenced, conformance};
use countersign_redis::RedisStore;
use countersign_redis::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use countersign_redis::redis::cluster::ClusterClient;
use countersign_redis::redis::cluster_async::ClusterConnection;
use countersign_redis::redis::{self, Client};
use race::one_wins;

const LEASE: Duration = Duration::from_secs(60);
const RETENTION: Duration = Duration::from_secs(3600);

async fn connect(server: &Server) -> ConnectionManager {
    let config = ConnectionManagerConfig::new().set_number_of_retries(1);
    let client = Client::open(server.url()).unwrap();
    client.get_connection_manager_with_config(config).await.unwrap()
}

async fn sleep(time: Duration) {
    tokio::time::sleep(time).await;
}

#[tokio::test]
async fn the_redis_store_keeps_the_contract() {
    let Some(server) = Server::redis() else { return };
    let store = RedisStore::new(connect(&server).await);
    conformance::check(&store, sleep).await;
    let erased: Arc<dyn ErasedStore> = Arc::new(store);
    conformance::check(&erased, sleep).await;
}

#[tokio::test]
async fn any_asynchronous_connection_will_do() {
    let Some(server) = Server::redis() else { return };
    let client = Client::open(server.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    conformance::check(&RedisStore::new(connection), sleep).await;
}

/// Stores with a connection each, unless there is no server.
async fn racers() -> Option<(Server, Vec<RedisStore>)> {
    let server = Server::redis()?;
    let mut stores = Vec::new();
    for _ in 0..race::RACERS {
        stores.push(RedisStore::new(connect(&server).await));
    }
    Some((server, stores))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_16_connections_on_one_key_one_acquires_it_and_none_fails() {
    let Some((_server, stores)) = racers().await else { return };
    race::one_wins_each_of_5_000_rounds(&stores).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_16_connections_on_one_lapsed_or_released_key_one_takes_it_over() {
    let Some((_server, stores)) = racers().await else { return };
    for round in 0..500 {
        let key = conformance::fresh_key();
        let Claim::Acquired(lease) = stores[0].claim(&key, LEASE).await.unwrap() else { panic!() };
        assert_eq!(stores[0].release(&lease).await.unwrap(), Fenced::Applied);
        one_wins(&stores, &key, round % 2 == 0).await;
        let key = conformance::fresh_key();
        let _lapsed = stores[0].claim(&key, Duration::from_millis(1)).await.unwrap();
        sleep(Duration::from_millis(3)).await;
        one_wins(&stores, &key, round % 2 == 0).await;
    }
}

#[tokio::test]
async fn keys_expire_by_themselves_and_stand_under_the_prefix() {
    let Some(server) = Server::redis() else { return };
    let mut connection = connect(&server).await;
    let store = RedisStore::new(connection.clone()).with_prefix("shop:hooks:");
    let key = conformance::fresh_key();
    let Claim::Acquired(lease) = store.claim(&key, LEASE).await.unwrap() else { panic!() };
    let names: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    assert_eq!(names, [format!("shop:hooks:{key}")]);
    assert_eq!(store.complete(&lease, Duration::from_millis(100)).await.unwrap(), Fenced::Applied);
    // Redis removes expired keys a little later.
    let mut size = 1_u64;
    for _ in 0..100 {
        sleep(Duration::from_millis(100)).await;
        size = redis::cmd("DBSIZE").query_async(&mut connection).await.unwrap();
        if size == 0 {
            break;
        }
    }
    assert_eq!(size, 0);
}

#[tokio::test]
async fn a_server_that_is_gone_is_an_error_and_back_again_it_serves_and_has_forgotten() {
    let Some(mut server) = Server::redis() else { return };
    let store = RedisStore::new(connect(&server).await);
    let key = conformance::fresh_key();
    let Claim::Acquired(lease) = store.claim(&key, LEASE).await.unwrap() else { panic!() };
    assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), Fenced::Applied);
    server.stop();
    for _ in 0..3 {
        let error = store.claim(&key, LEASE).await.unwrap_err();
        assert_eq!(
            (error.code(), error.status(), &*error.to_string()),
            ("store_failed", 503, "the Redis store failed")
        );
    }
    server.start();
    let mut claim = store.claim(&key, LEASE).await;
    for _ in 0..100 {
        if claim.is_ok() {
            break;
        }
        sleep(Duration::from_millis(50)).await;
        claim = store.claim(&key, LEASE).await;
    }
    // It was restarted empty: what it forgot is handled again.
    assert!(matches!(claim.unwrap(), Claim::Acquired(_)));
}

#[tokio::test]
async fn a_full_server_refuses_and_forgets_nothing() {
    let Some(server) = Server::redis() else { return };
    let mut connection = connect(&server).await;
    let store = RedisStore::new(connection.clone());
    let key = conformance::fresh_key();
    let Claim::Acquired(lease) = store.claim(&key, LEASE).await.unwrap() else { panic!() };
    assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), Fenced::Applied);
    let set = |value: &str| redis::cmd("CONFIG").arg(&["SET", "maxmemory", value]).clone();
    set("1").exec_async(&mut connection).await.unwrap();
    let error = store.claim(&conformance::fresh_key(), LEASE).await.unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().to_lowercase().contains("memory"));
    set("0").exec_async(&mut connection).await.unwrap();
    assert_eq!(store.claim(&key, LEASE).await.unwrap(), Claim::Done);
}

// ---- On a cluster ----

/// A connection to a cluster, which finds the other nodes by the first.
async fn connect_to_all(nodes: &[Server]) -> ClusterConnection {
    let client = ClusterClient::builder([nodes[0].url()]).retries(2).response_timeout(Duration::from_secs(2));
    client.build().unwrap().get_async_connection().await.unwrap()
}

#[tokio::test]
async fn the_redis_store_keeps_the_contract_on_a_cluster() {
    let Some(nodes) = Server::redis_cluster() else { return };
    conformance::check(&RedisStore::new(connect_to_all(&nodes).await), sleep).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_16_connections_to_a_cluster_one_acquires_a_key_and_none_fails() {
    let Some(nodes) = Server::redis_cluster() else { return };
    let mut stores = Vec::new();
    for _ in 0..race::RACERS {
        stores.push(RedisStore::new(connect_to_all(&nodes).await));
    }
    for round in 0..500 {
        let key = conformance::fresh_key();
        one_wins(&stores, &key, round % 2 == 0).await;
        // And again, after it was given back.
        let key = conformance::fresh_key();
        let Claim::Acquired(lease) = stores[0].claim(&key, LEASE).await.unwrap() else { panic!() };
        assert_eq!(stores[1].release(&lease).await.unwrap(), Fenced::Applied);
        one_wins(&stores, &key, round % 2 == 0).await;
    }
}

#[tokio::test]
async fn every_node_of_a_cluster_keeps_its_keys_and_is_told_the_scripts() {
    let Some(nodes) = Server::redis_cluster() else { return };
    let store = RedisStore::new(connect_to_all(&nodes).await);
    let mut leases = Vec::new();
    while nodes.iter().any(|node| node.redis_cli(&["dbsize"]).trim() == "0") {
        let Claim::Acquired(lease) = store.claim(&conformance::fresh_key(), LEASE).await.unwrap() else {
            panic!()
        };
        leases.push(lease);
    }
    for lease in leases {
        let key = lease.key();
        let forget_scripts = || nodes.iter().for_each(|node| drop(node.redis_cli(&["script", "flush"])));
        forget_scripts();
        let claim = store.claim(key, LEASE).await.unwrap();
        assert!(matches!(claim, Claim::InFlight { retry_after } if retry_after <= LEASE));
        assert_eq!(store.renew(&lease, LEASE).await.unwrap(), Fenced::Applied);
        assert_eq!(store.release(&lease).await.unwrap(), Fenced::Applied);
        forget_scripts();
        let Claim::Acquired(newer) = store.claim(key, LEASE).await.unwrap() else { panic!() };
        assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), Fenced::Lost);
        forget_scripts();
        assert_eq!(store.complete(&newer, RETENTION).await.unwrap(), Fenced::Applied);
        assert_eq!(store.claim(key, LEASE).await.unwrap(), Claim::Done);
        assert!(store.forget(key.as_str()).await.unwrap());
    }
}

#[tokio::test]
async fn a_slot_of_a_cluster_moves_to_another_node_and_no_claim_fails() {
    let Some(nodes) = Server::redis_cluster() else { return };
    // What is in braces alone decides the slot.
    const PREFIX: &str = "{one slot}:";
    let store = RedisStore::new(connect_to_all(&nodes).await).with_prefix(PREFIX);
    let claimed = async || {
        let key = conformance::fresh_key();
        let Claim::Acquired(lease) = store.claim(&key, LEASE).await.unwrap() else { panic!() };
        assert!(matches!(store.claim(&key, LEASE).await.unwrap(), Claim::InFlight { .. }));
        lease
    };

    let before = claimed().await;
    let slot = nodes[0].redis_cli(&["cluster", "keyslot", PREFIX]).trim().to_owned();
    let from = nodes.iter().position(|node| node.redis_cli(&["dbsize"]).trim() == "1").unwrap();
    let (from, to) = (&nodes[from], &nodes[(from + 1) % nodes.len()]);
    let [from_id, to_id] = [from, to].map(|node| node.redis_cli(&["cluster", "myid"]).trim().to_owned());
    let set_slot = |node: &Server, state: &str, id: &str| {
        assert_eq!(node.redis_cli(&["cluster", "setslot", &slot, state, id]).trim(), "OK");
    };
    set_slot(to, "importing", &from_id);
    set_slot(from, "migrating", &to_id);
    // From now on, new keys are at the other node, and the old one is still where it was.
    let meanwhile = claimed().await;
    assert_eq!([from, to].map(|node| node.redis_cli(&["dbsize"]).trim().to_owned()), ["1", "1"]);
    let name = format!("{PREFIX}{}", before.key());
    from.redis_cli(&["migrate", "127.0.0.1", &to.port().to_string(), &name, "0", "5000"]);
    assert!(matches!(store.claim(before.key(), LEASE).await.unwrap(), Claim::InFlight { .. }));
    assert_eq!(store.renew(&meanwhile, LEASE).await.unwrap(), Fenced::Applied);
    set_slot(to, "node", &to_id);
    set_slot(from, "node", &to_id);
    let after = claimed().await;
    for lease in [before, meanwhile, after] {
        assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), Fenced::Applied);
        assert_eq!(store.claim(lease.key(), LEASE).await.unwrap(), Claim::Done);
    }
}

#[tokio::test]
async fn a_node_of_a_cluster_that_is_gone_is_an_error_and_back_again_it_serves() {
    let Some(mut nodes) = Server::redis_cluster() else { return };
    let store = RedisStore::new(connect_to_all(&nodes).await);
    nodes[2].stop();
    // A third of the keys are at that node.
    let (key, error) = loop {
        let key = conformance::fresh_key();
        if let Err(error) = store.claim(&key, LEASE).await {
            break (key, error);
        }
    };
    assert_eq!((error.code(), error.status()), ("store_failed", 503));
    nodes[2].start();
    let mut claim = store.claim(&key, LEASE).await;
    for _ in 0..100 {
        if claim.is_ok() {
            break;
        }
        sleep(Duration::from_millis(100)).await;
        claim = store.claim(&key, LEASE).await;
    }
    assert!(matches!(claim.unwrap(), Claim::Acquired(_)));
}
