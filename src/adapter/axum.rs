//! For axum 0.8: an extractor, and responses.
//!
//! [`Verified`] takes a delivery from a request; [`Error`] and [`Outcome`] are responses with their
//! status and the body `{"error": code}`, and no detail beyond. A whole endpoint in one piece is
//! [`Endpoint`], which axum routes to with `post_service`.

use std::sync::Arc;

use axum_core::extract::{FromRef, FromRequest, Request};
use axum_core::response::{IntoResponse, Response};

use crate::error::Error;
use crate::provider::Provider;
use crate::receiver::Outcome;
use crate::receiver::Receiver;
use crate::webhook::Webhook;

pub use crate::adapter::verified::Verified;
pub use crate::tower::Endpoint;

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
