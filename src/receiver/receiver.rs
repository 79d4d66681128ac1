//! A webhook and a store together: each event is handled once, and each delivery gets its status.

use std::fmt;
use std::time::Duration;

use crate::error::BoxError;
use crate::provider::Provider;
use crate::receiver::Outcome;
use crate::receiver::renewal::{Lost, Renewal};
use crate::scheme::Headers;
use crate::store::IdempotencyKey;
use crate::store::PolicyError;
use crate::store::{Claim, IdempotencyStore, Lease, LeaseStatus, check_lease_duration, check_retention};
use crate::trace::{self, Span};
use crate::webhook::Delivery;
use crate::webhook::Webhook;

/// Longer than the 5 seconds that 3QPR waits for an answer; the others document no time.
const DEFAULT_LEASE_DURATION: Duration = Duration::from_secs(60);

/// Much longer than the 73 minutes of 3QPR's retries. Quote3D can resend at any later time.
const DEFAULT_RETENTION: Duration = Duration::from_secs(7 * 86_400);

/// Joins a webhook and a store: it verifies a delivery, claims its key, runs your handler, marks
/// the key done, and returns what to answer.
///
/// **What it promises.** An event is acknowledged with a 2xx only if the handler has succeeded and
/// the store has recorded it. Among deliveries of one event at the same time, one is handled.
/// A forged delivery never reaches the store. A completion that fails is tried once more at once.
///
/// **What it cannot promise.** A handler that is killed between its work and the mark in the store runs
/// again. With a SQL store, use [`handle_in_transaction`](Receiver::handle_in_transaction), which commits both together.
/// Otherwise make the effect repeatable, by passing [`idempotency_key`](Delivery::idempotency_key) on.
///
/// If the future is dropped (the client has hung up), the key stays claimed until its lease lapses, because the
/// handler may have done part of its work. The first retry after that handles the event. Run a handler that takes
/// longer than the provider waits in a task of its own.
///
/// If a handler **panics**, nothing is answered, and the key stays claimed. If yours may panic, spawn its work with
/// [`into_owned`](Delivery::into_owned) and await the task: the runtime turns the panic into an error, the key is
/// released, and the answer is 500.
///
/// [Choosing a store](crate::guide::choosing_a_store) explains the lease duration and the retention.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use countersign::{MemoryStore, Outcome, Receiver, Secret, Webhook, provider::ThreeQpr};
///
/// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?)?;
/// # let body = br#"{"event":"scan.created","id":"evt_1","data":{}}"#;
/// # let headers = webhook.signed_headers(body);
/// let receiver = Receiver::new(webhook, MemoryStore::new())
///     .with_lease_duration(Duration::from_secs(30))?
///     .with_retention(Duration::from_secs(7 * 86_400))?;
///
/// let handler = async |delivery: countersign::Delivery<'_, _>| {
///     println!("{:?}", delivery.event()?);
///     Ok::<_, countersign::Error>(())
/// };
/// let outcome = receiver.receive(&headers, body, handler).await;
/// assert_eq!((outcome.status(), outcome.code()), (200, "handled"));
///
/// let outcome = receiver.receive(&headers, body, handler).await;
/// assert_eq!((outcome.status(), outcome.code()), (200, "duplicate"));
/// # Ok(()) }
/// ```
pub struct Receiver<P, S> {
    webhook: Webhook<P>,
    store: S,
    lease_duration: Duration,
    retention: Duration,
    told: Told,
    renewal: Option<Renewal>,
}

/// The durations that were set. The others adapt to them.
#[derive(Clone, Copy, Default)]
struct Told {
    lease_duration: Option<Duration>,
    retention: Option<Duration>,
}

impl<P, S> Receiver<P, S> {
    /// The webhook.
    #[must_use]
    pub fn webhook(&self) -> &Webhook<P> {
        &self.webhook
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The retention, for a handler that completes its lease itself.
    #[must_use]
    pub fn retention(&self) -> Duration {
        self.retention
    }
}

impl<P: Provider, S: IdempotencyStore> Receiver<P, S> {
    /// Makes a receiver with a lease of a minute and a retention of a week, or of the
    /// [replay window](Receiver::with_retention) if that is longer.
    #[must_use]
    pub fn new(webhook: Webhook<P>, store: S) -> Self {
        let retention = DEFAULT_RETENTION.max(webhook.replay_window());
        Self {
            webhook,
            store,
            lease_duration: DEFAULT_LEASE_DURATION,
            retention,
            told: Told::default(),
            renewal: None,
        }
    }

