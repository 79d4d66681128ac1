//! For actix-web 4: an extractor, a whole endpoint, and responses.
//!
//! | you have | use |
//! |---|---|
//! | a secret, a store and a handler | [`endpoint`], a route |
//! | the same, with a SQL store | [`endpoint_in_transaction`], a route whose effects are committed with the key |
//! | a handler of your own | [`Verified`], an extractor |
//! | a request in hand | [`verify_request`] or [`receive_request`] |
//! | secrets that depend on the request, as with tenants | [`verify_request_with`] |
//!
//! All of them hash each piece of the body when it arrives. A request without one well-formed
//! signature, or with a Content-Length over the webhook's [limit](Webhook::with_body_limit), is
//! refused before anything is hashed. A body of unknown length is read up to the limit and no
//! further. actix-web's `PayloadConfig` does not apply.
//!
//! A sender that writes its whole request before it reads still sees the refusal: actix-web (from actix-http 3.13
//! on) answers, and then drops what arrives during `HttpServer::client_disconnect_timeout`. The default is one second;
//! set a longer time for distant senders. actix-web reads the rest of a chunked body without any limit, so put a proxy
//! with one in front. actix-web answers `Expect: 100-continue` before this crate sees the request, with or without a
//! signature.
//!
//! [`Error`] and [`Outcome`] are responses with their status and the body of [`Outcome::to_response`].

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;

use ::actix_web::body::BoxBody;
use ::actix_web::dev::Payload;
use ::actix_web::error::PayloadError;
use ::actix_web::http::StatusCode;
use ::actix_web::http::header::{HeaderMap, HeaderValue};
use ::actix_web::{FromRequest, HttpRequest, HttpResponse, Responder, ResponseError, Route, web};
use bytes::Bytes;
use futures_core::Stream;

use crate::error::{BoxError, Error};
use crate::provider::Provider;
use crate::receiver::Outcome;
use crate::receiver::Receiver;
use crate::scheme::Headers;
use crate::store::{IdempotencyStore, TransactionalStore};
use crate::trace;
use crate::webhook::Delivery;
use crate::webhook::PartialDelivery;
use crate::webhook::Webhook;

pub use crate::adapter::verified::Verified;

impl<P: Provider> FromRequest for Verified<P> {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let started = webhook_of::<P>(request)
            .map(|webhook| (webhook.clone(), webhook.begin_unlogged(request.headers())))
            .inspect_err(|error| trace::refused(P::NAME, None, error));
        let payload = payload.take();
        Box::pin(async {
            let (webhook, partial) = started?;
            webhook.logged(read(partial, payload).await).map(Self)
        })
    }
}

/// Makes a route for the provider's POST requests, from a [`Receiver`] and your handler. It
/// verifies the request, claims its key, runs the handler, marks the key done, and answers with the
/// [`Outcome`]'s status.
///
/// The handler is a function that takes a [`Verified`] delivery, or a closure that returns an `async` block. Clone
/// shared values into the block. All workers must share one receiver: make it before the server's factory, in an
/// `Arc`. If the store is a SQL store, use [`endpoint_in_transaction`], which commits the key and the handler's effect
/// together. A timeout around the endpoint also drops a running handler.
///
/// ```
/// use std::sync::Arc;
/// use actix_web::App;
/// use countersign::provider::{ThreeQpr, threeqpr};
/// use countersign::actix_web::{Verified, endpoint};
/// use countersign::{MemoryStore, Receiver, Secret, Webhook};
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
/// let receiver = Arc::new(Receiver::new(webhook, MemoryStore::new()));
/// let app = move || App::new().route("/webhooks/3qpr", endpoint(Arc::clone(&receiver), handle));
/// # app();
/// # Ok::<(), countersign::SetupError>(())
/// ```
#[must_use]
pub fn endpoint<P, S, H, F, E>(receiver: impl Into<Arc<Receiver<P, S>>>, handler: H) -> Route
where
    P: Provider,
    S: IdempotencyStore + 'static,
    H: Fn(Verified<P>) -> F + Clone + 'static,
    F: Future<Output = Result<(), E>> + 'static,
    E: Into<BoxError> + 'static,
{
    let receiver = receiver.into();
    web::post().to(move |request: HttpRequest, payload: web::Payload| {
        let (receiver, handler) = (Arc::clone(&receiver), handler.clone());
        async move {
            match verify_request(receiver.webhook(), &request, payload).await {
                Ok(delivery) => receiver.once(delivery, move |delivery| handler(Verified(delivery))).await,
                Err(error) => Outcome::Rejected(error),
            }
        }
    })
}

