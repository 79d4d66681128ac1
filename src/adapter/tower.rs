//! For tower, and other frameworks whose requests are `http::Request<B>`: hyper, axum, AWS Lambda.
//!
//! | you have | use |
//! |---|---|
//! | a request in hand | [`Webhook::verify_request`] or [`Receiver::receive_request`] |
//! | secrets that depend on the request, as with tenants | [`Webhook::verify_request_with`] |
//! | a secret, a store and a handler | [`Endpoint`], a whole service |
//! | a service that handles deliveries | [`VerifyLayer`], which lets nothing else reach it |
//!
//! All of them hash each frame when it arrives, so the verdict is known right after the last one. A request without
//! one well-formed signature, or with a Content-Length over the webhook's [limit](Webhook::with_body_limit), is refused
//! before anything is hashed. A body of unknown length is refused when it passes the limit. To limit how long a slow
//! sender may take, configure the server, or put a timeout around the service.
//!
//! # The rest of a refused body
//!
//! A server closes the connection of a request that was not read to its end. Most clients write the whole request
//! before they read, so they would see a broken pipe instead of the answer. These functions therefore read and drop
//! the rest of a refused body before they answer, so that the provider's dashboard shows 401 or 413. The bounds:
//!
//! - 8 MiB. If more is announced, nothing is read, and the answer comes at once.
//! - One second in which nothing arrives, and five seconds in total. A thread of this crate keeps the time in every
//!   runtime; it starts with the first refusal that has to wait.
//! - Nothing is read if the sender waits for `100 Continue` (hyper sends that only when a body is read), or over
//!   HTTP/2, where a stream can end without its connection.
//!
//! A sender that writes only the head and waits, without `Expect`, gets its answer after that second. If a sender has
//! sent more than was read, the server closes the connection.

use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::header::EXPECT;
use http::request::Parts;
use http::{HeaderMap, Request, Response, Version};
use http_body_util::{BodyExt, LengthLimitError};
use tower_layer::Layer;
use tower_service::Service;

use crate::adapter::discard::{self, discard};
use crate::error::{BoxError, Error};
use crate::provider::Provider;
use crate::receiver::Outcome;
use crate::receiver::Receiver;
use crate::store::IdempotencyStore;
use crate::webhook::Delivery;
use crate::webhook::PartialDelivery;
use crate::webhook::Webhook;

/// The `http-body` crate, whose [`Body`](http_body::Body) trait a request's body must implement.
pub use http_body;
use http_body::{Body, Frame};

pub use crate::adapter::transaction::InTransaction;
pub use crate::adapter::verified::Verified;

impl<P: Provider> Webhook<P> {
    /// Reads and verifies a request. The delivery owns its body. A body of a single frame is not copied.
    ///
    /// # Errors
    /// The errors of [`verify`](Webhook::verify), [`Error::BodyTooLarge`], and [`Error::IncompleteBody`]
    /// if the sender hung up.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use countersign::{Secret, Webhook, provider::ThreeQpr};
    ///
    /// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?)?;
    /// # let body = r#"{"event":"scan.created","id":"evt_1","data":{}}"#.to_owned();
    /// # let signature = webhook.sign(body.as_bytes()).to_string();
    /// # let request = http::Request::post("/").header("x-3qpr-signature", signature).body(body)?;
    /// let delivery = webhook.verify_request(request).await?;
    /// assert_eq!(delivery.id(), Some("evt_1"));
    /// # Ok(()) }
    /// ```
    pub async fn verify_request<B>(&self, request: Request<B>) -> Result<Delivery<'static, P>, Error>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        verify(self, &head, body).await
    }

    /// Like [`verify_request`](Webhook::verify_request), if the secrets depend on the request, as with tenants. `lookup`
    /// returns the webhook to verify with.
    ///
    /// `lookup` runs once, after the request's head has passed this webhook's checks of the signature header and the
    /// [limit](Webhook::with_body_limit). Requests without one well-formed signature therefore cost you no query. This
    /// webhook's own secrets are not used, so use [`Secrets::reject_all`](crate::Secrets::reject_all).
    ///
    /// The delivery's key contains its tenant, so one [`Receiver`] can handle the deliveries of all tenants. The guide
    /// to [tenants](crate::guide::tenants) has the details.
    ///
    /// Of this webhook, only the header names and the limit on an announced length are used. Set the maximum age, the
    /// clock and the body limit on the webhook that `lookup` returns.
    ///
    /// # Errors
    /// The errors of [`verify_request`](Webhook::verify_request), and the error of `lookup`: return
    /// [`Error::secret_unavailable`] if it fails.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use countersign::{Error, Secrets, Webhook, provider::ThreeQpr};
    /// # async fn secrets_of(tenant: &str) -> Result<Option<Secrets>, std::io::Error> {
    /// #     Ok((tenant == "acme").then(|| countersign::Secret::new("whsec_0123456789abcdef").unwrap().into()))
    /// # }
    ///
    /// // At start-up, without a secret:
    /// let webhook = Webhook::<ThreeQpr>::new(Secrets::reject_all())?;
    ///
    /// // For each request, with the tenant taken from its path:
    /// # let tenant = "acme";
    /// # let body = r#"{"event":"scan.created","id":"evt_1","data":{}}"#.to_owned();
    /// # let signature = Webhook::<ThreeQpr>::new(secrets_of(tenant).await?.unwrap())?.sign(body.as_bytes());
    /// # let request = http::Request::post("/").header("x-3qpr-signature", signature.to_string()).body(body)?;
    /// let lookup = async || {
    ///     let secrets = secrets_of(tenant).await.map_err(Error::secret_unavailable)?;
    ///     // A tenant that does not exist is refused like any forged delivery.
    ///     let secrets = secrets.unwrap_or_else(Secrets::reject_all);
    ///     Ok(Webhook::new(secrets)?.with_tenant(tenant))
    /// };
    /// let delivery = webhook.verify_request_with(request, lookup).await?;
    /// assert_eq!(delivery.idempotency_key().as_str(), "3qpr@acme:evt_1");
    /// # Ok(()) }
    /// ```
    pub async fn verify_request_with<B>(
        &self,
        request: Request<B>,
        lookup: impl AsyncFnOnce() -> Result<Webhook<P>, Error>,
    ) -> Result<Delivery<'static, P>, Error>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        let found = match self.check_head(&head.headers) {
            Ok(_) => lookup().await,
            Err(error) => Err(error),
        };
        match found {
            Ok(webhook) => verify(&webhook, &head, body).await,
            Err(error) => self.logged(read(self, Err(error), &head, body).await),
        }
    }
}

