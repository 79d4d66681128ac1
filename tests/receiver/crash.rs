//! Two instances of the program `receiver` on one store, killed and stalled at random under load.
//!
//! It needs the program: `cargo build --features axum --example receiver`. The tables
//! are printed with `cargo test --features axum --test receiver crash -- --nocapture`.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::instance::Instance;
use crate::common::servers::Server;
use crate::common::{THREEQPR, webhook};
use bytes::Bytes;
use countersign::provider::ThreeQpr;
use countersign_sqlx::sqlx::{self, Connection, PgConnection, SqliteConnection};
use fastrand::Rng;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tempfile::TempDir;

/// At least so many events: they go on for as long as instances are killed.
const EVENTS: usize = 300;

/// So many events are under way at a time, each with two deliveries.
const SENDERS: usize = 16;

const KILLS: usize = 18;
const STALLS: usize = 6;

const LEASE: Duration = Duration::from_secs(1);

/// How long a sender waits for an answer: less than some stalls, so that it hangs up on those.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a sender retries, counted from the start of all.
const DEADLINE: Duration = Duration::from_secs(120);

// ---- What happens to the instances ----

/// What happens to an instance.
#[derive(Clone, Copy)]
enum Fault {
    Kill,
    Stall,
}

/// Kills and stalls the instances at random, until all that is planned was done. Then they run.
fn disturb(mut instances: Vec<Instance>, mut random: Rng, kills: usize, stalls: usize) -> Vec<Instance> {
    let mut plan = [vec![Fault::Kill; kills], vec![Fault::Stall; stalls]].concat();
    random.shuffle(&mut plan);
    for fault in plan {
        thread::sleep(Duration::from_millis(random.u64(100..400)));
        let chosen = random.usize(..instances.len());
        let instance = &mut instances[chosen];
        match fault {
            Fault::Kill => {
                instance.kill();
                thread::sleep(Duration::from_millis(random.u64(..300)));
                instance.restart();
            }
            Fault::Stall => {
                instance.signal("STOP");
                thread::sleep(LEASE + Duration::from_millis(random.u64(200..1_500)));
                instance.signal("CONT");
            }
        }
    }
    instances
}

// ---- The sender ----

/// An event that was sent, and what came of it.
struct Sent {
    key: String,
    /// Whether both of its deliveries had a 2xx in the end.
    acknowledged: bool,
    /// How many handlers of it may have been killed, or have been stalled past their lease: requests
    /// that reached an instance and had no answer, or had it only after the length of a lease.
    disturbed: usize,
}

struct Sender {
    client: Client<HttpConnector, Full<Bytes>>,
    addresses: Vec<SocketAddr>,
    began: Instant,
}

impl Sender {
    /// Sends an event twice at once, one delivery to each instance.
    async fn send(&self, number: usize, random: &mut Rng) -> Sent {
        let id = format!("evt_{number:05}");
        let body = THREEQPR.replace("evt_01HXYZSCAN", &id);
        let (mut one, mut other) = (random.fork(), random.fork());
        let (one, other) = tokio::join!(self.deliver(&body, 0, &mut one), self.deliver(&body, 1, &mut other));
        Sent { key: format!("3qpr:{id}"), acknowledged: one.0 && other.0, disturbed: one.1 + other.1 }
    }

    /// Repeats a delivery until it is acknowledged, to any instance, as through a load balancer.
    /// Returns whether it was, and how many handlers may have been disturbed.
    async fn deliver(&self, body: &str, first: usize, random: &mut Rng) -> (bool, usize) {
        let webhook = webhook::<ThreeQpr>();
        let signature = webhook.sign(body.as_bytes()).to_string();
        let (mut to, mut disturbed) = (first, 0);
        while self.began.elapsed() < DEADLINE {
            let request = Request::post(format!("http://{}/webhooks/3qpr", self.addresses[to]))
                .header(webhook.signature_header(), &signature)
                .body(Full::from(body.to_owned()))
                .unwrap();
            let sent = Instant::now();
            let answer = tokio::time::timeout(PATIENCE, async {
                let answer = self.client.request(request).await;
                let Ok(answer) = answer else { return Err(answer.unwrap_err().is_connect()) };
                let status = answer.status().as_u16();
                // Read to its end, so that the connection is used again.
                answer.into_body().collect().await.map(|_| status).map_err(|_| false)
            });
            let status = match answer.await {
                Ok(Ok(status)) => {
                    disturbed += usize::from(sent.elapsed() >= LEASE);
                    Some(status)
                }
                Ok(Err(never_connected)) => {
                    disturbed += usize::from(!never_connected);
                    None
                }
                Err(_) => {
                    disturbed += 1;
                    None
                }
            };
            match status {
                Some(200..300) => return (true, disturbed),
                // In flight elsewhere, or the store is locked or away: all that may be answered here.
                None | Some(409 | 500 | 503) => {}
                Some(other) => panic!("an honest delivery was answered with {other}"),
            }
            tokio::time::sleep(Duration::from_millis(random.u64(50..200))).await;
            to = random.usize(..self.addresses.len());
        }
        (false, disturbed)
    }
}

