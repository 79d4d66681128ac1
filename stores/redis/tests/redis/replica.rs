//! A replica that takes the place of its master.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use countersign::provider::ThreeQpr;
use countersign::store::{Claim, LeaseStatus, conformance};
use countersign::{Delivery, IdempotencyStore, Outcome, Receiver, Secret, Webhook};
use countersign_redis::RedisStore;
use countersign_redis::redis::Client;
use countersign_redis::redis::aio::ConnectionManagerConfig;

use crate::common::address::Address;
use crate::common::failover::Load;
use crate::common::servers::Server;
use crate::common::until;
use crate::support::{LEASE, RETENTION, cause, connect, sleep};

/// A master and its replica, which has all that the master has.
async fn replicated() -> Option<(Server, Server)> {
    let (master, replica) = (Server::redis()?, Server::redis()?);
    master.redis_cli(&["config", "set", "repl-diskless-sync-delay", "0"]);
    follow(&replica, &master).await;
    Some((master, replica))
}

/// Makes a server the replica of another, and waits until it has all that the other has.
async fn follow(replica: &Server, master: &Server) {
    replica.redis_cli(&["replicaof", "127.0.0.1", &master.port().to_string()]);
    let is_linked = || replica.redis_cli(&["info", "replication"]).contains("master_link_status:up");
    until("the replica has all that the master has", is_linked).await;
}

/// Waits until the replica has received all that the master has written. (`WAIT` counts the writes of its own connection
/// alone.)
async fn receives_all(replica: &Server, master: &Server) {
    let offset = |server: &Server, name: &str| {
        let info = server.redis_cli(&["info", "replication"]);
        info.lines().find_map(|line| line.strip_prefix(name)).map(|offset| offset.trim().to_owned())
    };
    let written: u64 = offset(master, "master_repl_offset:").unwrap().parse().unwrap();
    let received = || offset(replica, "slave_repl_offset:").unwrap().parse::<u64>().unwrap();
    until("the replica has received all", || received() >= written).await;
}

fn promote(replica: &Server) {
    replica.redis_cli(&["replicaof", "no", "one"]);
}

/// Lets the replica receive nothing more, as a broken network does. It keeps what it has.
async fn cut(master: &Server, replica: &Server) {
    replica.redis_cli(&["replicaof", "127.0.0.1", "9"]);
    let is_alone = || master.redis_cli(&["info", "replication"]).contains("connected_slaves:0");
    until("the master has no replica", is_alone).await;
}

fn receiver(store: RedisStore) -> Receiver<ThreeQpr, RedisStore> {
    let webhook = Webhook::new(Secret::new("whsec_0123456789abcdef").unwrap()).unwrap();
    Receiver::new(webhook, store).with_lease_duration(Duration::from_secs(1)).unwrap()
}

/// Delivers an event, and counts whether its handler runs.
async fn deliver(receiver: &Receiver<ThreeQpr, RedisStore>, event: usize, runs: &AtomicUsize) -> Outcome {
    let body = format!(r#"{{"event":"scan.created","id":"evt_{event}"}}"#);
    let headers = crate::common::signed(receiver.webhook(), body.as_bytes());
    let handler = async |_: Delivery<'_, ThreeQpr>| {
        runs.fetch_add(1, Ordering::Relaxed);
        Ok::<_, String>(())
    };
    receiver.receive(&headers, body.as_bytes(), handler).await
}

