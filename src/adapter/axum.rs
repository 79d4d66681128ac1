//! For axum 0.8: an extractor, and responses.
//!
//! [`Verified`] takes a delivery from a request; [`Error`] and [`Outcome`] are responses with their
//! status and the body `{"error": code}`, and no detail beyond.

use std::fmt;
use std::sync::Arc;

use axum_core::body::Body;
use axum_core::extract::{FromRef, FromRequest, Request};
use axum_core::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::delivery::Delivery;
use crate::error::Error;
use crate::provider::Provider;
use crate::receiver::{Outcome, Receiver};
use crate::webhook::Webhook;

/// An axum extractor of a verified delivery. The state is the [`Webhook<P>`], or the [`Receiver`] (in
/// an `Arc` or not), or a type of yours for which `Webhook<P>` is [`FromRef`]; without that, axum
/// says that the handler is none.
///
/// Before any of the body is read, a request without one well-formed signature is refused, and one
/// whose Content-Length is over the webhook's limit. A body without that header is read up to the
/// limit and no further. axum's `DefaultBodyLimit` does not apply.
///
/// With several providers, give each route its own state: `post(handler).with_state(receiver)`. To
/// log a refusal, or to answer it otherwise, extract a `Result<Verified<P>, Error>`.
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
        let webhook = Webhook::from_ref(state);
        let (head, body) = request.into_parts();
        webhook.check_headers(&head.headers)?;
        let body = collect(&head.headers, body, webhook.body_limit()).await?;
        webhook.verify_shared(&head.headers, body).map(Self)
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

/// The whole body, unless it is longer than `limit`.
async fn collect(headers: &HeaderMap, body: Body, limit: usize) -> Result<bytes::Bytes, Error> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(Error::BodyTooLarge { limit });
    }
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if is_over_limit(&*error) => Err(Error::BodyTooLarge { limit }),
        Err(source) => Err(Error::IncompleteBody { source }),
    }
}

/// Whether a limit was passed: this one, or a layer's around it.
fn is_over_limit(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<LengthLimitError>() || error.source().is_some_and(is_over_limit)
}

/// The error's status, and `{"error": code}`.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        response(self.status(), Some(self.code()))
    }
}

/// The outcome's status, with Retry-After where it has one; an empty body for a delivery that is
/// acknowledged, and `{"error": code}` for any other.
impl IntoResponse for Outcome {
    fn into_response(self) -> Response {
        let code = (!self.is_acknowledged()).then(|| self.code());
        let mut response = response(self.status(), code);
        if let Some(seconds) = self.retry_after() {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

fn response(status: u16, code: Option<&str>) -> Response {
    // A code is letters and underscores: nothing in it needs an escape.
    let body = code.map_or_else(Body::empty, |code| Body::from(format!(r#"{{"error":"{code}"}}"#)));
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if code.is_some() {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response
}