/// Sends events to two instances on the store of these options, while they are killed and stalled.
async fn run(directory: &TempDir, options: &[&str], (kills, stalls): (usize, usize)) -> Vec<Sent> {
    let seed = std::env::var("CRASH_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("CRASH_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let lease = format!("{}ms", LEASE.as_millis());
    let options: Vec<_> = ["--work", "20ms", "--retain", "7d", "--lease", &lease]
        .iter()
        .chain(options)
        .map(|&option| option.to_owned())
        .collect();
    let logs = ["one.log", "other.log"].map(|name| directory.path().join(name));
    let instances: Vec<_> = logs.into_iter().map(|log| Instance::new(&options, &[], log)).collect();
    let sender = Arc::new(Sender {
        client: Client::builder(TokioExecutor::new()).build_http(),
        addresses: instances.iter().map(Instance::address).collect(),
        began: Instant::now(),
    });

    let chaos = random.fork();
    let chaos = tokio::task::spawn_blocking(move || disturb(instances, chaos, kills, stalls));
    let numbers = Arc::new(AtomicUsize::new(0));
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            let (sender, numbers) = (Arc::clone(&sender), Arc::clone(&numbers));
            let (chaos, mut random) = (chaos.abort_handle(), random.fork());
            tokio::spawn(async move {
                let mut all = Vec::new();
                loop {
                    let number = numbers.fetch_add(1, Ordering::Relaxed);
                    if number >= EVENTS && chaos.is_finished() {
                        return all;
                    }
                    all.push(sender.send(number, &mut random).await);
                }
            })
        })
        .collect();
    let mut sent = Vec::new();
    for task in senders {
        sent.extend(task.await.unwrap());
    }
    drop(sender);
    for instance in chaos.await.unwrap() {
        let status = instance.terminate().expect("an instance that is asked to end does so");
        assert!(status.success(), "{status}");
    }
    sent
}

// ---- The account ----

/// What came of the events that were sent.
#[derive(Debug, PartialEq)]
struct Account {
    sent: usize,
    acknowledged: usize,
    effects: usize,
    /// How many handlers may have been killed, or stalled past their lease.
    disturbed: usize,
    /// The keys that were acknowledged and have no effect.
    lost: Vec<String>,
    /// The keys with several effects, and how many more than one.
    doubled: Vec<(String, usize)>,
    /// Keys with more effects than the handlers that were killed or stalled explain.
    unexplained: Vec<String>,
    /// The keys that have an effect and were not sent.
    strange: Vec<String>,
}

impl Account {
    fn new(sent: &[Sent], effects: &[String]) -> Self {
        let mut counts = HashMap::<_, usize>::new();
        for key in effects {
            *counts.entry(key).or_default() += 1;
        }
        let mut account = Self {
            sent: sent.len(),
            acknowledged: sent.iter().filter(|sent| sent.acknowledged).count(),
            effects: effects.len(),
            disturbed: sent.iter().map(|sent| sent.disturbed).sum(),
            lost: Vec::new(),
            doubled: Vec::new(),
            unexplained: Vec::new(),
            strange: Vec::new(),
        };
        for Sent { key, acknowledged, disturbed } in sent {
            match counts.remove(key) {
                None if *acknowledged => account.lost.push(key.clone()),
                None | Some(1) => {}
                Some(count) => {
                    account.doubled.push((key.clone(), count - 1));
                    // A handler that was neither killed nor stalled completes its key, and with that
                    // it has the last effect. So every effect but one needs a disturbed handler.
                    if count - 1 > *disturbed {
                        account.unexplained.push(key.clone());
                    }
                }
            }
        }
        account.strange.extend(counts.into_keys().cloned());
        account
    }

    /// How many effects there are beside the one of each event.
    fn surplus(&self) -> usize {
        self.doubled.iter().map(|(_, surplus)| surplus).sum()
    }

    fn print(&self, store: &str, (kills, stalls): (usize, usize)) {
        let Self { sent, acknowledged, effects, lost, disturbed, .. } = self;
        let (lost, doubled) = (lost.len(), self.surplus());
        println!(
            "store      sent  acknowledged  effects  lost  doubled  kills  stalls  disturbed handlers\n\
             {store:<8} {sent:>6} {acknowledged:>13} {effects:>8} {lost:>5} {doubled:>8} {kills:>6} \
             {stalls:>7} {disturbed:>19}"
        );
    }

    /// Every event was acknowledged, and has its effect.
    #[track_caller]
    fn assert_nothing_is_lost(&self) {
        assert!(self.sent >= EVENTS);
        assert_eq!(self.acknowledged, self.sent, "not acknowledged within {DEADLINE:?}");
        assert!(self.lost.is_empty(), "acknowledged without an effect: {:?}", self.lost);
        assert!(self.strange.is_empty(), "never sent: {:?}", self.strange);
    }

