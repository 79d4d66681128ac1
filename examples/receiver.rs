//! A receiver that you could deploy: three providers, any of the stores, and an effect that happens
//! once.
//!
//! ```text
//! receiver [--listen ADDR] [--store memory | sqlite:PATH | postgres://… | redis://…]
//!          [--lease 30s] [--retain 7d] [--work 0ms] [--effects PATH]
//! ```
//!
//! Run it with `cargo run --example receiver --features axum -- --store sqlite:webhooks.db`.
//! The secrets are in `QUOTE3D_WEBHOOK_SECRET`, `NOWTOPRINT_WEBHOOK_SECRET` and
//! `THREEQPR_WEBHOOK_SECRET`, each with an optional `…_PREVIOUS`. A delivery goes to
//! `/webhooks/quote3d`, `/webhooks/nowtoprint` or `/webhooks/3qpr`.
//!
//! The effect of an event is one more row in the table `webhook_effects`, in the transaction that makes
//! its key done (SQLite, PostgreSQL), or one more line in the file of `--effects` (memory, Redis). With a SQL store and
//! without `--work`, a delivery is one commit.
//!
//! On SIGTERM it finishes the deliveries that are in flight, even if their senders have hung up, and ends.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::{MethodRouter, get, post};
use countersign::axum::Verified;
use countersign::provider::{NowToPrint, Quote3d, ThreeQpr};
use countersign::store::{Lease, LeaseStatus};
use countersign::{Delivery, IdempotencyStore, MemoryStore, Outcome, Provider, Receiver, Secrets, Webhook};
use countersign_redis::RedisStore;
use countersign_redis::redis::Client;
use countersign_redis::redis::aio::ConnectionManagerConfig;
use countersign_sqlx::sqlx;
use countersign_sqlx::{PostgresStore, PostgresTransaction, SqlStoreError, SqliteStore, SqliteTransaction};
use lexopt::{Arg, ValueExt};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

mod report;
use report::{Report, chain};

type Result<T> = std::result::Result<T, Report>;

struct Options {
    listen: String,
    store: String,
    lease_duration: Duration,
    retention: Duration,
    work: Duration,
    effects: PathBuf,
}

impl Options {
    fn parse() -> Result<Self> {
        let mut options = Self {
            listen: "127.0.0.1:8080".to_owned(),
            store: "memory".to_owned(),
            lease_duration: Duration::from_secs(30),
            retention: Duration::from_secs(7 * 86_400),
            work: Duration::ZERO,
            effects: "effects.tsv".into(),
        };
        let mut arguments = lexopt::Parser::from_env();
        let duration = |text: String| humantime::parse_duration(&text);
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("listen") => options.listen = arguments.value()?.string()?,
                Arg::Long("store") => options.store = arguments.value()?.string()?,
                Arg::Long("lease") => options.lease_duration = duration(arguments.value()?.string()?)?,
                Arg::Long("retain") => options.retention = duration(arguments.value()?.string()?)?,
                Arg::Long("work") => options.work = duration(arguments.value()?.string()?)?,
                Arg::Long("effects") => options.effects = arguments.value()?.into(),
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(options)
    }
}

/// A store, and how an event takes effect with it.
trait Backend: IdempotencyStore + Clone + 'static {
    /// Handles a delivery. Its effect and its key are written in one transaction, if the store can do that.
    fn handle<P: Provider>(
        receiver: &Receiver<P, Self>,
        delivery: Delivery<'static, P>,
        options: &Options,
    ) -> impl Future<Output = Outcome> + Send;
}

const INSERT: &str = "INSERT INTO webhook_effects VALUES ($1, $2, CURRENT_TIMESTAMP)";