#[tokio::test]
async fn a_client_of_a_replica_is_answered_503_until_it_is_promoted() {
    let Some((master, replica)) = replicated().await else { return };
    let runs = AtomicUsize::new(0);
    // One store has claimed while its server was the master, and one has never claimed.
    let at_master = receiver(RedisStore::new(connect(&master).await));
    let at_replica = receiver(RedisStore::new(connect(&replica).await));
    assert_eq!(deliver(&at_master, 0, &runs).await.code(), "handled");
    let claim = at_master.store().claim(&conformance::fresh_key(), LEASE).await.unwrap();
    let Claim::Acquired(lease) = claim else { panic!() };
    receives_all(&replica, &master).await;
    let refuses = async |receiver: &Receiver<ThreeQpr, RedisStore>| {
        for event in [0, 1] {
            let outcome = deliver(receiver, event, &runs).await;
            assert_eq!((outcome.status(), outcome.code()), (503, "store_unavailable"));
            let cause = outcome.error().unwrap().source().unwrap().to_string();
            assert!(cause.contains("read only"), "{cause}");
        }
    };
    refuses(&at_replica).await;
    promote(&replica);
    follow(&master, &replica).await;
    refuses(&at_master).await;
    let error = at_master.store().complete(&lease, RETENTION).await.unwrap_err();
    assert!(cause(&error).contains("read only"), "{}", cause(&error));
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    // The store that was refused serves, and knows what was done before.
    assert_eq!(deliver(&at_replica, 0, &runs).await.code(), "duplicate");
    assert_eq!(deliver(&at_replica, 1, &runs).await.code(), "handled");
    promote(&master);
    assert_eq!(at_master.store().complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
}

/// What the README says of a failover.
#[tokio::test]
async fn what_a_promoted_replica_has_not_received_is_handled_again_unless_the_master_asks_for_replicas() {
    let Some((master, replica)) = replicated().await else { return };
    let runs = AtomicUsize::new(0);
    let at_master = receiver(RedisStore::new(connect(&master).await));
    for event in 0..20 {
        assert_eq!(deliver(&at_master, event, &runs).await.code(), "handled");
    }
    receives_all(&replica, &master).await;
    cut(&master, &replica).await;
    for event in 20..40 {
        assert_eq!(deliver(&at_master, event, &runs).await.code(), "handled");
    }
    let claim = at_master.store().claim(&conformance::fresh_key(), LEASE).await.unwrap();
    let Claim::Acquired(under_way) = claim else { panic!() };
    // From here on nothing is acknowledged that the replica does not have, and no handler runs.
    master.redis_cli(&["config", "set", "min-replicas-to-write", "1"]);
    let outcome = deliver(&at_master, 40, &runs).await;
    assert_eq!((outcome.status(), runs.load(Ordering::Relaxed)), (503, 40));
    let error = at_master.store().claim(&conformance::fresh_key(), LEASE).await.unwrap_err();
    assert!(cause(&error).contains("NOREPLICAS"), "{}", cause(&error));
    let error = at_master.store().complete(&under_way, RETENTION).await.unwrap_err();
    assert!(cause(&error).contains("NOREPLICAS"), "{}", cause(&error));

    promote(&replica);
    let at_replica = receiver(RedisStore::new(connect(&replica).await));
    for event in 0..41 {
        let code = if event < 20 { "duplicate" } else { "handled" };
        assert_eq!(deliver(&at_replica, event, &runs).await.code(), code, "{event}");
    }
}

/// Deliveries run while the master is killed, and the replica takes its address.
#[tokio::test(flavor = "multi_thread")]
async fn a_failover_under_load_loses_no_event() {
    const EVENTS: usize = 2_000;
    let Some((mut master, replica)) = replicated().await else { return };
    let address = Address::of(master.port());
    let config = ConnectionManagerConfig::new().set_number_of_retries(1);
    let client = Client::open(format!("redis://127.0.0.1:{}", address.port())).unwrap();
    let store = RedisStore::new(client.get_connection_manager_with_config(config).await.unwrap());
    let receiver = Arc::new(receiver(store));
    let runs = Arc::new(AtomicUsize::new(0));
    let load = Load::start(EVENTS, {
        let (receiver, runs) = (Arc::clone(&receiver), Arc::clone(&runs));
        move |event| {
            let (receiver, runs) = (Arc::clone(&receiver), Arc::clone(&runs));
            async move { deliver(&receiver, event, &runs).await.status() }
        }
    });
    load.until_half_is_acknowledged().await;
    master.stop();
    let at_the_kill = load.delivered();
    promote(&replica);
    load.until_one_is_refused().await;
    address.move_to(replica.port());
    let (delivered, refused) = load.end().await;
    let before = runs.load(Ordering::Relaxed);
    let mut forgotten = 0;
    for event in 0..delivered {
        let mut code = deliver(&receiver, event, &runs).await.code();
        // The replica may have a claim whose completion it has not received: it lapses after a second.
        for _ in 0..200 {
            if code != "in_flight" {
                break;
            }
            sleep(Duration::from_millis(50)).await;
            code = deliver(&receiver, event, &runs).await.code();
        }
        assert!(code == "handled" || code == "duplicate", "{event}: {code}");
        forgotten += usize::from(code == "handled");
    }
    println!(
        "{delivered} events, the master killed at {at_the_kill}: {refused} refusals, {before} runs of a handler, \
         and the promoted replica had forgotten {forgotten} acknowledged keys"
    );
    // What was done at the promoted replica itself, it has.
    assert!(forgotten <= at_the_kill, "{forgotten}");
}
