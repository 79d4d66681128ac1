//! A standby that takes the place of its primary.

use std::sync::Arc;
use std::time::Duration;

use countersign::provider::ThreeQpr;
use countersign::{Delivery, Outcome, Receiver, Secret, Webhook};
use countersign_sqlx::{PostgresStore, PostgresTransaction, sqlx};

use crate::common::address::Address;
use crate::common::failover::Load;
use crate::common::servers::Server;
use crate::support::{connect, sleep, store};

type Database = Receiver<ThreeQpr, PostgresStore>;

fn receiver(store: PostgresStore) -> Database {
    let webhook = Webhook::new(Secret::new("whsec_0123456789abcdef").unwrap()).unwrap();
    Receiver::new(webhook, store)
}

/// Delivers an event, whose effect is a row.
async fn deliver(receiver: &Database, event: usize) -> Outcome {
    let body = format!(r#"{{"event":"scan.created","id":"evt_{event}"}}"#);
    let headers = crate::common::signed(receiver.webhook(), body.as_bytes());
    let delivery = receiver.webhook().verify(&headers, body.as_bytes()).unwrap();
    let handler = async |delivery: Delivery<'_, ThreeQpr>, mut transaction: PostgresTransaction| {
        let insert = sqlx::query("INSERT INTO effects VALUES ($1)");
        insert.bind(delivery.idempotency_key().as_str()).execute(&mut *transaction).await?;
        Ok::<_, sqlx::Error>(transaction)
    };
    receiver.handle_in_transaction(delivery, handler).await
}

async fn run(store: &PostgresStore, sql: &'static str) {
    sqlx::raw_sql(sql).execute(store.pool()).await.unwrap();
}

async fn ask<T>(store: &PostgresStore, question: &'static str) -> T
where
    T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    sqlx::query_scalar(question).persistent(false).fetch_one(store.pool()).await.unwrap()
}

