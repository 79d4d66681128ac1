//! On a cluster.

use std::time::Duration;

use countersign::IdempotencyStore;
use countersign::store::{Claim, LeaseStatus, conformance};
use countersign_redis::RedisStore;
use countersign_redis::redis::cluster::ClusterClient;
use countersign_redis::redis::cluster_async::ClusterConnection;

use crate::common::servers::Server;
use crate::race::{self, one_wins};
use crate::refusals::{documented_rights, url_of_a_user};
use crate::support::{LEASE, RETENTION, claimed, sleep};

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
        leases.push(claimed(&store, LEASE).await);
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