/// For a SQL store: the effect and the key in one transaction, so that both are committed or neither.
///
/// A handler that works for long must not hold a transaction meanwhile. It holds a lease on the key, and writes its
/// effect and the completion of the lease in a transaction at the end.
macro_rules! in_one_transaction {
    ($store:ty, $transaction:ty, $begin:literal) => {
        impl Backend for $store {
            async fn handle<P: Provider>(
                receiver: &Receiver<P, Self>,
                delivery: Delivery<'static, P>,
                options: &Options,
            ) -> Outcome {
                if options.work.is_zero() {
                    let handler = async |delivery: Delivery<'_, P>, mut transaction: $transaction| {
                        let key = delivery.idempotency_key();
                        let insert = sqlx::query(INSERT).bind(key.as_str()).bind(delivery.event_name());
                        insert.execute(&mut *transaction).await?;
                        Ok::<_, SqlStoreError>(transaction)
                    };
                    return receiver.handle_in_transaction(delivery, handler).await;
                }
                let store = receiver.store();
                let handler = async |delivery: Delivery<'_, P>, lease: &Lease| {
                    tokio::time::sleep(options.work).await;
                    let mut transaction = store.pool().begin_with($begin).await?;
                    let insert = sqlx::query(INSERT).bind(lease.key().as_str()).bind(delivery.event_name());
                    insert.execute(&mut *transaction).await?;
                    let fenced = store.complete_in(&mut transaction, lease, receiver.retention()).await?;
                    match fenced {
                        LeaseStatus::Applied => transaction.commit().await?,
                        LeaseStatus::Lost => transaction.rollback().await?,
                    }
                    Ok::<_, SqlStoreError>(fenced)
                };
                receiver.handle_with_lease(delivery, handler).await
            }
        }
    };
}

in_one_transaction!(PostgresStore, PostgresTransaction, "BEGIN");
// IMMEDIATE: SQLite waits for its lock at the beginning of a transaction, but not in the middle of one.
in_one_transaction!(SqliteStore, SqliteTransaction, "BEGIN IMMEDIATE");

/// For a store that cannot share a transaction with the effect: first the effect, then the key.
async fn append<P: Provider, S: IdempotencyStore>(
    receiver: &Receiver<P, S>,
    delivery: Delivery<'static, P>,
    options: &Options,
) -> Outcome {
    let handler = async |delivery: Delivery<'_, P>| {
        // A sleep of zero would take a millisecond.
        if !options.work.is_zero() {
            tokio::time::sleep(options.work).await;
        }
        let mut file = OpenOptions::new().create(true).append(true).open(&options.effects)?;
        // One write, so that lines of several instances do not mingle. A name may hold a tab or a line break.
        let line = format!("{}\t{}\n", delivery.idempotency_key(), delivery.event_name().escape_debug());
        file.write_all(line.as_bytes())
    };
    receiver.handle(delivery, handler).await
}

impl Backend for Arc<MemoryStore> {
    async fn handle<P: Provider>(
        receiver: &Receiver<P, Self>,
        delivery: Delivery<'static, P>,
        options: &Options,
    ) -> Outcome {
        append(receiver, delivery, options).await
    }
}

impl Backend for RedisStore {
    async fn handle<P: Provider>(
        receiver: &Receiver<P, Self>,
        delivery: Delivery<'static, P>,
        options: &Options,
    ) -> Outcome {
        append(receiver, delivery, options).await
    }
}

struct App<P: Provider, S> {
    receiver: Receiver<P, S>,
    options: Arc<Options>,
    /// Nothing is sent: the channel closes when the last task that handles a delivery has ended.
    _running: mpsc::Sender<()>,
}

/// The endpoint of a provider. A separate task handles the delivery, so a client that hangs up does not stop it.
async fn receive<P: Provider, S: Backend>(
    app: Arc<App<P, S>>,
    delivery: std::result::Result<Verified<P>, countersign::Error>,
) -> Outcome {
    let handling = tokio::spawn(async move {
        let (about, outcome) = match delivery {
            Ok(Verified(delivery)) => {
                let about = format!(" {:?} {}", delivery.event_name(), delivery.idempotency_key());
                (about, S::handle(&app.receiver, delivery, &app.options).await)
            }
            Err(error) => (String::new(), Outcome::Rejected(error)),
        };
        let cause = match &outcome {
            // These are errors of the store or the file. The error of a refused delivery may quote the payload.
            Outcome::Failed(error) | Outcome::Unavailable(error) => format!(": {}", chain(&**error)),
            _ => String::new(),
        };
        eprintln!("{} {} {}{about}{cause}", P::NAME, outcome.status(), outcome.code());
        outcome
    });
    handling.await.unwrap_or_else(|error| Outcome::Failed(error.into()))
}

