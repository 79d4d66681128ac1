//! The program `receiver`: what it does when it is asked to end, and what it writes.
//!
//! It needs the program: `cargo build --features axum --example receiver`.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::common::instance::{Instance, program};
use crate::common::servers::Server;
use crate::common::{NEWEST, THREEQPR, signed, webhook};
use countersign::provider::ThreeQpr;
use countersign::store::Claim;
use countersign::{IdempotencyKey, IdempotencyStore};
use countersign_redis::RedisStore;
use countersign_redis::redis::Client;
use countersign_sqlx::sqlx;
use countersign_sqlx::{PostgresStore, SqliteStore};
use tempfile::TempDir;

/// A program with these options, which appends effects and log to files of its own.
struct Program {
    instance: Instance,
    effects: PathBuf,
    log: PathBuf,
    _directory: TempDir,
}

impl Program {
    fn start(options: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let [effects, log] = ["effects.tsv", "log"].map(|name| directory.path().join(name));
        let mut options: Vec<_> = options.iter().map(|&option| option.to_owned()).collect();
        options.extend(["--effects".to_owned(), effects.display().to_string()]);
        let instance = Instance::new(&options, &[], log.clone());
        Self { instance, effects, log, _directory: directory }
    }

    /// A signed delivery, sent. Dropped, it hangs up.
    fn send(&self, body: &str) -> TcpStream {
        let webhook = webhook::<ThreeQpr>();
        let (header, signature) = (webhook.signature_header(), webhook.sign(body.as_bytes()));
        let mut stream = TcpStream::connect(self.instance.address()).unwrap();
        let length = body.len();
        write!(
            stream,
            "POST /webhooks/3qpr HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Length: {length}\r\n{header}: {signature}\r\n\r\n{body}"
        )
        .unwrap();
        stream
    }

    fn status(&self, body: &str) -> String {
        let mut answer = String::new();
        self.send(body).read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    }

    /// Sends a delivery, hangs up while the handler works, and asks the program to end.
    fn hang_up_and_terminate(self) -> Vec<String> {
        let stream = self.send(THREEQPR);
        thread::sleep(Duration::from_millis(500));
        drop(stream);
        thread::sleep(Duration::from_millis(200));
        assert_eq!(lines(&self.effects), Vec::<String>::new(), "the handler ended before the sender hung up");
        let status = self.instance.terminate().expect("it ends");
        assert!(status.success(), "{status}");
        lines(&self.effects)
    }
}

fn lines(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn key() -> IdempotencyKey {
    let webhook = webhook::<ThreeQpr>();
    let body = THREEQPR.as_bytes();
    webhook.verify(&signed(&webhook, body), body).unwrap().idempotency_key()
}

async fn is_done(store: impl IdempotencyStore) -> bool {
    store.claim(&key(), Duration::from_secs(60)).await.unwrap() == Claim::Done
}

const WORK: [&str; 3] = ["--work", "2s", "--store"];

const EFFECTS: &str = "SELECT count(*) FROM webhook_effects WHERE event = 'scan.created'";

#[test]
fn a_delivery_whose_sender_has_hung_up_has_its_effect_before_the_program_ends() {
    let program = Program::start(&[&WORK[..], &["memory"]].concat());
    assert_eq!(program.hang_up_and_terminate(), [format!("{}\tscan.created", key())]);
}

#[tokio::test]
async fn in_sqlite_a_delivery_whose_sender_has_hung_up_is_done_before_the_program_ends() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("webhooks.db");
    let url = format!("sqlite:{}", path.display());
    Program::start(&[&WORK[..], &[&url]].concat()).hang_up_and_terminate();
    let store = SqliteStore::open(path).await.unwrap();
    assert_eq!(sqlx::query_scalar::<_, i64>(EFFECTS).fetch_one(store.pool()).await.unwrap(), 1);
    assert!(is_done(store).await);
}

#[tokio::test]
async fn in_postgres_a_delivery_whose_sender_has_hung_up_is_done_before_the_program_ends() {
    let Some(server) = Server::postgres() else { return };
    Program::start(&[&WORK[..], &[&server.url()]].concat()).hang_up_and_terminate();
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    assert_eq!(sqlx::query_scalar::<_, i64>(EFFECTS).fetch_one(store.pool()).await.unwrap(), 1);
    assert!(is_done(store).await);
}

#[tokio::test]
async fn in_redis_a_delivery_whose_sender_has_hung_up_is_done_before_the_program_ends() {
    let Some(server) = Server::redis() else { return };
    let effects = Program::start(&[&WORK[..], &[&server.url()]].concat()).hang_up_and_terminate();
    assert_eq!(effects, [format!("{}\tscan.created", key())]);
    let client = Client::open(server.url()).unwrap();
    assert!(is_done(RedisStore::new(client.get_connection_manager().await.unwrap())).await);
}

#[test]
fn an_events_name_breaks_no_line_of_the_effects_or_of_the_log() {
    let program = Program::start(&["--store", "memory"]);
    let body = r#"{"id":"evt_1","event":"scan\ncreated\t\r\u001b[2J\u0085\u202e\\","data":{}}"#;
    assert_eq!(program.status(body), "200");
    let name = r"scan\ncreated\t\r\u{1b}[2J\u{85}\u{202e}\\";
    assert_eq!(fs::read_to_string(&program.effects).unwrap(), format!("3qpr:evt_1\t{name}\n"));
    let log = fs::read_to_string(&program.log).unwrap();
    assert_eq!(log, format!("3qpr 200 handled \"{name}\" 3qpr:evt_1\n"));
}

#[test]
fn nothing_of_a_payload_is_in_the_log() {
    let program = Program::start(&["--store", "memory"]);
    let card = "4111 1111 1111 1111";
    let bodies = [
        format!(r#""card {card}""#),
        format!(r#"{{"id":["card {card}"],"event":"scan.created","data":{{}}}}"#),
        format!(r#"{{"id":"evt_1","event":"scan.created","data":{{}},"timestamp":{{"card":"{card}"}}}}"#),
        format!(r#"{{"id":{},"event":"scan.created","data":{{}}}}"#, card.replace(' ', "")),
        format!(r#"{{"id":"evt_1","event":{},"data":{{}}}}"#, card.replace(' ', "")),
    ];
    for body in &bodies {
        assert_eq!(program.status(body), "400", "{body}");
    }
    let log = lines(&program.log);
    assert_eq!(log, ["3qpr 400 malformed_payload"; 5]);
}

#[test]
fn what_keeps_it_from_starting_is_told_in_words() {
    for (options, expected) in [
        (
            &["--store", "sqlite:/nowhere/webhooks.db"][..],
            "Error: the store's database failed: error returned from database: ",
        ),
        (&["--store", "paper"], "Error: no store is called \"paper\": it is memory, "),
        (&["--lease", "0s"], "Error: a lease must be longer than zero\n"),
        (&["--fast"], "Error: invalid option '--fast'\n"),
    ] {
        let output = program().args(options).env("QUOTE3D_WEBHOOK_SECRET", NEWEST).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.starts_with(expected), "{told}");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    }
}