impl<P: Provider, S: IdempotencyStore> Receiver<P, S> {
    /// Like [`receive`](Receiver::receive), for a request whose body was not read yet.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use countersign::{Delivery, MemoryStore, Receiver, Secret, Webhook, provider::ThreeQpr};
    ///
    /// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?)?;
    /// # let body = r#"{"event":"scan.created","id":"evt_1","data":{}}"#.to_owned();
    /// # let signature = webhook.sign(body.as_bytes()).to_string();
    /// # let request = http::Request::post("/").header("x-3qpr-signature", signature).body(body)?;
    /// let receiver = Receiver::new(webhook, MemoryStore::new());
    /// let outcome = receiver.receive_request(request, async |delivery: Delivery<'_, _>| {
    ///     println!("{:?}", delivery.event()?);
    ///     Ok::<_, countersign::Error>(())
    /// });
    /// let response: http::Response<String> = outcome.await.to_response();
    /// assert_eq!(response.status(), 200);
    /// # Ok(()) }
    /// ```
    pub async fn receive_request<B, H, E>(&self, request: Request<B>, handler: H) -> Outcome
    where
        B: Body,
        B::Error: Into<BoxError>,
        H: AsyncFnOnce(Delivery<'_, P>) -> Result<(), E>,
        E: Into<BoxError>,
    {
        match self.webhook().verify_request(request).await {
            Ok(delivery) => self.handle(delivery, handler).await,
            Err(error) => Outcome::Rejected(error),
        }
    }
}

/// Reads and verifies a request, and logs the verdict.
async fn verify<P, B>(webhook: &Webhook<P>, head: &Parts, body: B) -> Result<Delivery<'static, P>, Error>
where
    P: Provider,
    B: Body,
    B::Error: Into<BoxError>,
{
    webhook.logged(read(webhook, webhook.check_head(&head.headers), head, body).await)
}

/// Reads a body to its end, if the head has passed, and verifies it. The rest of a refused body is dropped, within
/// the bounds of [`discard`].
async fn read<P, B>(
    webhook: &Webhook<P>,
    checked: Result<(), Error>,
    head: &Parts,
    body: B,
) -> Result<Delivery<'static, P>, Error>
where
    P: Provider,
    B: Body,
    B::Error: Into<BoxError>,
{
    let mut body = pin!(body);
    let refused = match checked {
        Ok(()) => match collect(webhook, &head.headers, body.as_mut()).await {
            Ok(delivery) => return Ok(delivery),
            Err(Refused::Late(error)) => return Err(error),
            Err(Refused::Early(error)) => error,
        },
        // A sender that expects `100 Continue` sends nothing until the body is read.
        Err(error) if head.headers.contains_key(EXPECT) => return Err(error),
        Err(error) => error,
    };
    // From HTTP/2 on, the stream is closed after the answer, and the connection stays open.
    let is_worth_it = head.version < Version::HTTP_2 && body.size_hint().lower() <= discard::MAX_BYTES;
    if is_worth_it && !body.is_end_stream() {
        let length = |frame: Frame<B::Data>| frame.data_ref().map_or(0, Buf::remaining);
        discard(|context| body.as_mut().poll_frame(context).map(|frame| frame?.ok().map(length))).await;
    }
    Err(refused)
}

/// When a delivery with acceptable headers was refused.
enum Refused {
    /// Before the end of the body: the rest can still be read.
    Early(Error),
    /// At the end, or where the body broke off.
    Late(Error),
}

/// Reads a body to its end, or to the first reason to refuse it, and verifies it. A body that arrives whole, as most
/// do, is hashed without an allocation. Otherwise each frame is hashed as it arrives.
async fn collect<P, B>(
    webhook: &Webhook<P>,
    headers: &HeaderMap,
    mut body: Pin<&mut B>,
) -> Result<Delivery<'static, P>, Refused>
where
    P: Provider,
    B: Body,
    B::Error: Into<BoxError>,
{
    webhook.check_length(body.size_hint().lower()).map_err(Refused::Early)?;
    let mut partial: Option<PartialDelivery<P>> = None;
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(mut data)) => {
                let length = data.remaining();
                let partial = match &mut partial {
                    None if body.is_end_stream() => {
                        webhook.check_length(length as u64).map_err(Refused::Late)?;
                        return webhook
                            .verify_shared(headers, data.copy_to_bytes(length))
                            .map_err(Refused::Late);
                    }
                    None => partial.insert(webhook.begin_unlogged(headers).map_err(Refused::Early)?),
                    Some(partial) => partial,
                };
                partial.make_room(length).map_err(Refused::Early)?;
                partial.push_shared(data.copy_to_bytes(length)).map_err(Refused::Early)?;
            }
            Ok(Err(_trailers)) => {}
            Err(error) => {
                let error = error.into();
                return Err(Refused::Late(match is_over_limit(&*error) {
                    true => webhook.too_large(),
                    false => Error::incomplete_body(error),
                }));
            }
        }
    }
    let verdict = match partial {
        Some(partial) => partial.finish_unlogged(),
        None => webhook.verify_shared(headers, Bytes::new()),
    };
    verdict.map_err(Refused::Late)
}

