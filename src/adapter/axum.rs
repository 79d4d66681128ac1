//! For axum 0.8: an extractor, and responses.
//!
//! [`Verified`] takes a delivery from a request; [`Error`] and [`Outcome`] are responses with their
//! status and the body `{"error": code}`, and no detail beyond. A whole endpoint in one piece is
//! [`tower::Endpoint`](crate::tower::Endpoint), which axum routes to with `post_service`.

use std::fmt;
use std::sync::Arc;

use axum_core::extract::{FromRef, FromRequest, Request};
use axum_core::response::{IntoResponse, Response};

use crate::delivery::Delivery;
use crate::error::Error;
use crate::outcome::Outcome;
use crate::provider::Provider;
use crate::receiver::Receiver;
use crate::webhook::Webhook;

/// An axum extractor of a verified delivery. The state is the [`Webhook<P>`], or the [`Receiver`] (in
/// an `Arc` or not), or a type of yours for which `Webhook<P>` is [`FromRef`]; without that, axum
/// says that the handler is none.
///
/// The body is read and verified as [`tower`](crate::tower) does it, within the webhook's limit;
/// axum's `DefaultBodyLimit` does not apply. With several providers, give each route its own state:
/// `post(handler).with_state(receiver)`. To log a refusal, or to answer it otherwise, extract a
/// `Result<Verified<P>, Error>`.
///
/// Where the secret depends on the request, as with tenants, take the request instead of this, and
/// call [`Webhook::verify_request`] with the webhook that you have found.
///
/// ```
/// use axum::{Router, routing::post};
/// use countersign::{Secret, Webhook, axum::Verified, provider::ThreeQpr};
///
/// async fn scan(Verified(delivery): Verified<ThreeQpr>) -> Result<(), countersign::Error> {
///     println!("{:?}", delivery.event()?);
///     Ok(())
/// }
///
/// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?);
/// let app: Router = Router::new().route("/webhooks/3qpr", post(scan)).with_state(webhook);
/// # Ok::<(), countersign::SecretError>(())
/// ```
pub struct Verified<P>(pub Delivery<'static, P>);

impl<P> Clone for Verified<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P: Provider> fmt::Debug for Verified<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Verified").field(&self.0).finish()
    }
}

impl<P, S> FromRequest<S> for Verified<P>
where
    P: Provider,
    S: Send + Sync,
    Webhook<P>: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        Webhook::from_ref(state).verify_request(request).await.map(Self)
    }
}

/// A receiver as the state brings its webhook.
impl<P: Provider, S> FromRef<Receiver<P, S>> for Webhook<P> {
    fn from_ref(receiver: &Receiver<P, S>) -> Self {
        receiver.webhook().clone()
    }
}

/// A shared receiver as the state brings its webhook.
impl<P: Provider, S> FromRef<Arc<Receiver<P, S>>> for Webhook<P> {
    fn from_ref(receiver: &Arc<Receiver<P, S>>) -> Self {
        receiver.webhook().clone()
    }
}

/// The error's status, and `{"error": code}`.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        self.to_response()
    }
}

/// The outcome's status, with Retry-After where it has one; an empty body for a delivery that is
/// acknowledged, and `{"error": code}` for any other.
impl IntoResponse for Outcome {
    fn into_response(self) -> Response {
        self.to_response()
    }
}
