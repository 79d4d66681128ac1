//! For tower, and so for anything whose requests are `http::Request<B>`: hyper, axum, AWS Lambda.
//!
//! | you have | take |
//! |---|---|
//! | a request in hand | [`Webhook::verify_request`] or [`Receiver::receive_request`] |
//! | secrets that depend on the request, as with tenants | [`Webhook::verify_request_with`] |
//! | a secret, a store and a handler | [`Endpoint`], a whole service |
//! | a service of deliveries | [`VerifyLayer`], which lets nothing else reach it |
//!
//! All of them feed the MAC with each frame as it arrives, so that the signature's verdict is due right
//! after the last one. A request without one well-formed signature, or whose Content-Length is over the
//! webhook's [limit](Webhook::with_body_limit), is refused before its body is looked at; a body of unknown
//! length is refused where it passes the limit. How long a slow sender may take is for the server to say, or a
//! timeout around the service.
//!
//! # What is left of a refused body
//!
//! A server closes the connection of a request that was not read to its end. Most clients write the whole request
//! before they read, so they would see a broken pipe in place of the answer. These functions therefore read and drop
//! what is left of a refused body before they answer, so that the provider's dashboard shows 401 or 413. The bounds:
//!
//! - 8 MiB. If more is announced, nothing is read, and the answer comes at once.
//! - One second in which nothing arrives, and five seconds in all. A thread of this crate keeps the time, whatever
//!   the runtime; it starts with the first refusal that has to wait.
//! - Nothing is read if the sender waits for `100 Continue` (hyper sends that only when a body is read), or over
//!   HTTP/2, where a stream ends without its connection.
//!
//! A sender that writes the head alone and waits, without `Expect`, gets its answer after that second. If a sender has
//! sent more than was read, the server closes the connection.

use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Buf;
use http::header::EXPECT;
use http::request::Parts;
use http::{Request, Response, Version};
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

/// The `http-body` crate, whose [`Body`](http_body::Body) a request's body has to be.
pub use http_body;
use http_body::{Body, Frame};

pub use crate::adapter::verified::Verified;

impl<P: Provider> Webhook<P> {
    /// Reads and verifies a request. The delivery owns its body, which is not copied where it came as
    /// one frame.
    ///
    /// # Errors
    /// Those of [`verify`](Webhook::verify), [`Error::BodyTooLarge`], and [`Error::IncompleteBody`]
    /// if the sender hung up.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use countersign::{Secret, Webhook, provider::ThreeQpr};
    ///
    /// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?);
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

    /// [`verify_request`](Webhook::verify_request) where the secrets depend on the request, as with tenants: `lookup`
    /// finds the webhook to verify with.
    ///
    /// `lookup` runs once, and only after the request's head has passed this webhook's provider and
    /// [limit](Webhook::with_body_limit), so that requests without one well-formed signature cost you no query. This
    /// webhook's own secrets are not used: [`Secrets::reject_all`](crate::Secrets::reject_all) will do.
    ///
    /// The delivery's key contains its tenant, so one [`Receiver`] can handle the deliveries of all tenants.
    ///
    /// # Errors
    /// Those of [`verify_request`](Webhook::verify_request), and what `lookup` returns:
    /// [`Error::secret_unavailable`] if it fails.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use countersign::{Error, Secrets, Webhook, provider::ThreeQpr};
    /// # async fn secrets_of(tenant: &str) -> Result<Option<Secrets>, std::io::Error> {
    /// #     Ok((tenant == "acme").then(|| countersign::Secret::new("whsec_0123456789abcdef").unwrap().into()))
    /// # }
    ///
    /// // At start-up: the provider and the limit, and no secret.
    /// let webhook = Webhook::<ThreeQpr>::new(Secrets::reject_all());
    ///
    /// // For each request, with the tenant taken from its path:
    /// # let tenant = "acme";
    /// # let body = r#"{"event":"scan.created","id":"evt_1","data":{}}"#.to_owned();
    /// # let signature = Webhook::<ThreeQpr>::new(secrets_of(tenant).await?.unwrap()).sign(body.as_bytes());
    /// # let request = http::Request::post("/").header("x-3qpr-signature", signature.to_string()).body(body)?;
    /// let lookup = async || {
    ///     let secrets = secrets_of(tenant).await.map_err(Error::secret_unavailable)?;
    ///     // A tenant that does not exist is refused like any forged delivery.
    ///     let secrets = secrets.unwrap_or_else(Secrets::reject_all);
    ///     Ok(Webhook::new(secrets).with_tenant(tenant))
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
            Err(error) => self.logged(read(Err(error), &head, body).await),
        }
    }
}