/// Like [`endpoint`], but each delivery is one transaction of the store: see
/// [`Receiver::handle_in_transaction`]. The handler gets the transaction and hands it back, to be committed
/// together with the key. Its future need not be `Send`, because a worker of actix-web is one thread.
///
/// ```
/// use std::sync::Arc;
/// use actix_web::App;
/// use countersign::provider::ThreeQpr;
/// use countersign::actix_web::{Verified, endpoint_in_transaction};
/// use countersign::{Receiver, Secret, Webhook};
/// use countersign_sqlx::{SqliteStore, SqliteTransaction, sqlx};
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
/// # async fn example(store: SqliteStore) -> Result<(), countersign::SetupError> {
/// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?)?;
/// let receiver = Arc::new(Receiver::new(webhook, store));
/// let app = move || App::new().route("/webhooks/3qpr", endpoint_in_transaction(Arc::clone(&receiver), handle));
/// # app();
/// # Ok(()) }
/// ```
#[must_use]
pub fn endpoint_in_transaction<P, S, H, F, E>(receiver: impl Into<Arc<Receiver<P, S>>>, handler: H) -> Route
where
    P: Provider,
    S: TransactionalStore + 'static,
    H: Fn(Verified<P>, S::Transaction) -> F + Clone + 'static,
    F: Future<Output = Result<S::Transaction, E>> + 'static,
    E: Into<BoxError> + 'static,
{
    let receiver = receiver.into();
    web::post().to(move |request: HttpRequest, payload: web::Payload| {
        let (receiver, handler) = (Arc::clone(&receiver), handler.clone());
        async move {
            match verify_request(receiver.webhook(), &request, payload).await {
                Ok(delivery) => {
                    let handler = move |delivery, transaction| handler(Verified(delivery), transaction);
                    receiver.once_in_transaction(delivery, handler).await
                }
                Err(error) => Outcome::Rejected(error),
            }
        }
    })
}

/// Reads and verifies a request with this webhook. The delivery owns its body. A body of a single piece is not
/// copied.
///
/// # Errors
/// The errors of [`Webhook::verify`], [`Error::BodyTooLarge`], and [`Error::IncompleteBody`] if the sender
/// hung up.
///
/// ```
/// use actix_web::{HttpRequest, web};
/// use countersign::actix_web::verify_request;
/// use countersign::{Error, Webhook, provider::ThreeQpr};
///
/// async fn scan(
///     webhook: web::Data<Webhook<ThreeQpr>>,
///     request: HttpRequest,
///     payload: web::Payload,
/// ) -> Result<&'static str, Error> {
///     let delivery = verify_request(&webhook, &request, payload).await?;
///     println!("{:?}", delivery.event()?);
///     Ok("")
/// }
/// ```
pub async fn verify_request<P, B>(
    webhook: &Webhook<P>,
    request: &HttpRequest,
    payload: B,
) -> Result<Delivery<'static, P>, Error>
where
    P: Provider,
    B: Stream<Item = Result<Bytes, PayloadError>>,
{
    webhook.logged(read(webhook.begin_unlogged(request.headers()), payload).await)
}

/// Like [`verify_request`], if the secrets depend on the request, as with tenants. `lookup` returns the webhook to
/// verify with.
///
/// `lookup` runs once, after the request's head has passed this webhook's checks of the signature header and the
/// [limit](Webhook::with_body_limit). Requests without one well-formed signature therefore cost you no query. This
/// webhook's own secrets are not used, so use [`Secrets::reject_all`](crate::Secrets::reject_all).
///
/// The delivery's key contains its tenant, so one [`Receiver`] can handle the deliveries of all tenants. The guide to
/// [tenants](crate::guide::tenants) has the details.
///
/// Of this webhook, only the header names and the limit on an announced length are used. Set the maximum age, the
/// clock and the body limit on the webhook that `lookup` returns.
///
/// # Errors
/// The errors of [`verify_request`], and the error of `lookup`: return [`Error::secret_unavailable`] if it fails.
///
/// ```
/// use actix_web::{App, HttpRequest, web};
/// use countersign::actix_web::verify_request_with;
/// use countersign::{Error, Secrets, Webhook, provider::ThreeQpr};
/// # async fn secrets_of(tenant: &str) -> Result<Option<Secrets>, std::io::Error> { Ok(None) }
///
/// async fn scan(
///     webhook: web::Data<Webhook<ThreeQpr>>,
///     tenant: web::Path<String>,
///     request: HttpRequest,
///     payload: web::Payload,
/// ) -> Result<&'static str, Error> {
///     let lookup = async || {
///         let secrets = secrets_of(&tenant).await.map_err(Error::secret_unavailable)?;
///         // A tenant that does not exist is refused like any forged delivery.
///         let secrets = secrets.unwrap_or_else(Secrets::reject_all);
///         Ok(Webhook::new(secrets)?.with_tenant(tenant.as_str()))
///     };
///     let delivery = verify_request_with(&webhook, &request, payload, lookup).await?;
///     println!("{:?}", delivery.event()?);
///     Ok("")
/// }
///
/// // At start-up, without a secret:
/// let webhook = web::Data::new(Webhook::<ThreeQpr>::new(Secrets::reject_all())?);
/// let app = move || App::new().app_data(webhook.clone()).route("/webhooks/{tenant}/3qpr", web::post().to(scan));
/// # app();
/// # Ok::<(), countersign::SetupError>(())
/// ```
pub async fn verify_request_with<P, B>(
    webhook: &Webhook<P>,
    request: &HttpRequest,
    payload: B,
    lookup: impl AsyncFnOnce() -> Result<Webhook<P>, Error>,
) -> Result<Delivery<'static, P>, Error>
where
    P: Provider,
    B: Stream<Item = Result<Bytes, PayloadError>>,
{
    let found = match webhook.check_head(request.headers()) {
        Ok(_) => lookup().await,
        Err(error) => Err(error),
    };
    match found {
        Ok(webhook) => verify_request(&webhook, request, payload).await,
        Err(error) => webhook.logged(Err(error)),
    }
}

