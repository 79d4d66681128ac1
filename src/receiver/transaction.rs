//! The one-commit form: the handler writes its effect in the transaction that records the key.

use std::future::Future;

use crate::error::BoxError;
use crate::provider::Provider;
use crate::receiver::receiver::unavailable;
use crate::receiver::{Outcome, Receiver};
use crate::store::{Begun, TransactionalStore};
use crate::trace::Span;
use crate::webhook::Delivery;

impl<P: Provider, S: TransactionalStore> Receiver<P, S> {
    /// Handles a verified delivery in one transaction: begins it, records the key, runs the handler with the
    /// transaction, and commits key and effect together. If the handler fails, panics or is dropped, everything is
    /// rolled back, and the next delivery of the event is handled.
    ///
    /// The handler owns the transaction and hands it back: `Ok(transaction)` says "commit this". Write only through it,
    /// and keep other effects (a mail, a call of another service) out of the handler, because a rollback cannot undo
    /// it. The handler should be short: it holds a connection, and in SQLite all other writers wait for it.
    ///
    /// | what happened | outcome |
    /// |---|---|
    /// | the commit succeeded | [`Outcome::Handled`] |
    /// | the event was handled before | [`Outcome::Duplicate`]; the handler did not run |
    /// | the provider verifies the endpoint | [`Outcome::Challenge`]; the handler did not run |
    /// | another handler has the key | [`Outcome::InFlight`]; the handler did not run |
    /// | the handler returned an error | [`Outcome::Failed`], or [`Outcome::Unavailable`] if it is the store's own; rolled back |
    /// | the handler ignored a statement's error and the transaction ended with it | [`Outcome::Unavailable`]; rolled back |
    /// | the store failed | [`Outcome::Unavailable`]; rolled back, or committed if only the reply to the commit was lost |
    ///
    /// The type of the handler's error decides between `Failed` (500) and `Unavailable` (503). If it is the store's own, such as
    /// `SqlStoreError`, an error of the handler's own SQL counts as the store's: the answer is 503 `store_unavailable` instead
    /// of 500 `handler_failed`. Return `sqlx::Error` or a boxed error instead. A box in which `?` has put a
    /// `SqlStoreError`, as that of `advance`, still counts as the store's.
    ///
    /// The effect happens once for as long as the key is remembered, whatever is killed at whatever point. There is no
    /// lease: the receiver's [retention](Receiver::with_retention) counts, but its lease duration and its renewal do
    /// not. The handler's future must be `Send`, so that a handler which is not fails to compile here, with the name of
    /// the value, and not in axum.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use countersign::provider::{ThreeQpr, threeqpr};
    /// use countersign::{Delivery, Receiver, Secret, Webhook};
    /// use countersign_sqlx::{SqliteStore, SqliteTransaction, sqlx};
    ///
    /// type BoxError = Box<dyn std::error::Error + Send + Sync>;
    ///
    /// async fn handle(
    ///     delivery: Delivery<'_, ThreeQpr>,
    ///     mut transaction: SqliteTransaction,
    /// ) -> Result<SqliteTransaction, BoxError> {
    ///     if let threeqpr::Event::ScanCreated(scan) = delivery.event()? {
    ///         let insert = sqlx::query("INSERT INTO scans (city) VALUES (?1)").bind(scan.city);
    ///         insert.execute(&mut *transaction).await?;
    ///     }
    ///     Ok(transaction)
    /// }
    ///
    /// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?)?;
    /// # let body = br#"{"event":"scan.imagined","id":"evt_1","data":{}}"#;
    /// # let headers = webhook.signed_headers(body);
    /// let store = SqliteStore::in_memory().await?; // in a service: SqliteStore::open("webhooks.db")
    /// # sqlx::raw_sql("CREATE TABLE scans (city TEXT)").execute(store.pool()).await?;
    /// let receiver = Receiver::new(webhook, store);
    ///
    /// for code in ["handled", "duplicate"] {
    ///     let delivery = receiver.webhook().verify(&headers, body)?;
    ///     assert_eq!(receiver.handle_in_transaction(delivery, handle).await.code(), code);
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn handle_in_transaction<'a, H, F, E>(&self, delivery: Delivery<'a, P>, handler: H) -> Outcome
    where
        H: FnOnce(Delivery<'a, P>, S::Transaction) -> F + Send,
        F: Future<Output = Result<S::Transaction, E>> + Send,
        E: Into<BoxError>,
    {
        self.once_in_transaction(delivery, handler).await
    }

    /// Like [`handle_in_transaction`](Receiver::handle_in_transaction), for an adapter whose handlers stay on their
    /// thread.
    pub(crate) async fn once_in_transaction<'a, F, E>(
        &self,
        delivery: Delivery<'a, P>,
        handler: impl FnOnce(Delivery<'a, P>, S::Transaction) -> F,
    ) -> Outcome
    where
        F: Future<Output = Result<S::Transaction, E>>,
        E: Into<BoxError>,
    {
        let key = delivery.idempotency_key();
        let span = Span::new(&delivery.named(), key.as_str());
        let work = async {
            if let Some(answer) = delivery.challenge_response() {
                return Outcome::Challenge(answer.to_owned());
            }
            let transaction = match self.store().begin(&key, self.retention()).await {
                Ok(Begun::New(transaction)) => transaction,
                Ok(Begun::InFlight { retry_after }) => return Outcome::InFlight { retry_after },
                Ok(Begun::Done) => return Outcome::Duplicate,
                Err(error) => return unavailable(error),
            };
            match handler(delivery, transaction).await.map_err(Into::into) {
                Ok(transaction) => match self.store().commit(&key, transaction).await {
                    Ok(()) => Outcome::Handled,
                    Err(error) => unavailable(error),
                },
                Err(error) if error.is::<S::Error>() => Outcome::Unavailable(error),
                Err(error) => Outcome::Failed(error),
            }
        };
        span.observe(work, Outcome::ended).await
    }
}