    #[track_caller]
    fn assert_nothing_is_doubled(&self) {
        assert!(self.doubled.is_empty(), "more than one effect: {:?}", self.doubled);
    }

    /// Otherwise the run would show nothing.
    #[track_caller]
    fn assert_handlers_were_disturbed(&self) {
        assert!(self.disturbed >= KILLS + STALLS, "only {} handlers were killed or stalled", self.disturbed);
    }
}

/// The keys in the lines that the program appended.
fn effects_in(file: &Path) -> Vec<String> {
    let lines = fs::read_to_string(file).unwrap();
    assert!(lines.ends_with('\n'));
    let key = |line: &str| line.strip_suffix("\tscan.created").expect("a key and an event").to_owned();
    lines.lines().map(key).collect()
}

const KEYS: &str = "SELECT idempotency_key FROM webhook_effects WHERE event = 'scan.created'";

#[tokio::test]
async fn on_postgres_every_event_has_one_effect_whatever_is_killed_or_stalled() {
    let Some(server) = Server::postgres() else { return };
    let directory = tempfile::tempdir().unwrap();
    let sent = run(&directory, &["--store", &server.url()], (KILLS, STALLS)).await;
    let mut connection = PgConnection::connect(&server.url()).await.unwrap();
    let effects: Vec<String> = sqlx::query_scalar(KEYS).fetch_all(&mut connection).await.unwrap();
    let account = Account::new(&sent, &effects);
    account.print("postgres", (KILLS, STALLS));
    account.assert_nothing_is_lost();
    account.assert_nothing_is_doubled();
    account.assert_handlers_were_disturbed();
}

#[tokio::test]
async fn on_sqlite_every_event_has_one_effect_whatever_is_killed_or_stalled() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("webhooks.db").display());
    let sent = run(&directory, &["--store", &url], (KILLS, STALLS)).await;
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let effects: Vec<String> = sqlx::query_scalar(KEYS).fetch_all(&mut connection).await.unwrap();
    let account = Account::new(&sent, &effects);
    account.print("sqlite", (KILLS, STALLS));
    account.assert_nothing_is_lost();
    account.assert_nothing_is_doubled();
    account.assert_handlers_were_disturbed();
}

#[tokio::test]
async fn on_redis_nothing_is_lost_and_only_a_killed_or_stalled_handler_has_a_second_effect() {
    let Some(server) = Server::redis() else { return };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("effects.tsv");
    let options = ["--store", &server.url(), "--effects", file.to_str().unwrap()];
    let sent = run(&directory, &options, (KILLS, STALLS)).await;
    let account = Account::new(&sent, &effects_in(&file));
    account.print("redis", (KILLS, STALLS));
    account.assert_nothing_is_lost();
    assert!(account.unexplained.is_empty(), "a second effect: {:?}", account.unexplained);
    // A fault disturbs the handlers of one instance, of which there is one for an event under way.
    assert!(account.surplus() <= (KILLS + STALLS) * SENDERS, "{:?}", account.doubled);
    account.assert_handlers_were_disturbed();
}

// ---- What the account can see ----

#[tokio::test]
async fn instances_that_share_no_store_are_seen_to_handle_every_event_twice() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("effects.tsv");
    let options = ["--store", "memory", "--effects", file.to_str().unwrap()];
    let sent = run(&directory, &options, (0, 0)).await;
    let account = Account::new(&sent, &effects_in(&file));
    account.print("memory", (0, 0));
    account.assert_nothing_is_lost();
    assert_eq!((account.surplus(), account.unexplained.len()), (account.sent, account.sent));
}

#[test]
fn a_lost_a_doubled_and_a_strange_effect_are_seen() {
    let sent = |key: &str, acknowledged, disturbed| Sent { key: key.to_owned(), acknowledged, disturbed };
    let all = [
        sent("once", true, 1),
        sent("lost", true, 1),
        sent("given up", false, 1),
        sent("doubled", true, 0),
        sent("killed", true, 1),
        sent("killed once", true, 1),
    ];
    let effects =
        ["once", "doubled", "killed", "doubled", "killed once", "killed", "killed once", "killed once", "?"];
    let account = Account::new(&all, &effects.map(str::to_owned));
    let expected = Account {
        sent: 6,
        acknowledged: 5,
        effects: 9,
        disturbed: 5,
        lost: vec!["lost".to_owned()],
        doubled: [("doubled", 1), ("killed", 1), ("killed once", 2)]
            .map(|(key, n)| (key.to_owned(), n))
            .into(),
        unexplained: vec!["doubled".to_owned(), "killed once".to_owned()],
        strange: vec!["?".to_owned()],
    };
    assert_eq!(account, expected);
    assert_eq!(account.surplus(), 4);
}
