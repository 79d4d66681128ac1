//! A verified webhook event, put into a job queue on Postgres in the transaction that records its
//! key: both are there or neither, so that no event is lost and none is queued twice. The delivery
//! is answered at once, and a worker does the job after.
//!
//! The queue is `graphile_worker`. It and `apalis-postgres` are on sqlx 0.9, as countersign is, and
//! enqueue in a transaction of yours; `underway` is on sqlx 0.8, with no release since July 2025.
//! `graphile_worker` releases every few weeks, retries a failed job after a delay that grows, and
//! times jobs by the database's clock; `apalis-postgres` 1.0 retries at once until the attempts are
//! spent, and times jobs by the caller's. The price: some 60 crates, and no 1.0 yet.

use std::time::Duration;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::routing::post;
use countersign::axum::Verified;
use countersign::provider::{NowToPrint, nowtoprint};
use countersign::{Error, IdempotencyKey, Outcome, Webhook};
use countersign_sqlx::sqlx::PgPool;
use countersign_sqlx::{PostgresStore, Recorded};
use graphile_worker::{
    IntoTaskHandlerResult, JobSpec, TaskHandler, WorkerContext, WorkerOptions, WorkerUtils,
};
use serde::{Deserialize, Serialize};

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long a key is remembered: longer than the provider retries.
const RETENTION: Duration = Duration::from_secs(7 * 86_400);

/// What is queued. The worker verifies nothing, so only this service may write to the queue.
#[derive(Serialize, Deserialize)]
struct NowToPrintEvent {
    key: String,
    event: nowtoprint::Event,
}

impl TaskHandler for NowToPrintEvent {
    const IDENTIFIER: &'static str = "nowtoprint_event";

    /// The work. The queue runs it at least once: a worker may die between the effect and its
    /// completion. So write the effect with the key, or pass the key on to whoever has the effect.
    async fn run(self, _: WorkerContext) -> impl IntoTaskHandlerResult {
        println!("worked off {}: {:?}", self.key, self.event.name());
    }
}

/// The worker's options, to be given a signal to stop, or hooks.
pub fn worker(pool: &PgPool) -> WorkerOptions {
    // With heartbeats, the jobs of a worker that died are given to another; without, which is the
    // default, they stay locked for ever.
    WorkerOptions::default()
        .pg_pool(pool.clone())
        .heartbeat_interval(Duration::from_secs(30))
        .define_job::<NowToPrintEvent>()
}

#[derive(Clone)]
pub struct Inbox {
    webhook: Webhook<NowToPrint>,
    store: PostgresStore,
    queue: WorkerUtils,
}

impl Inbox {
    /// Makes the tables of both, unless they are there.
    pub async fn new(webhook: Webhook<NowToPrint>, store: PostgresStore) -> Result<Self, BoxError> {
        store.migrate().await?;
        let queue = WorkerUtils::new(store.pool(), "graphile_worker");
        queue.migrate().await?;
        Ok(Self { webhook, store, queue })
    }

    pub fn store(&self) -> &PostgresStore {
        &self.store
    }

    pub fn router(self) -> Router {
        Router::new().route("/webhooks/nowtoprint", post(receive)).with_state(self)
    }

    /// Queues an event, if it is new.
    async fn put(&self, key: IdempotencyKey, event: nowtoprint::Event) -> Result<Recorded, BoxError> {
        let mut transaction = self.store.pool().begin().await?;
        // A delivery of the same event at once waits here for the first one's commit, 2 seconds at most.
        let recorded = self.store.record_in(&mut transaction, &key, RETENTION).await?;
        if recorded == Recorded::New {
            let job = NowToPrintEvent { key: key.to_string(), event };
            // This logs the payload, by `tracing` at `info`.
            self.queue.clone().with_executor(&mut transaction).add_job(job, JobSpec::default()).await?;
        }
        transaction.commit().await?;
        Ok(recorded)
    }
}

impl FromRef<Inbox> for Webhook<NowToPrint> {
    fn from_ref(inbox: &Inbox) -> Self {
        inbox.webhook.clone()
    }
}

/// An event that cannot be queued now is answered with 503, and the provider's retry brings it again.
async fn receive(
    State(inbox): State<Inbox>,
    Verified(delivery): Verified<NowToPrint>,
) -> Result<Outcome, Error> {
    let event = delivery.event()?;
    Ok(match inbox.put(delivery.idempotency_key(), event).await {
        Ok(Recorded::New) => Outcome::Handled,
        Ok(Recorded::Done) => Outcome::Duplicate,
        Ok(Recorded::InFlight { retry_after }) => Outcome::InFlight { retry_after },
        Err(error) => {
            eprintln!("not queued: {error}");
            Outcome::Unavailable(error)
        }
    })
}
