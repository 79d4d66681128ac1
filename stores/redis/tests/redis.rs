//! The Redis store, on a real server.

#[path = "../../../tests/common/mod.rs"]
mod common;
#[path = "../../../tests/common/race.rs"]
mod race;

use std::sync::Arc;
use std::time::Duration;

use common::servers::Server;
use countersign::provider::ThreeQpr;
use countersign::store::{Claim, DynIdempotencyStore, LeaseStatus, conformance};
use countersign::{Delivery, IdempotencyStore, Receiver, Secret, Webhook};
use countersign_redis::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use countersign_redis::redis::cluster::ClusterClient;
use countersign_redis::redis::cluster_async::ClusterConnection;
use countersign_redis::redis::{self, Client};
use countersign_redis::{RedisStore, RedisStoreError};
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
    let erased: Arc<dyn DynIdempotencyStore> = Arc::new(store);
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
        assert_eq!(stores[0].release(&lease).await.unwrap(), LeaseStatus::Applied);
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
    assert_eq!(store.complete(&lease, Duration::from_millis(100)).await.unwrap(), LeaseStatus::Applied);
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
    assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
    server.stop();
    for _ in 0..3 {
        let error = store.claim(&key, LEASE).await.unwrap_err();
        assert_eq!((error.code(), &*error.to_string()), ("store_failed", "the Redis store failed"));
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
async fn a_claim_says_how_long_the_lease_lasts_and_not_how_long_its_token_lingers() {
    let Some(server) = Server::redis() else { return };
    let store = RedisStore::new(connect(&server).await);
    let key = conformance::fresh_key();
    let Claim::Acquired(lease) = store.claim(&key, LEASE).await.unwrap() else { panic!() };
    let in_flight = async |longest: Duration| {
        let claim = store.claim(&key, RETENTION).await.unwrap();
        let about = longest - Duration::from_secs(20);
        assert!(
            matches!(claim, Claim::InFlight { retry_after } if retry_after > about && retry_after <= longest),
            "{claim:?}"
        );
    };
    in_flight(LEASE).await;
    assert_eq!(store.renew(&lease, 2 * LEASE).await.unwrap(), LeaseStatus::Applied);
    in_flight(2 * LEASE).await;
}

#[tokio::test]
async fn a_lapsed_claim_lingers_for_an_hour_and_a_key_given_back_or_forgotten_does_not() {
    let Some(server) = Server::redis() else { return };
    let mut connection = connect(&server).await;
    let store = RedisStore::new(connection.clone());
    let claimed = async || {
        let key = conformance::fresh_key();
        let Claim::Acquired(lease) = store.claim(&key, Duration::from_millis(50)).await.unwrap() else {
            panic!()
        };
        lease
    };
    let (lapsed, released, forgotten) = (claimed().await, claimed().await, claimed().await);
    assert_eq!(store.release(&released).await.unwrap(), LeaseStatus::Applied);
    assert!(store.forget(forgotten.key().as_str()).await.unwrap());
    sleep(Duration::from_millis(100)).await;
    let names: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    assert_eq!(names, [format!("countersign:{}", lapsed.key())]);
    let left: i64 = redis::cmd("PTTL").arg(&names).query_async(&mut connection).await.unwrap();
    assert!((3_590_000..3_600_000).contains(&left), "{left}");
    // Long after its lease, as long as nobody else has claimed the key.
    assert_eq!(store.complete(&lapsed, RETENTION).await.unwrap(), LeaseStatus::Applied);
    assert_eq!(store.claim(lapsed.key(), LEASE).await.unwrap(), Claim::Done);
}

#[tokio::test]
async fn what_another_program_wrote_at_a_key_is_an_error_and_stays() {
    let Some(server) = Server::redis() else { return };
    let mut connection = connect(&server).await;
    let store = RedisStore::new(connection.clone());
    let lease = {
        let Claim::Acquired(lease) = store.claim(&conformance::fresh_key(), LEASE).await.unwrap() else {
            panic!()
        };
        lease
    };
    let name = format!("countersign:{}", lease.key());
    for command in [["SET", &name, "theirs"], ["SADD", &name, "theirs"]] {
        redis::cmd("DEL").arg(&name).exec_async(&mut connection).await.unwrap();
        redis::cmd(command[0]).arg(&command[1..]).exec_async(&mut connection).await.unwrap();
        let error = store.claim(lease.key(), LEASE).await.unwrap_err();
        let cause = cause(&error);
        assert!(cause.contains("no claim") || cause.contains("WRONGTYPE"), "{cause}");
        // Whether a lease that was overwritten is lost or an error, it is not applied.
        assert!(!matches!(store.complete(&lease, RETENTION).await, Ok(LeaseStatus::Applied)));
        let kind: String = redis::cmd("TYPE").arg(&name).query_async(&mut connection).await.unwrap();
        assert_eq!(kind, if command[0] == "SET" { "string" } else { "set" });
    }
}

/// What the error says of its cause, for a log.
fn cause(error: &RedisStoreError) -> String {
    std::error::Error::source(error).unwrap().to_string()
}

// ---- A server without memory, and a user without rights ----

#[tokio::test]
async fn a_full_server_refuses_new_keys_and_finishes_those_under_way() {
    let Some(server) = Server::redis() else { return };
    let mut connection = connect(&server).await;
    let store = RedisStore::new(connection.clone());
    let claimed = async || {
        let Claim::Acquired(lease) = store.claim(&conformance::fresh_key(), LEASE).await.unwrap() else {
            panic!()
        };
        lease
    };
    let done = claimed().await;
    assert_eq!(store.complete(&done, RETENTION).await.unwrap(), LeaseStatus::Applied);
    let mut leases = Vec::new();
    for _ in 0..600 {
        leases.push(claimed().await);
    }
    let set = |value: &str| redis::cmd("CONFIG").arg(&["SET", "maxmemory", value]).clone();
    set("1").exec_async(&mut connection).await.unwrap();

    let error = store.claim(&conformance::fresh_key(), LEASE).await.unwrap_err();
    assert_eq!(error.code(), "store_failed");
    assert!(cause(&error).to_lowercase().contains("memory"), "{error:?}");
    assert_eq!(store.claim(done.key(), LEASE).await.unwrap(), Claim::Done);
    let in_flight = store.claim(leases[0].key(), LEASE).await.unwrap();
    assert!(matches!(in_flight, Claim::InFlight { retry_after } if retry_after <= LEASE), "{in_flight:?}");
    for lease in &leases[..200] {
        assert_eq!(store.complete(lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
        assert_eq!(store.claim(lease.key(), LEASE).await.unwrap(), Claim::Done);
    }
    for lease in &leases[200..400] {
        assert_eq!(store.renew(lease, LEASE).await.unwrap(), LeaseStatus::Applied);
    }
    for lease in &leases[400..] {
        assert_eq!(store.release(lease).await.unwrap(), LeaseStatus::Applied);
    }
    assert!(store.forget(leases[0].key().as_str()).await.unwrap());

    set("0").exec_async(&mut connection).await.unwrap();
    let _ = claimed().await;
    assert_eq!(store.claim(done.key(), LEASE).await.unwrap(), Claim::Done);
}

/// A command of the package's README, which gives a user the rights that the store needs.
fn documented_rights(of: &str) -> Vec<&'static str> {
    let mut lines = include_str!("../README.md").lines().filter(|line| line.starts_with("ACL SETUSER"));
    lines.find(|line| line.contains("+cluster") == (of == "a cluster")).unwrap().split_whitespace().collect()
}

/// The server, as a user who has the rights of the README, and these changes to them.
fn url_of_a_user(server: &Server, rights: &[&str], changes: &[&str]) -> String {
    server.redis_cli(&[rights, changes].concat());
    let password = rights.iter().find_map(|right| right.strip_prefix('>')).unwrap();
    server.url().replace("redis://", &format!("redis://{}:{password}@", rights[2]))
}

async fn store_of_a_user(server: &Server, changes: &[&str]) -> RedisStore {
    let url = url_of_a_user(server, &documented_rights("a server"), changes);
    let config = ConnectionManagerConfig::new().set_number_of_retries(1);
    let client = Client::open(url).unwrap();
    RedisStore::new(client.get_connection_manager_with_config(config).await.unwrap())
}

#[tokio::test]
async fn the_rights_that_the_readme_lists_are_enough() {
    let Some(server) = Server::redis() else { return };
    // A right to another prefix does not reach far enough.
    let store = store_of_a_user(&server, &["(~theirs:* +set)"]).await;
    conformance::check(&store, sleep).await;
    let other = store.with_prefix("theirs:");
    let error = other.claim(&conformance::fresh_key(), LEASE).await.unwrap_err();
    assert!(cause(&error).contains("no permissions"), "{error:?}");
}

#[tokio::test]
async fn without_a_right_that_the_readme_lists_no_handler_runs() {
    let Some(server) = Server::redis() else { return };
    let rights = documented_rights("a server");
    let commands: Vec<_> = rights.iter().filter_map(|right| right.strip_prefix('+')).collect();
    assert!(commands.contains(&"eval") && commands.contains(&"evalsha"), "{commands:?}");
    for scripts_are_known in [false, true] {
        for command in &commands {
            // They are the same ones for every user.
            server.redis_cli(&["script", "flush"]);
            if scripts_are_known {
                let store = store_of_a_user(&server, &[]).await;
                let key = conformance::fresh_key();
                let Claim::Acquired(lease) = store.claim(&key, LEASE).await.unwrap() else { panic!() };
                assert!(matches!(store.claim(&key, LEASE).await.unwrap(), Claim::InFlight { .. }));
                assert_eq!(store.renew(&lease, LEASE).await.unwrap(), LeaseStatus::Applied);
                assert!(store.forget(key.as_str()).await.unwrap());
            }
            let store = store_of_a_user(&server, &[&format!("-{command}")]).await;
            let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef").unwrap());
            let receiver = Receiver::new(webhook, store);
            let body = br#"{"event":"scan.created","id":"evt_1"}"#;
            let headers = common::signed(receiver.webhook(), body);
            for _ in 0..4 {
                let handler = async |_: Delivery<'_, ThreeQpr>| -> Result<(), String> {
                    panic!("the handler ran without the right to {command}")
                };
                let outcome = receiver.receive(&headers, body, handler).await;
                assert_eq!(outcome.status(), 503, "{command}: {outcome:?}");
                let error = outcome.error().unwrap().source().unwrap().to_string();
                assert!(error.to_lowercase().contains(command), "{command}: {error}");
            }
            assert_eq!(server.redis_cli(&["dbsize"]).trim(), "0", "{command}");
            // Once the right is given, the same store serves.
            server.redis_cli(&rights);
            let outcome = receiver.receive(&headers, body, async |_| Ok::<_, String>(())).await;
            assert_eq!(outcome.code(), "handled");
            server.redis_cli(&["flushall"]);
        }
    }
}

#[tokio::test]
async fn a_server_that_takes_no_writes_runs_no_handler_and_is_an_error() {
    let (Some(server), Some(primary)) = (Server::redis(), Server::redis()) else { return };
    let store = RedisStore::new(connect(&server).await);
    server.redis_cli(&["replicaof", "127.0.0.1", &primary.port().to_string()]);
    let error = store.claim(&conformance::fresh_key(), LEASE).await.unwrap_err();
    assert!(cause(&error).contains("read only"), "{error:?}");
    server.redis_cli(&["replicaof", "no", "one"]);
    assert!(matches!(store.claim(&conformance::fresh_key(), LEASE).await.unwrap(), Claim::Acquired(_)));
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

#[tokio::test]
async fn the_rights_that_the_readme_lists_are_enough_on_a_cluster() {
    let Some(nodes) = Server::redis_cluster() else { return };
    let urls: Vec<_> =
        nodes.iter().map(|node| url_of_a_user(node, &documented_rights("a cluster"), &[])).collect();
    let client = ClusterClient::builder(urls).retries(2).build().unwrap();
    let store = RedisStore::new(client.get_async_connection().await.unwrap());
    conformance::check(&store, sleep).await;
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
        assert_eq!(stores[1].release(&lease).await.unwrap(), LeaseStatus::Applied);
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
        assert_eq!(store.renew(&lease, LEASE).await.unwrap(), LeaseStatus::Applied);
        assert_eq!(store.release(&lease).await.unwrap(), LeaseStatus::Applied);
        forget_scripts();
        let Claim::Acquired(newer) = store.claim(key, LEASE).await.unwrap() else { panic!() };
        assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Lost);
        forget_scripts();
        assert_eq!(store.complete(&newer, RETENTION).await.unwrap(), LeaseStatus::Applied);
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
    assert_eq!(store.renew(&meanwhile, LEASE).await.unwrap(), LeaseStatus::Applied);
    set_slot(to, "node", &to_id);
    set_slot(from, "node", &to_id);
    let after = claimed().await;
    for lease in [before, meanwhile, after] {
        assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
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
    assert_eq!(error.code(), "store_failed");
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
