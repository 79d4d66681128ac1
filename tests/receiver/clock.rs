//! Instances of the program `receiver` with clocks an hour off, on one store: nothing changes, since
//! all times are the store's.
//!
//! It needs the program: `cargo build --features axum --example receiver`, and
//! `faketime`, in Debian's package of that name.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use crate::common::instance::Instance;
use crate::common::servers::{Server, missing};
use crate::common::{THREEQPR, webhook};
use bytes::Bytes;
use countersign::provider::ThreeQpr;
use countersign::store::{Claim, LeaseStatus, conformance::fresh_key};
use countersign::{IdempotencyStore, MemoryStore};
use countersign_redis::redis::{self, aio::MultiplexedConnection};
use countersign_sqlx::PostgresStore;
use countersign_sqlx::sqlx::{self, Connection, PgConnection, PgPool};
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tempfile::TempDir;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::time::sleep;

/// By how many seconds the clocks are off.
const SKEWS: [i64; 3] = [0, 3_600, -3_600];

const LEASE: Duration = Duration::from_secs(5);

/// Less than the clocks are off, so that a key would be forgotten by one of them.
const RETENTION: Duration = Duration::from_secs(1_800);

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// More than the store's clock is coarse.
const TICK: Duration = Duration::from_millis(100);

// ---- The clocks ----