    /// Sets the lease duration: how long a handler has before another delivery of the event may be handled instead.
    /// The default is a minute, or less if the retention or the ceiling of a renewal is shorter. Choose a duration
    /// that is longer than the handler ever takes, and ends before the provider's last retry.
    ///
    /// # Errors
    /// [`PolicyError::ZeroLease`], and [`PolicyError::RetentionShorterThanLease`] or
    /// [`PolicyError::RenewalShorterThanLease`] if a shorter one was set.
    pub fn with_lease_duration(mut self, lease_duration: Duration) -> Result<Self, PolicyError> {
        self.told.lease_duration = Some(lease_duration);
        self.checked()
    }

    /// Sets the retention: how long a handled event is remembered, and a repeated or replayed delivery of it recognized.
    /// The default is a week, or more if the lease or the replay window is longer. Choose a retention
    /// that is longer than the provider retries and the replay window together: a retry may be signed anew, and be replayed.
    ///
    /// # Errors
    /// [`PolicyError::ZeroRetention`], [`PolicyError::RetentionShorterThanLease`] if a longer lease was set, and
    /// [`PolicyError::RetentionShorterThanReplayWindow`] if it is shorter than the replay window: the
    /// time in which a delivery can be accepted again, and must not be forgotten. A timestamp may be in the past or in the
    /// future by the webhook's [maximum age](Webhook::with_max_age), so the window is twice that, or else the sum of the
    /// scheme's [tolerances](crate::Scheme::with_tolerances).
    ///
    /// ```
    /// use std::time::Duration;
    /// use countersign::{MemoryStore, PolicyError, Receiver, Secret, Webhook, provider::ThreeQpr};
    ///
    /// let hour = Duration::from_secs(3600);
    /// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?)?.with_max_age(hour);
    /// let refused = Receiver::new(webhook, MemoryStore::new()).with_retention(hour).unwrap_err();
    /// assert_eq!(refused, PolicyError::RetentionShorterThanReplayWindow);
    /// # Ok::<(), countersign::SetupError>(())
    /// ```
    pub fn with_retention(mut self, retention: Duration) -> Result<Self, PolicyError> {
        self.told.retention = Some(retention);
        self.checked()
    }

