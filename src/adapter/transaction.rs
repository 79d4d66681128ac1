//! A tower endpoint whose deliveries are one transaction each.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::adapter::tower::{Endpoint, ResponseFuture};
use crate::adapter::verified::Verified;
use crate::error::BoxError;
use crate::provider::Provider;
use crate::receiver::{Outcome, Receiver};
use crate::store::TransactionalStore;

/// The handler of an [`Endpoint`] that was made with [`Endpoint::in_transaction`].
#[derive(Clone)]
pub struct InTransaction<H>(H);

impl<P: Provider, S: TransactionalStore, H> Endpoint<P, S, InTransaction<H>> {
    /// Makes an endpoint in which each delivery is one transaction of the store: see
    /// [`Receiver::handle_in_transaction`]. The handler gets the transaction and hands it back, to be committed
    /// together with the key.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use countersign::provider::ThreeQpr;
    /// use countersign::tower::{Endpoint, Verified};
    /// use countersign::{Receiver, Secret, Webhook};
    /// use countersign_sqlx::{SqliteStore, SqliteTransaction, sqlx};
    /// # use tower::ServiceExt;
    ///
    /// async fn handle(
    ///     Verified(delivery): Verified<ThreeQpr>,
    ///     mut transaction: SqliteTransaction,
    /// ) -> Result<SqliteTransaction, sqlx::Error> {
    ///     let insert = sqlx::query("INSERT INTO jobs (event) VALUES (?1)").bind(delivery.event_name());
    ///     insert.execute(&mut *transaction).await?;
    ///     Ok(transaction)
    /// }
    ///
    /// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?)?;
    /// # let body = r#"{"event":"scan.imagined","id":"evt_1","data":{}}"#.to_owned();
    /// # let signature = webhook.sign(body.as_bytes()).to_string();
    /// # let request = http::Request::post("/").header("x-3qpr-signature", signature).body(body)?;
    /// let store = SqliteStore::in_memory().await?;
    /// # sqlx::raw_sql("CREATE TABLE jobs (event TEXT)").execute(store.pool()).await?;
    /// let endpoint = Endpoint::in_transaction(Receiver::new(webhook, store), handle);
    /// assert_eq!(endpoint.oneshot(request).await?.status(), 200);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn in_transaction<E, F>(receiver: impl Into<Arc<Receiver<P, S>>>, handler: H) -> Self
    where
        H: Fn(Verified<P>, S::Transaction) -> F + Clone + Send + 'static,
        F: Future<Output = Result<S::Transaction, E>> + Send,
        E: Into<BoxError>,
    {
        Self { receiver: receiver.into(), handler: InTransaction(handler) }
    }
}

impl<P, S, H, F, E, B> Service<Request<B>> for Endpoint<P, S, InTransaction<H>>
where
    P: Provider,
    S: TransactionalStore + 'static,
    H: Fn(Verified<P>, S::Transaction) -> F + Clone + Send + 'static,
    F: Future<Output = Result<S::Transaction, E>> + Send,
    E: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<String>;
    type Error = Infallible;
    type Future = ResponseFuture<String, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (receiver, InTransaction(handler)) = (Arc::clone(&self.receiver), self.handler.clone());
        Box::pin(async move {
            let outcome = match receiver.webhook().verify_request(request).await {
                Ok(delivery) => {
                    let handler = move |delivery, transaction| handler(Verified(delivery), transaction);
                    receiver.once_in_transaction(delivery, handler).await
                }
                Err(error) => Outcome::Rejected(error),
            };
            Ok(outcome.to_response())
        })
    }
}

impl<H> fmt::Debug for InTransaction<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InTransaction").finish_non_exhaustive()
    }
}