/// A clock, for processes that are started with its environment.
struct Clock {
    skew: i64,
    environment: Vec<(&'static str, String)>,
    /// It removes what its processes share as soon as its input ends, also if they are killed.
    _faketime: Option<Child>,
}

impl Clock {
    fn new(skew: i64) -> Option<Self> {
        if skew == 0 {
            return Some(Self { skew, environment: Vec::new(), _faketime: None });
        }
        // Timers are to go right.
        const VARIABLES: [&str; 4] =
            ["LD_PRELOAD", "FAKETIME", "FAKETIME_SHARED", "FAKETIME_DONT_FAKE_MONOTONIC"];
        let spawned = Command::new("faketime")
            .args(["--exclude-monotonic", "-f", &format!("{skew:+}s"), "sh", "-c"])
            .arg(format!("printenv {}; exec cat", VARIABLES.join(" ")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut faketime) = spawned else { return missing("faketime") };
        let output = BufReader::new(faketime.stdout.take().unwrap());
        let values = output.lines().map_while(Result::ok);
        let environment = VARIABLES.into_iter().zip(values).collect();
        Some(Self { skew, environment, _faketime: Some(faketime) })
    }

    fn all() -> Option<Vec<Self>> {
        SKEWS.into_iter().map(Self::new).collect()
    }

    /// Whether a process really had this clock when it read this time, in seconds since 1970.
    #[track_caller]
    fn assert_seen(&self, seconds: i64) {
        let off = seconds - now();
        assert!((off - self.skew).abs() < 600, "its clock is off by {off} s and not by {}", self.skew);
    }
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    now.as_secs().try_into().unwrap()
}

/// Runs a test of this file by its name, in a process of its own, and returns what it printed.
fn run(name: &str, environment: &[(&'static str, String)]) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("clock::{name}"), "--nocapture"])
        .envs(environment.iter().cloned())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The number after a word.
fn number(output: &str, word: &str) -> i64 {
    let (_, rest) = output.split_once(word).unwrap();
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

// ---- The store, as it sees the keys ----

enum Store {
    Postgres(PgConnection),
    Redis(MultiplexedConnection, PathBuf),
}

impl Store {
    /// How long its claim or its being done lasts yet, by the store's own clock.
    async fn left(&mut self, key: &str) -> Option<Duration> {
        match self {
            Self::Postgres(connection) => {
                let left = "SELECT extract(epoch FROM expires_at - clock_timestamp())::float8
                     FROM countersign_keys WHERE key = $1";
                let left: Option<f64> =
                    sqlx::query_scalar(left).bind(key).fetch_optional(connection).await.unwrap();
                left.map(|left| Duration::try_from_secs_f64(left).unwrap_or_default())
            }
            Self::Redis(connection, _) => {
                // A claim's key outlives its lease by an hour.
                const LINGER: Duration = Duration::from_secs(3600);
                let key = format!("countersign:{key}");
                let read = redis::pipe().atomic().pttl(&key).get(&key).clone();
                let (left, value): (i64, Option<Vec<u8>>) = read.query_async(connection).await.unwrap();
                let left = left.try_into().ok().map(Duration::from_millis)?;
                let is_claimed = value?.starts_with(b"P");
                Some(if is_claimed { left.saturating_sub(LINGER) } else { left })
            }
        }
    }

    /// The keys that had an effect, once for each.
    async fn effects(&mut self) -> Vec<String> {
        let mut keys: Vec<String> = match self {
            Self::Postgres(connection) => {
                let keys = sqlx::query_scalar("SELECT idempotency_key FROM webhook_effects");
                keys.fetch_all(connection).await.unwrap()
            }
            Self::Redis(_, file) => {
                let lines = std::fs::read_to_string(file).unwrap();
                lines.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
            }
        };
        keys.sort();
        keys
    }
}

// ---- The deliveries ----

/// An event whose delivery is in flight at one instance, and is then taken over by another.
#[derive(Clone)]
struct Event {
    key: String,
    body: String,
    claimer: usize,
    taker: usize,
}

impl Event {
    fn all() -> Vec<Self> {
        let pairs = (0..SKEWS.len() * SKEWS.len()).map(|n| (n / SKEWS.len(), n % SKEWS.len()));
        let event = |(claimer, taker)| {
            let id = format!("evt_{claimer}_{taker}");
            let body = THREEQPR.replace("evt_01HXYZSCAN", &id);
            Self { key: format!("3qpr:{id}"), body, claimer, taker }
        };
        pairs.map(event).collect()
    }
}

#[derive(Clone)]
struct Sender(Client<HttpConnector, Full<Bytes>>);

impl Sender {
    fn new() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }

    /// The answer to a delivery, unless the instance ends before or works for long.
    async fn send(&self, to: SocketAddr, body: &str) -> Option<(u16, HeaderMap)> {
        let webhook = webhook::<ThreeQpr>();
        let request = Request::post(format!("http://{to}/webhooks/3qpr"))
            .header(webhook.signature_header(), webhook.sign(body.as_bytes()).to_string())
            .body(Full::from(body.to_owned()))
            .unwrap();
        let answer = tokio::time::timeout(PATIENCE, self.0.request(request)).await;
        let (head, body) = answer.ok()?.ok()?.into_parts();
        body.collect().await.ok()?;
        Some((head.status.as_u16(), head.headers))
    }

    /// Whether a delivery was refused that is in flight elsewhere until `end`; after that it need not be.
    async fn is_refused(&self, to: SocketAddr, event: &Event, end: Instant) -> bool {
        let (status, headers) = self.send(to, &event.body).await.unwrap();
        if Instant::now() >= end {
            return false;
        }
        assert_eq!(status, 409, "{}", event.key);
        let seconds: u64 = headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
        assert!((1..=LEASE.as_secs()).contains(&seconds), "{}: {seconds}", event.key);
        true
    }
}

/// Instances with each of the clocks, which work for so long before an effect.
fn instances(clocks: &[Clock], directory: &TempDir, options: &[&str], work: &str) -> Vec<Instance> {
    let times = [LEASE, RETENTION].map(|time| format!("{}s", time.as_secs()));
    let fixed = ["--lease", &times[0], "--retain", &times[1], "--work", work];
    let options: Vec<_> = fixed.iter().chain(options).map(|&option| option.to_owned()).collect();
    let log = |n| directory.path().join(format!("{work}-{n}.log"));
    let start = |(n, clock): (usize, &Clock)| Instance::new(&options, &clock.environment, log(n));
    clocks.iter().enumerate().map(start).collect()
}

/// Three instances claim keys, each one for each of three others, which takes it over: one has the right
/// time, one is an hour ahead, one is an hour behind.
async fn clocks_that_are_off_change_nothing(
    clocks: &[Clock],
    directory: &TempDir,
    options: &[&str],
    store: &mut Store,
) {
    let claimers = instances(clocks, directory, options, "1h");
    let takers = instances(clocks, directory, options, "0s");
    let sender = Sender::new();
    for (clock, instance) in clocks.iter().chain(clocks).zip(claimers.iter().chain(&takers)) {
        let (status, headers) = sender.send(instance.address(), "not signed").await.unwrap();
        assert_eq!(status, 400);
        let date = OffsetDateTime::parse(headers[header::DATE].to_str().unwrap(), &Rfc2822).unwrap();
        clock.assert_seen(date.unix_timestamp());
    }

    // In flight at one instance.
    let events = Event::all();
    for event in &events {
        let (sender, to, body) = (sender.clone(), claimers[event.claimer].address(), event.body.clone());
        tokio::spawn(async move { sender.send(to, &body).await });
    }
    // By the store's own clock, every lease ends between two times of ours.
    let mut ends = Vec::new();
    for event in &events {
        let begun = Instant::now();
        loop {
            let asked = Instant::now();
            if let Some(left) = store.left(&event.key).await {
                assert!(left <= LEASE, "{}: {left:?}", event.key);
                ends.push((asked + left, Instant::now() + left));
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "{} is not claimed", event.key);
            sleep(Duration::from_millis(10)).await;
        }
    }
    // It is refused by all, also when who claimed it is killed, for as long as its lease lasts …
    let mut refused = 0;
    for (event, (earliest, _)) in events.iter().zip(&ends) {
        for instance in claimers.iter().chain(&takers) {
            refused += usize::from(sender.is_refused(instance.address(), event, *earliest).await);
        }
    }
    println!("{refused} refused by the others");
    assert!(refused > 0, "the leases lapsed before anything was shown");
    drop(claimers);
    let taken_over = events.iter().zip(ends).map(|(event, (earliest, latest))| {
        let (sender, to, event) = (sender.clone(), takers[event.taker].address(), event.clone());
        tokio::spawn(async move {
            let mut refused = 0;
            while sender.is_refused(to, &event, earliest).await {
                refused += 1;
                sleep(TICK).await;
            }
            println!("{}: {refused} refused until its lease lapsed", event.key);
            // … and no longer.
            sleep((latest + TICK).saturating_duration_since(Instant::now())).await;
            assert_eq!(sender.send(to, &event.body).await.unwrap().0, 200, "{}", event.key);
        })
    });
    for taken_over in taken_over.collect::<Vec<_>>() {
        taken_over.await.unwrap();
    }

    // Done at one instance, it is a duplicate at all, for the retention.
    for event in &events {
        let left = store.left(&event.key).await.unwrap();
        assert!(left <= RETENTION && left > RETENTION / 2, "{}: {left:?}", event.key);
        for taker in &takers {
            assert_eq!(sender.send(taker.address(), &event.body).await.unwrap().0, 200, "{}", event.key);
        }
    }
    let keys: Vec<_> = events.into_iter().map(|event| event.key).collect();
    assert_eq!(store.effects().await, keys);
}

#[tokio::test]
async fn on_postgres_clocks_that_are_off_change_nothing() {
    let (Some(server), Some(clocks)) = (Server::postgres(), Clock::all()) else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::Postgres(PgConnection::connect(&server.url()).await.unwrap());
    clocks_that_are_off_change_nothing(&clocks, &directory, &["--store", &server.url()], &mut store).await;

    // A purge deletes what is expired by the store's clock, and nothing else.
    let keys = store.effects().await;
    let pool = PgPool::connect(&server.url()).await.unwrap();
    for clock in clocks {
        let insert = "INSERT INTO countersign_keys VALUES ('expired', '\\x00', true, clock_timestamp())";
        sqlx::raw_sql(insert).execute(&pool).await.unwrap();
        let mut environment = clock.environment.clone();
        environment.push((PURGED, server.url()));
        let output = run("purger", &environment);
        clock.assert_seen(number(&output, "the time is "));
        assert_eq!(number(&output, "purged "), 1);
        let left = sqlx::query_scalar("SELECT key FROM countersign_keys ORDER BY key COLLATE \"C\"");
        let left: Vec<String> = left.fetch_all(&pool).await.unwrap();
        assert_eq!(left, keys);
    }
}

const PURGED: &str = "COUNTERSIGN_PURGED";

/// The process that purges, in the test above; otherwise it is idle.
#[tokio::test]
async fn purger() {
    let Ok(url) = std::env::var(PURGED) else { return };
    let store = PostgresStore::connect(&url).await.unwrap();
    println!("the time is {} and it purged {} keys", now(), store.purge().await.unwrap());
}

#[tokio::test]
async fn on_redis_clocks_that_are_off_change_nothing() {
    let (Some(server), Some(clocks)) = (Server::redis(), Clock::all()) else { return };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("effects.tsv");
    let options = ["--store", &server.url(), "--effects", file.to_str().unwrap()];
    let client = redis::Client::open(server.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut store = Store::Redis(connection, file.clone());
    clocks_that_are_off_change_nothing(&clocks, &directory, &options, &mut store).await;
}

/// The clock of a process in memory is one that cannot be set.
#[test]
fn in_memory_a_clock_that_is_set_changes_nothing() {
    let Some(clock) = Clock::new(3_600) else { return };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("clock");
    let file = file.to_str().unwrap().to_owned();
    // The time is read from the file each time, and not from where it stands otherwise.
    let mut environment = clock.environment.clone();
    environment.retain(|(name, _)| *name != "FAKETIME");
    environment.push(("FAKETIME_TIMESTAMP_FILE", file.clone()));
    environment.push(("FAKETIME_NO_CACHE", "1".to_owned()));
    environment.push((SET, file.clone()));
    std::fs::write(&file, "+0s").unwrap();
    assert!(run("setter", &environment).contains("its clock was set"));
}

const SET: &str = "COUNTERSIGN_SET_CLOCK";

/// The process whose clock is set, in the test above; otherwise it is idle.
#[tokio::test]
async fn setter() {
    let Some(file) = std::env::var_os(SET) else { return };
    let store = MemoryStore::new();
    let start = now();
    let (claimed, done, lapsing) = (fresh_key(), fresh_key(), fresh_key());
    let Claim::Acquired(lease) = store.claim(&claimed, LEASE).await.unwrap() else { panic!() };
    let Claim::Acquired(other) = store.claim(&done, LEASE).await.unwrap() else { panic!() };
    assert_eq!(store.complete(&other, RETENTION).await.unwrap(), LeaseStatus::Applied);
    for skew in SKEWS.into_iter().chain([7_200, -7_200]) {
        std::fs::write(&file, format!("{skew:+}s")).unwrap();
        assert!((now() - start - skew).abs() < 600, "the clock was not set");
        let claim = store.claim(&claimed, LEASE).await.unwrap();
        assert!(matches!(claim, Claim::InFlight { retry_after } if retry_after <= LEASE), "{claim:?}");
        assert_eq!(store.claim(&done, LEASE).await.unwrap(), Claim::Done);
        let Claim::Acquired(_) = store.claim(&lapsing, TICK).await.unwrap() else { panic!() };
        sleep(2 * TICK).await;
    }
    assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
    println!("its clock was set");
}