/// Like [`Receiver::receive`], for a request whose body was not read yet.
///
/// ```
/// use actix_web::{HttpRequest, web};
/// use countersign::actix_web::receive_request;
/// use countersign::{Delivery, MemoryStore, Outcome, Receiver, provider::ThreeQpr};
///
/// async fn scan(
///     receiver: web::Data<Receiver<ThreeQpr, MemoryStore>>,
///     request: HttpRequest,
///     payload: web::Payload,
/// ) -> Outcome {
///     receive_request(&receiver, &request, payload, async |delivery: Delivery<'_, ThreeQpr>| {
///         println!("{:?}", delivery.event()?);
///         Ok::<_, countersign::Error>(())
///     })
///     .await
/// }
/// ```
pub async fn receive_request<P, S, B, H, E>(
    receiver: &Receiver<P, S>,
    request: &HttpRequest,
    payload: B,
    handler: H,
) -> Outcome
where
    P: Provider,
    S: IdempotencyStore,
    B: Stream<Item = Result<Bytes, PayloadError>>,
    H: AsyncFnOnce(Delivery<'_, P>) -> Result<(), E>,
    E: Into<BoxError>,
{
    match verify_request(receiver.webhook(), request, payload).await {
        Ok(delivery) => receiver.handle(delivery, handler).await,
        Err(error) => Outcome::Rejected(error),
    }
}

fn webhook_of<P: Provider>(request: &HttpRequest) -> Result<&Webhook<P>, Error> {
    let missing =
        || Error::secret_unavailable(format!("the application's data has no Webhook of {}", P::NAME));
    request.app_data::<web::Data<Webhook<P>>>().map(|data| &***data).ok_or_else(missing)
}

impl Headers for HeaderMap {
    fn each_value<'h>(&'h self, name: &http::HeaderName, each: &mut dyn FnMut(&'h [u8])) {
        self.get_all(name.as_str()).map(HeaderValue::as_bytes).for_each(each);
    }
}

/// Reads a body to its end, or to the first reason to refuse it.
async fn read<P, B>(
    started: Result<PartialDelivery<P>, Error>,
    payload: B,
) -> Result<Delivery<'static, P>, Error>
where
    P: Provider,
    B: Stream<Item = Result<Bytes, PayloadError>>,
{
    let mut partial = started?;
    let mut payload = pin!(payload);
    while let Some(piece) = poll_fn(|context| payload.as_mut().poll_next(context)).await {
        match piece {
            Ok(piece) => partial.push_shared(piece)?,
            Err(PayloadError::Overflow) => return Err(partial.too_large()),
            Err(source) => return Err(Error::incomplete_body(source)),
        }
    }
    partial.finish_unlogged()
}

/// Responds with the error's status and `{"error": code}`.
impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        status(self.status())
    }

    fn error_response(&self) -> HttpResponse {
        response(self.to_response())
    }
}

/// Responds as [`Outcome::to_response`] says.
impl Responder for Outcome {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        response(self.to_response())
    }
}

/// Converts a response to actix-web's header types, which are those of an older `http`.
fn response(response: http::Response<String>) -> HttpResponse {
    let mut builder = HttpResponse::build(status(response.status().as_u16()));
    for name in [http::header::CONTENT_TYPE, http::header::RETRY_AFTER] {
        if let Some(value) = response.headers().get(&name) {
            builder.insert_header((name.as_str(), value.as_bytes()));
        }
    }
    builder.body(response.into_body())
}

fn status(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
