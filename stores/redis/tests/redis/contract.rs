//! On one server: the contract, races, and what stands in it.

use std::sync::Arc;
use std::time::Duration;

use countersign::IdempotencyStore;
use countersign::store::{Claim, DynIdempotencyStore, LeaseStatus, conformance};
use countersign_redis::RedisStore;
use countersign_redis::redis::aio::{ConnectionLike, ConnectionManager};
use countersign_redis::redis::{self, Client, Cmd, Pipeline, RedisFuture, Value};

use crate::common::servers::Server;
use crate::race;
use crate::support::{LEASE, RETENTION, cause, claimed, connect, sleep};

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
    race::one_wins_each_of_1_000_rounds(&stores).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_16_connections_on_one_lapsed_or_released_key_one_takes_it_over() {
    let Some((_server, stores)) = racers().await else { return };
    race::one_takes_over_each_released_or_lapsed_key(&stores, 500).await;
}

#[tokio::test]
async fn keys_expire_by_themselves_and_stand_under_the_prefix() {
    let Some(server) = Server::redis() else { return };
    let mut connection = connect(&server).await;
    let store = RedisStore::new(connection.clone()).with_prefix("shop:hooks:");
    assert_eq!(format!("{store:?}"), r#"RedisStore { prefix: "shop:hooks:", .. }"#);
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

/// A client that sends each command again, as one does that has lost the first answer.
#[derive(Clone)]
struct Twice(ConnectionManager);

impl ConnectionLike for Twice {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            self.0.req_packed_command(command).await?;
            self.0.req_packed_command(command).await
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.0.req_packed_commands(commands, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.0.get_db()
    }
}

#[tokio::test]
async fn a_client_that_sends_its_commands_twice_acquires_its_own_claim_and_completes_it() {
    let Some(server) = Server::redis() else { return };
    let (once, twice) =
        (RedisStore::new(connect(&server).await), RedisStore::new(Twice(connect(&server).await)));
    let key = conformance::fresh_key();
    let Claim::Acquired(lease) = twice.claim(&key, LEASE).await.unwrap() else { panic!() };
    assert!(matches!(once.claim(&key, LEASE).await.unwrap(), Claim::InFlight { .. }));
    assert!(matches!(twice.claim(&key, LEASE).await.unwrap(), Claim::InFlight { .. }));
    assert_eq!(twice.renew(&lease, LEASE).await.unwrap(), LeaseStatus::Applied);
    assert_eq!(twice.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
    for claim in [once.claim(&key, LEASE).await, twice.claim(&key, LEASE).await] {
        assert_eq!(claim.unwrap(), Claim::Done);
    }
}

#[tokio::test]
async fn a_lapsed_claim_lingers_for_an_hour_and_a_key_given_back_or_forgotten_does_not() {
    let Some(server) = Server::redis() else { return };
    let mut connection = connect(&server).await;
    let store = RedisStore::new(connection.clone());
    let claimed = async || claimed(&store, Duration::from_millis(50)).await;
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
async fn the_longest_time_is_a_thousand_years() {
    let Some(server) = Server::redis() else { return };
    let mut connection = connect(&server).await;
    let store = RedisStore::new(connection.clone());
    let lease = claimed(&store, LEASE).await;
    assert_eq!(store.complete(&lease, Duration::MAX).await.unwrap(), LeaseStatus::Applied);
    let name = format!("countersign:{}", lease.key());
    let left: i64 = redis::cmd("PTTL").arg(name).query_async(&mut connection).await.unwrap();
    let days = (left + 60_000) / 86_400_000;
    assert_eq!(days, 365_000, "{left}");
}

/// Only a server that does not know the script is sent its code.
#[tokio::test]
async fn a_script_that_fails_is_run_once() {
    let Some(server) = Server::redis() else { return };
    let mut connection = connect(&server).await;
    let store = RedisStore::new(connection.clone());
    let (first, lease) = (claimed(&store, LEASE).await, claimed(&store, LEASE).await);
    assert_eq!(store.complete(&first, RETENTION).await.unwrap(), LeaseStatus::Applied);
    let name = format!("countersign:{}", lease.key());
    redis::cmd("DEL").arg(&name).exec_async(&mut connection).await.unwrap();
    redis::cmd("SADD").arg(&name).arg("theirs").exec_async(&mut connection).await.unwrap();
    redis::cmd("CONFIG").arg("RESETSTAT").exec_async(&mut connection).await.unwrap();
    assert!(store.complete(&lease, RETENTION).await.is_err());
    let commands: String = redis::cmd("INFO").arg("commandstats").query_async(&mut connection).await.unwrap();
    assert!(commands.contains("cmdstat_evalsha:calls=1,"), "{commands}");
    assert!(!commands.contains("cmdstat_eval:"), "{commands}");
}

#[tokio::test]
async fn what_another_program_wrote_at_a_key_is_an_error_and_stays() {
    let Some(server) = Server::redis() else { return };
    let mut connection = connect(&server).await;
    let store = RedisStore::new(connection.clone());
    let lease = claimed(&store, LEASE).await;
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