/// A provider's route, with a receiver of its own.
fn endpoint<P, S>(
    secret: &str,
    store: &S,
    options: &Arc<Options>,
    running: &mpsc::Sender<()>,
) -> Result<MethodRouter>
where
    P: Provider + Default,
    S: Backend,
{
    let webhook = Webhook::<P>::new(Secrets::from_env(secret)?)?;
    let receiver = Receiver::new(webhook.clone(), store.clone())
        .with_lease_duration(options.lease_duration)?
        .with_retention(options.retention)?;
    let app = Arc::new(App { receiver, options: Arc::clone(options), _running: running.clone() });
    let handler = move |delivery| receive(Arc::clone(&app), delivery);
    Ok(post(handler).with_state(webhook))
}

async fn serve<S: Backend>(store: S, options: Options) -> Result<()> {
    let options = Arc::new(options);
    let (running, mut ended) = mpsc::channel(1);
    let quote3d = endpoint::<Quote3d, S>("QUOTE3D_WEBHOOK_SECRET", &store, &options, &running)?;
    let nowtoprint = endpoint::<NowToPrint, S>("NOWTOPRINT_WEBHOOK_SECRET", &store, &options, &running)?;
    let threeqpr = endpoint::<ThreeQpr, S>("THREEQPR_WEBHOOK_SECRET", &store, &options, &running)?;
    drop(running);
    let app = Router::new()
        .route("/webhooks/quote3d", quote3d)
        .route("/webhooks/nowtoprint", nowtoprint)
        .route("/webhooks/3qpr", threeqpr)
        .route("/healthz", get(async |State(()): State<()>| "ok"));
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind(&options.listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    // This waits for the connections, and the channel for the deliveries whose senders have hung up.
    axum::serve(listener, app).with_graceful_shutdown(stop).await?;
    ended.recv().await;
    Ok(())
}

/// The longest time between two purges; a shorter retention is used instead.
const HOUR: Duration = Duration::from_secs(3600);

/// The next purge tries again.
fn not_purged(error: SqlStoreError) {
    eprintln!("not purged: {}", chain(&error));
}

const EFFECTS: &str = "CREATE TABLE IF NOT EXISTS webhook_effects (
    idempotency_key text NOT NULL, event text NOT NULL, handled_at text NOT NULL)";
const EFFECTS_OF_POSTGRES: &str = "CREATE TABLE IF NOT EXISTS webhook_effects (
    idempotency_key text NOT NULL, event text NOT NULL, handled_at timestamptz NOT NULL)";

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse()?;
    let address = options.store.clone();
    if address == "memory" {
        serve(Arc::new(MemoryStore::new()), options).await
    } else if let Some(path) = address.strip_prefix("sqlite:") {
        let store = SqliteStore::open(path).await?;
        sqlx::raw_sql(EFFECTS).execute(store.pool()).await?;
        tokio::spawn(store.clone().purge_every(HOUR.min(options.retention), not_purged));
        serve(store, options).await
    } else if address.starts_with("postgres://") || address.starts_with("postgresql://") {
        let store = PostgresStore::connect(&address).await?;
        store.migrate().await?;
        // Instances that start at once make the table in turn.
        let mut transaction = store.pool().begin().await?;
        sqlx::raw_sql("LOCK TABLE countersign_keys IN SHARE ROW EXCLUSIVE MODE")
            .execute(&mut *transaction)
            .await?;
        sqlx::raw_sql(EFFECTS_OF_POSTGRES).execute(&mut *transaction).await?;
        transaction.commit().await?;
        tokio::spawn(store.clone().purge_every(HOUR.min(options.retention), not_purged));
        serve(store, options).await
    } else if address.starts_with("redis://") || address.starts_with("rediss://") {
        // While Redis is away, answer 503 before the provider gives up.
        let config = ConnectionManagerConfig::new().set_number_of_retries(1);
        let connection = Client::open(address)?.get_connection_manager_with_config(config).await?;
        serve(RedisStore::new(connection), options).await
    } else {
        // Not the whole of it, which may hold a password.
        let scheme = address.split(':').next().unwrap_or_default();
        Err(format!("no store is called {scheme:?}: it is memory, sqlite:PATH, postgres://… or redis://…")
            .into())
    }
}