/// Whether the body exceeded the limit of a layer around this one.
fn is_over_limit(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<LengthLimitError>() || error.source().is_some_and(is_over_limit)
}

/// A tower layer for a service of verified deliveries. The service's requests are
/// `http::Request<Verified<P>>`, with the delivery in place of the body. Nothing
/// unverified can reach the service, and no handler can forget to verify.
///
/// The layer answers everything else, with the error's status and `{"error": code}`. It polls the inner service for
/// readiness only after a delivery is verified, so that forged requests take no place in it. The layer itself is
/// always ready. In axum, use the layered service with `post_service`; `Router::layer` is for services that accept any
/// body.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::convert::Infallible;
/// use countersign::tower::{Verified, VerifyLayer};
/// use countersign::{Secret, Webhook, provider::ThreeQpr};
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// async fn scan(request: Request<Verified<ThreeQpr>>) -> Result<Response<String>, Infallible> {
///     let Verified(delivery) = request.into_body();
///     Ok(Response::new(delivery.event_name().to_owned()))
/// }
///
/// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?)?;
/// # let body = r#"{"event":"scan.created","id":"evt_1","data":{}}"#.to_owned();
/// # let signature = webhook.sign(body.as_bytes()).to_string();
/// # let request = Request::post("/").header("x-3qpr-signature", signature).body(body)?;
/// let service = ServiceBuilder::new().layer(VerifyLayer::new(webhook)).service(service_fn(scan));
/// assert_eq!(service.oneshot(request).await?.body(), "scan.created");
/// # Ok(()) }
/// ```
pub struct VerifyLayer<P> {
    webhook: Webhook<P>,
}

impl<P: Provider> VerifyLayer<P> {
    /// Makes a layer that lets through what the webhook verifies.
    #[must_use]
    pub fn new(webhook: Webhook<P>) -> Self {
        Self { webhook }
    }
}

impl<P, S> Layer<S> for VerifyLayer<P> {
    type Service = Verify<P, S>;

    fn layer(&self, inner: S) -> Verify<P, S> {
        Verify { webhook: self.webhook.clone(), inner }
    }
}

/// The service that [`VerifyLayer`] makes from yours.
pub struct Verify<P, S> {
    webhook: Webhook<P>,
    inner: S,
}

/// The future of the services in this module.
pub type ResponseFuture<B, E> = Pin<Box<dyn Future<Output = Result<Response<B>, E>> + Send>>;