    /// Renews the lease of a long-running handler, every third of the lease, until `ceiling` after it began. If the
    /// lease is lost, the handler is dropped at once, and the delivery is not acknowledged. A renewal that fails is
    /// tried again. The lease may outlast the ceiling by the time that the store takes for the last renewal.
    ///
    /// `sleep` is your runtime's, for example `tokio::time::sleep`. With a short lease and a renewal, a handler may
    /// run for long, and the key of an instance that died is still free again soon.
    ///
    /// # Errors
    /// [`PolicyError::RenewalShorterThanLease`] if a longer lease was set (nothing would be renewed), and
    /// [`PolicyError::ZeroLease`] if the ceiling is zero.
    ///
    /// ```
    /// use std::time::Duration;
    /// use countersign::{MemoryStore, Receiver, Secret, Webhook, provider::ThreeQpr};
    ///
    /// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?)?;
    /// let receiver = Receiver::new(webhook, MemoryStore::new())
    ///     .with_lease_duration(Duration::from_secs(10))?
    ///     .with_renewal(Duration::from_secs(300), tokio::time::sleep)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_renewal<F>(
        mut self,
        ceiling: Duration,
        sleep: impl Fn(Duration) -> F + Send + Sync + 'static,
    ) -> Result<Self, PolicyError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.renewal = Some(Renewal::new(ceiling, sleep));
        self.checked()
    }

    /// Adapts the durations that were not set, and refuses a policy that cannot work.
    fn checked(mut self) -> Result<Self, PolicyError> {
        let replay_window = self.webhook.replay_window();
        let Told { lease_duration, retention } = self.told;
        self.retention = retention
            .unwrap_or_else(|| DEFAULT_RETENTION.max(replay_window).max(lease_duration.unwrap_or_default()));
        let ceiling = self.renewal.as_ref().map(Renewal::ceiling);
        self.lease_duration = lease_duration.unwrap_or_else(|| {
            DEFAULT_LEASE_DURATION.min(self.retention).min(ceiling.unwrap_or(DEFAULT_LEASE_DURATION))
        });
        check_retention(self.retention)?;
        check_lease_duration(self.lease_duration)?;
        if self.retention < self.lease_duration {
            return Err(PolicyError::RetentionShorterThanLease);
        }
        if self.retention < replay_window {
            return Err(PolicyError::RetentionShorterThanReplayWindow);
        }
        if ceiling.is_some_and(|ceiling| ceiling < self.lease_duration) {
            return Err(PolicyError::RenewalShorterThanLease);
        }
        Ok(self)
    }

    /// Verifies a delivery and runs the handler with it, unless its event was handled before.
    ///
    /// The handler's error may be anything that converts into a boxed error: your own type, a
    /// [`countersign::Error`](crate::Error) or a `String`. An `async fn` names the type in its signature. A closure
    /// that uses `?` must name it in its last line, as in `Ok::<_, MyError>(())`.
    pub async fn receive<H, E>(&self, headers: &(impl Headers + ?Sized), body: &[u8], handler: H) -> Outcome
    where
        H: AsyncFnOnce(Delivery<'_, P>) -> Result<(), E>,
        E: Into<BoxError>,
    {
        match self.webhook.verify(headers, body) {
            Ok(delivery) => self.handle(delivery, handler).await,
            Err(error) => Outcome::Rejected(error),
        }
    }

    /// Like [`receive`](Receiver::receive), for a delivery that is already verified, for example by an adapter.
    pub async fn handle<H, E>(&self, delivery: Delivery<'_, P>, handler: H) -> Outcome
    where
        H: AsyncFnOnce(Delivery<'_, P>) -> Result<(), E>,
        E: Into<BoxError>,
    {
        self.once(delivery, |delivery| handler(delivery)).await
    }

    /// Like [`handle`](Receiver::handle), for an adapter's handler, which works with a single lifetime.
    pub(crate) async fn once<'a, F, E>(
        &self,
        delivery: Delivery<'a, P>,
        handler: impl FnOnce(Delivery<'a, P>) -> F,
    ) -> Outcome
    where
        F: Future<Output = Result<(), E>>,
        E: Into<BoxError>,
    {
        let key = delivery.idempotency_key();
        let span = Span::new(&delivery.named(), key.as_str());
        let work = async {
            if let Some(answer) = delivery.challenge_response() {
                return Outcome::Challenge(answer.to_owned());
            }
            let lease = match self.claim(&key).await {
                Ok(lease) => lease,
                Err(outcome) => return outcome,
            };
            if let Err(outcome) = self.run(&lease, handler(delivery)).await {
                return outcome;
            }
            match self.complete(&lease).await {
                Ok(status) => self.outcome(status),
                Err(error) => unavailable(error),
            }
        };
        span.observe(work, Outcome::ended).await
    }

    /// Like [`handle`](Receiver::handle), for a handler that works for long and completes the lease itself, in the
    /// transaction of its effect (`complete_in` of a SQL store), and returns the result. The effect then happens
    /// once, even if the process is killed at any point. A short handler is simpler with
    /// [`handle_in_transaction`](Receiver::handle_in_transaction), and needs one commit instead of two.
    ///
    /// A handler's error releases the key, so it must mean that there was no effect, for example because the
    /// transaction was rolled back. Complete the lease last, and return at once: a renewal sees a done key as a lost
    /// lease, and the provider would be told to retry an event that was handled. An error of the store's own type is
    /// [`Outcome::Unavailable`]; `?` converts sqlx's errors into a SQL store's.
    ///
    /// ```no_run
    /// # async fn example(
    /// #     receiver: countersign::Receiver<countersign::provider::Quote3d, countersign_sqlx::PostgresStore>,
    /// #     delivery: countersign::Delivery<'_, countersign::provider::Quote3d>,
    /// # ) {
    /// use countersign::store::LeaseStatus;
    ///
    /// let outcome = receiver.handle_with_lease(delivery, async |delivery, lease| {
    ///     let mut transaction = receiver.store().pool().begin().await?;
    ///     // … write the effect of `delivery` in the transaction, and then:
    ///     let status = receiver.store().complete_in(&mut transaction, lease, receiver.retention()).await?;
    ///     match status {
    ///         LeaseStatus::Applied => transaction.commit().await?,
    ///         LeaseStatus::Lost => transaction.rollback().await?, // another handler has taken over
    ///     }
    ///     Ok::<_, countersign_sqlx::SqlStoreError>(status)
    /// });
    /// # let _ = outcome.await;
    /// # }
    /// ```
    pub async fn handle_with_lease<H, E>(&self, delivery: Delivery<'_, P>, handler: H) -> Outcome
    where
        H: AsyncFnOnce(Delivery<'_, P>, &Lease) -> Result<LeaseStatus, E>,
        E: Into<BoxError>,
    {
        let key = delivery.idempotency_key();
        let span = Span::new(&delivery.named(), key.as_str());
        let work = async {
            if let Some(answer) = delivery.challenge_response() {
                return Outcome::Challenge(answer.to_owned());
            }
            let lease = match self.claim(&key).await {
                Ok(lease) => lease,
                Err(outcome) => return outcome,
            };
            match self.run(&lease, handler(delivery, &lease)).await {
                Ok(status) => self.outcome(status),
                Err(Outcome::Failed(error)) if error.is::<S::Error>() => Outcome::Unavailable(error),
                Err(outcome) => outcome,
            }
        };
        span.observe(work, Outcome::ended).await
    }

    /// Claims the key, or returns the outcome of a delivery that cannot be handled now.
    async fn claim(&self, key: &IdempotencyKey) -> Result<Lease, Outcome> {
        match self.store.claim(key, self.lease_duration).await {
            Ok(Claim::Acquired(lease)) => Ok(lease),
            Ok(Claim::InFlight { retry_after }) => Err(Outcome::InFlight { retry_after }),
            Ok(Claim::Done) => Err(Outcome::Duplicate),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Marks the key done, and tries a second time if that fails: the handler has already run, and a delivery
    /// that is not acknowledged would run it again. The usual reason is a broken connection. Repeating a
    /// completion is safe, whether the first one was applied or not.
    async fn complete(&self, lease: &Lease) -> Result<LeaseStatus, S::Error> {
        match self.store.complete(lease, self.retention).await {
            Err(_) => self.store.complete(lease, self.retention).await,
            completed => completed,
        }
    }

    /// Runs the handler, and releases the key if it fails.
    async fn run<T, E: Into<BoxError>>(
        &self,
        lease: &Lease,
        handler: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Outcome> {
        let result = match &self.renewal {
            Some(renewal) => renewal.run(&self.store, lease, self.lease_duration, handler).await,
            None => Ok(handler.await),
        };
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                // If the store fails too, the lease lapses by itself.
                let _ = self.store.release(lease).await;
                Err(Outcome::Failed(error.into()))
            }
            Err(Lost) => Err(self.outcome(LeaseStatus::Lost)),
        }
    }

    fn outcome(&self, status: LeaseStatus) -> Outcome {
        match status {
            LeaseStatus::Applied => Outcome::Handled,
            LeaseStatus::Lost => Outcome::LeaseLost { retry_after: self.lease_duration },
        }
    }
}

/// The outcome of a store's error, whose causes are logged.
pub(super) fn unavailable<E: Into<BoxError>>(error: E) -> Outcome {
    let error = error.into();
    trace::cause(&*error);
    Outcome::Unavailable(error)
}

impl<P, S: Clone> Clone for Receiver<P, S> {
    fn clone(&self) -> Self {
        Self {
            webhook: self.webhook.clone(),
            store: self.store.clone(),
            lease_duration: self.lease_duration,
            retention: self.retention,
            told: self.told,
            renewal: self.renewal.clone(),
        }
    }
}

impl<P: Provider, S: fmt::Debug> fmt::Debug for Receiver<P, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("webhook", &self.webhook)
            .field("store", &self.store)
            .field("lease_duration", &self.lease_duration)
            .field("retention", &self.retention)
            .field("renewal", &self.renewal)
            .finish()
    }
}