impl<P: Provider, S: IdempotencyStore> Receiver<P, S> {
    /// [`receive`](Receiver::receive) for a request whose body is yet to be read.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use countersign::{Delivery, MemoryStore, Receiver, Secret, Webhook, provider::ThreeQpr};
    ///
    /// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?);
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

/// Reads and verifies a request, and logs what came of it.
async fn verify<P, B>(webhook: &Webhook<P>, head: &Parts, body: B) -> Result<Delivery<'static, P>, Error>
where
    P: Provider,
    B: Body,
    B::Error: Into<BoxError>,
{
    webhook.logged(read(webhook.begin_unlogged(&head.headers), head, body).await)
}

/// Reads a body to its end, if its head has passed, and verifies it. Of one that is refused before its end it
/// drops the rest, as far as [`discard`] goes.
async fn read<P, B>(
    started: Result<PartialDelivery<P>, Error>,
    head: &Parts,
    body: B,
) -> Result<Delivery<'static, P>, Error>
where
    P: Provider,
    B: Body,
    B::Error: Into<BoxError>,
{
    let mut body = pin!(body);
    let refused = match started {
        Ok(mut partial) => match collect(&mut partial, body.as_mut()).await {
            Ok(()) => return partial.finish_unlogged(),
            Err(Refused::Broken(error)) => return Err(error),
            Err(Refused::TooLarge(error)) => error,
        },
        // Who asks first has sent nothing yet, unless reading tells it to.
        Err(error) if head.headers.contains_key(EXPECT) => return Err(error),
        Err(error) => error,
    };
    // From HTTP/2 on, a stream is closed without its connection, and after the answer.
    let is_worth_it = head.version < Version::HTTP_2 && body.size_hint().lower() <= discard::MAX_BYTES;
    if is_worth_it && !body.is_end_stream() {
        let length = |frame: Frame<B::Data>| frame.data_ref().map_or(0, Buf::remaining);
        discard(|context| body.as_mut().poll_frame(context).map(|frame| frame?.ok().map(length))).await;
    }
    Err(refused)
}

/// Why a body was not read to its end.
enum Refused {
    /// There is more of it.
    TooLarge(Error),
    /// No more can be read.
    Broken(Error),
}

/// Reads a body to its end, or to the first reason to refuse it.
async fn collect<P, B>(partial: &mut PartialDelivery<P>, mut body: Pin<&mut B>) -> Result<(), Refused>
where
    P: Provider,
    B: Body,
    B::Error: Into<BoxError>,
{
    let hinted = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    partial.make_room(hinted).map_err(Refused::TooLarge)?;
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(mut data)) => {
                partial.make_room(data.remaining()).map_err(Refused::TooLarge)?;
                let piece = data.copy_to_bytes(data.remaining());
                partial.push_shared(piece).map_err(Refused::TooLarge)?;
            }
            Ok(Err(_trailers)) => {}
            Err(error) => {
                let error = error.into();
                return Err(Refused::Broken(match is_over_limit(&*error) {
                    true => partial.too_large(),
                    false => Error::incomplete_body(error),
                }));
            }
        }
    }
    Ok(())
}

/// Whether a layer's limit around this one was passed.
fn is_over_limit(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<LengthLimitError>() || error.source().is_some_and(is_over_limit)
}

/// A tower layer for a service of verified deliveries: its requests are
/// `http::Request<Verified<P>>`, with the delivery in the place of the body, so that nothing
/// unverified can reach it, and no handler can forget to verify.
///
/// Everything else is answered here, with the error's status and `{"error": code}`. The inner service
/// is asked whether it is ready only when a delivery is verified: forged traffic takes up no room in
/// it. So the layer itself is always ready. In axum it makes a service of its own, for `post_service`;
/// `Router::layer` is for services that take any body.
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
/// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?);
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
    /// A layer that lets pass what the webhook verifies.
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

/// The service that [`VerifyLayer`] makes of yours.
pub struct Verify<P, S> {
    webhook: Webhook<P>,
    inner: S,
}

/// What the services of this module answer with, in time.
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
/// Give it the route of the provider's POST requests: `post_service(endpoint)` in axum. The handler
/// is a function of a [`Verified`] delivery, or a closure that returns an `async` block; what it shares
/// is cloned into the block.
///
/// For a handler that completes its lease in its own transaction, call
/// [`verify_request`](Webhook::verify_request) and
/// [`handle_with_lease`](Receiver::handle_with_lease); likewise to bound how long a body may take to
/// arrive, since a timeout around the endpoint also drops a handler that runs.
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
/// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?);
/// # let body = r#"{"event":"scan.imagined","id":"evt_1","data":{}}"#.to_owned();
/// # let signature = webhook.sign(body.as_bytes()).to_string();
/// # let request = http::Request::post("/").header("x-3qpr-signature", signature).body(body)?;
/// let endpoint = Endpoint::new(Receiver::new(webhook, MemoryStore::new()), handle);
/// assert_eq!(endpoint.oneshot(request).await?.status(), 200);
/// # Ok(()) }
/// ```
pub struct Endpoint<P, S, H> {
    receiver: Arc<Receiver<P, S>>,
    handler: H,
}

impl<P: Provider, S: IdempotencyStore, H> Endpoint<P, S, H> {
    /// An endpoint of a receiver, shared or not, and a handler.
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
        Box::pin(async move {
            let outcome = match receiver.webhook().verify_request(request).await {
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