impl<P, S, B, R> Service<Request<B>> for Verify<P, S>
where
    P: Provider,
    S: Service<Request<Verified<P>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
    R: From<String>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ResponseFuture<R, S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (webhook, mut inner) = (self.webhook.clone(), self.inner.clone());
        Box::pin(async move {
            let (head, body) = request.into_parts();
            match verify(&webhook, &head, body).await {
                Ok(delivery) => {
                    poll_fn(|context| inner.poll_ready(context)).await?;
                    inner.call(Request::from_parts(head, Verified(delivery))).await
                }
                Err(error) => Ok(error.to_response()),
            }
        })
    }
}

/// A whole endpoint as a tower service: a [`Receiver`] and your handler. It verifies the request,
/// claims its key, runs the handler, marks the key done, and answers with the [`Outcome`]'s status.
///
/// Route the provider's POST requests to it: `post_service(endpoint)` in axum. The handler is a function that takes
/// a [`Verified`] delivery, or a closure that returns an `async` block. Clone shared values into the block.
///
/// If the store is a SQL store, use [`Endpoint::in_transaction`], which commits the key and the handler's effect
/// together. To limit how long a body may take to arrive, call [`verify_request`](Webhook::verify_request) and
/// [`handle`](Receiver::handle) instead, because a timeout around the endpoint also drops a running handler.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use countersign::provider::{ThreeQpr, threeqpr};
/// use countersign::tower::{Endpoint, Verified};
/// use countersign::{MemoryStore, Receiver, Secret, Webhook};
/// # use tower::ServiceExt;
///
/// async fn handle(Verified(delivery): Verified<ThreeQpr>) -> Result<(), countersign::Error> {
///     match delivery.event()? {
///         threeqpr::Event::ScanCreated(scan) => println!("{scan:?}"),
///         other => println!("not ours: {:?}", other.name()),
///     }
///     Ok(())
/// }
///
/// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?)?;
/// # let body = r#"{"event":"scan.imagined","id":"evt_1","data":{}}"#.to_owned();
/// # let signature = webhook.sign(body.as_bytes()).to_string();
/// # let request = http::Request::post("/").header("x-3qpr-signature", signature).body(body)?;
/// let endpoint = Endpoint::new(Receiver::new(webhook, MemoryStore::new()), handle);
/// assert_eq!(endpoint.oneshot(request).await?.status(), 200);
/// # Ok(()) }
/// ```
pub struct Endpoint<P, S, H> {
    pub(super) receiver: Arc<Receiver<P, S>>,
    pub(super) handler: H,
}

impl<P: Provider, S: IdempotencyStore, H> Endpoint<P, S, H> {
    /// Makes an endpoint from a receiver, in an `Arc` or not, and a handler.
    #[must_use]
    pub fn new<E, F>(receiver: impl Into<Arc<Receiver<P, S>>>, handler: H) -> Self
    where
        H: Fn(Verified<P>) -> F,
        F: Future<Output = Result<(), E>>,
        E: Into<BoxError>,
    {
        Self { receiver: receiver.into(), handler }
    }
}

impl<P, S, H, F, E, B> Service<Request<B>> for Endpoint<P, S, H>
where
    P: Provider,
    S: IdempotencyStore + Send + Sync + 'static,
    H: Fn(Verified<P>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<(), E>> + Send,
    E: Into<BoxError> + Send,
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
        let (receiver, handler) = (Arc::clone(&self.receiver), self.handler.clone());
        let (head, body) = request.into_parts();
        Box::pin(async move {
            let verified = verify(receiver.webhook(), &head, body).await;
            drop(head);
            let outcome = match verified {
                Ok(delivery) => receiver.once(delivery, move |delivery| handler(Verified(delivery))).await,
                Err(error) => Outcome::Rejected(error),
            };
            Ok(outcome.to_response())
        })
    }
}

impl<P> Clone for VerifyLayer<P> {
    fn clone(&self) -> Self {
        Self { webhook: self.webhook.clone() }
    }
}

impl<P, S: Clone> Clone for Verify<P, S> {
    fn clone(&self) -> Self {
        Self { webhook: self.webhook.clone(), inner: self.inner.clone() }
    }
}

impl<P, S, H: Clone> Clone for Endpoint<P, S, H> {
    fn clone(&self) -> Self {
        Self { receiver: Arc::clone(&self.receiver), handler: self.handler.clone() }
    }
}

impl<P: Provider> fmt::Debug for VerifyLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyLayer").field("webhook", &self.webhook).finish()
    }
}

impl<P: Provider, S: fmt::Debug> fmt::Debug for Verify<P, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verify").field("webhook", &self.webhook).field("inner", &self.inner).finish()
    }
}

impl<P: Provider, S: fmt::Debug, H> fmt::Debug for Endpoint<P, S, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("receiver", &self.receiver).finish_non_exhaustive()
    }
}
