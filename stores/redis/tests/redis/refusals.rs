//! A server without memory, and a user without rights.

use countersign::provider::ThreeQpr;
use countersign::store::{Claim, LeaseStatus, conformance};
use countersign::{Delivery, IdempotencyStore, Receiver, Secret, Webhook};
use countersign_redis::RedisStore;
use countersign_redis::redis::aio::ConnectionManagerConfig;
use countersign_redis::redis::{self, Client};

use crate::common::servers::Server;
use crate::support::{LEASE, RETENTION, cause, claimed, connect, sleep};

#[tokio::test]
async fn a_full_server_refuses_new_keys_and_finishes_those_under_way() {
    let Some(server) = Server::redis() else { return };
    let mut connection = connect(&server).await;
    let store = RedisStore::new(connection.clone());
    let done = claimed(&store, LEASE).await;
    assert_eq!(store.complete(&done, RETENTION).await.unwrap(), LeaseStatus::Applied);
    let mut leases = Vec::new();
    for _ in 0..600 {
        leases.push(claimed(&store, LEASE).await);
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
    let _ = claimed(&store, LEASE).await;
    assert_eq!(store.claim(done.key(), LEASE).await.unwrap(), Claim::Done);
}

/// A command of the package's README, which gives a user the rights that the store needs.
pub(crate) fn documented_rights(of: &str) -> Vec<&'static str> {
    let mut lines = include_str!("../../README.md").lines().filter(|line| line.starts_with("ACL SETUSER"));
    lines.find(|line| line.contains("+cluster") == (of == "a cluster")).unwrap().split_whitespace().collect()
}

/// The server, as a user who has the rights of the README, and these changes to them.
pub(crate) fn url_of_a_user(server: &Server, rights: &[&str], changes: &[&str]) -> String {
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
            let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef").unwrap()).unwrap();
            let receiver = Receiver::new(webhook, store);
            let body = br#"{"event":"scan.created","id":"evt_1"}"#;
            let headers = crate::common::signed(receiver.webhook(), body);
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