async fn until(store: &PostgresStore, question: &'static str) {
    for _ in 0..1_500 {
        if ask::<bool>(store, question).await {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("it never comes: {question}");
}

/// A primary with the tables, and its standby, which has all that the primary has.
async fn replicated() -> Option<(Server, PostgresStore, Server)> {
    let (primary, store) = store().await?;
    run(&store, "CREATE TABLE effects (key text)").await;
    let standby = primary.standby();
    until(&store, "SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming'").await;
    Some((primary, store, standby))
}

async fn promote(standby: &PostgresStore) {
    assert!(ask::<bool>(standby, "SELECT pg_promote()").await);
}

#[tokio::test]
async fn a_standby_takes_no_delivery_and_serves_once_it_is_promoted() {
    let Some((_primary, store, standby)) = replicated().await else { return };
    let at_primary = receiver(store);
    assert_eq!(deliver(&at_primary, 0).await.code(), "handled");
    let other = connect(&standby).await;
    until(&other, "SELECT count(*) = 1 FROM effects").await;
    // There is nothing to migrate.
    other.migrate().await.unwrap();
    let at_standby = receiver(other);
    let body = br#"{"event":"scan.created","id":"evt_1"}"#;
    let headers = crate::common::signed(at_standby.webhook(), body);
    let never = async |_: Delivery<'_, ThreeQpr>| -> Result<(), String> { panic!("the handler ran") };
    for outcome in [
        deliver(&at_standby, 0).await,
        deliver(&at_standby, 1).await,
        at_standby.receive(&headers, body, never).await,
    ] {
        assert_eq!((outcome.status(), outcome.code()), (503, "store_unavailable"));
        let mut cause = outcome.error().unwrap().source();
        let mut logged = String::new();
        while let Some(error) = cause {
            logged += &format!("{error}: ");
            cause = error.source();
        }
        assert!(logged.contains("read-only transaction"), "{logged}");
    }
    promote(at_standby.store()).await;
    assert_eq!(deliver(&at_standby, 0).await.code(), "duplicate");
    assert_eq!(at_standby.receive(&headers, body, async |_| Ok::<_, String>(())).await.code(), "handled");
    assert_eq!(deliver(&at_standby, 2).await.code(), "handled");
    assert_eq!(ask::<i64>(at_standby.store(), "SELECT count(*) FROM effects").await, 2);
}

/// What the README says of a failover to an asynchronous replica, and that a synchronous one loses nothing.
#[tokio::test]
async fn what_a_promoted_standby_has_not_received_is_handled_again_unless_it_is_synchronous() {
    let Some((mut primary, store, standby)) = replicated().await else { return };
    let at_primary = receiver(store);
    for event in 0..20 {
        assert_eq!(deliver(&at_primary, event).await.code(), "handled");
    }
    let other = connect(&standby).await;
    until(&other, "SELECT count(*) = 20 FROM effects").await;
    // From here on the standby receives nothing, as with a broken network.
    run(&other, "ALTER SYSTEM SET primary_conninfo = ''").await;
    run(&other, "SELECT pg_reload_conf()").await;
    until(at_primary.store(), "SELECT count(*) = 0 FROM pg_stat_replication").await;
    for event in 20..40 {
        assert_eq!(deliver(&at_primary, event).await.code(), "handled");
    }
    // Nothing is acknowledged that the standby does not have, once the checkpointer has told all backends.
    run(at_primary.store(), "ALTER SYSTEM SET synchronous_standby_names = '*'").await;
    run(at_primary.store(), "SELECT pg_reload_conf()").await;
    until(at_primary.store(), "SELECT current_setting('synchronous_standby_names') = '*'").await;
    let mut delivered = 40;
    loop {
        assert!(delivered < 90, "no delivery waits for the standby");
        let delivery = tokio::time::timeout(Duration::from_secs(1), deliver(&at_primary, delivered)).await;
        delivered += 1;
        match delivery {
            Ok(outcome) => assert_eq!(outcome.code(), "handled"),
            Err(_waits) => break,
        }
    }
    primary.stop();

    promote(&other).await;
    let at_standby = receiver(other);
    for event in 0..delivered {
        let code = if event < 20 { "duplicate" } else { "handled" };
        assert_eq!(deliver(&at_standby, event).await.code(), code, "{event}");
    }
}

/// Deliveries run while the primary is killed, and the standby takes its address.
#[tokio::test(flavor = "multi_thread")]
async fn a_failover_under_load_loses_no_event_and_with_a_synchronous_standby_no_effect() {
    const EVENTS: usize = 400;
    for is_synchronous in [false, true] {
        let Some((mut primary, store, standby)) = replicated().await else { return };
        if is_synchronous {
            run(&store, "ALTER SYSTEM SET synchronous_standby_names = '*'").await;
            run(&store, "SELECT pg_reload_conf()").await;
            until(&store, "SELECT bool_or(sync_state = 'sync') FROM pg_stat_replication").await;
        }
        let address = Address::of(primary.port());
        let pool = PostgresStore::pool_options().max_connections(16).acquire_timeout(Duration::from_secs(60));
        let url = format!("postgres://postgres@127.0.0.1:{}/postgres", address.port());
        let store = PostgresStore::connect_with(pool, url.parse().unwrap()).await.unwrap();
        let receiver = Arc::new(receiver(store));
        let load = Load::start(EVENTS, {
            let receiver = Arc::clone(&receiver);
            move |event| {
                let receiver = Arc::clone(&receiver);
                async move { deliver(&receiver, event).await.status() }
            }
        });
        load.until_half_is_acknowledged().await;
        primary.stop();
        let at_the_kill = load.delivered();
        let other = connect(&standby).await;
        promote(&other).await;
        load.until_one_is_refused().await;
        address.move_to(standby.port());
        let (delivered, refused) = load.end().await;
        let mut forgotten = 0;
        for event in 0..delivered {
            let code = deliver(&receiver, event).await.code();
            assert!(code == "handled" || code == "duplicate", "{event}: {code}");
            forgotten += usize::from(code == "handled");
        }
        // In the promoted standby, each key has one effect, whichever server it was acknowledged by.
        let effects = [
            ask::<i64>(&other, "SELECT count(DISTINCT key) FROM effects").await,
            ask::<i64>(&other, "SELECT count(*) FROM effects").await,
        ];
        assert_eq!(effects.map(|count| count as usize), [delivered; 2]);
        println!(
            "synchronous: {is_synchronous}; {delivered} events, the primary killed at {at_the_kill}: {refused} \
             refusals, and the promoted standby had forgotten {forgotten} acknowledged keys"
        );
        assert!(forgotten == 0 || (!is_synchronous && forgotten <= at_the_kill), "{forgotten}");
    }
}
