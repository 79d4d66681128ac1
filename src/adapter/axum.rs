//! For axum 0.8: an extractor, and responses.
//!
//! [`Verified`] extracts a delivery from a request. [`Error`] and [`Outcome`] are responses with their
//! status and the body of [`Outcome::to_response`]. [`Endpoint`] is a whole endpoint, for
//! `post_service`.

use std::sync::Arc;

use axum_core::extract::{FromRef, FromRequest, Request};
use axum_core::response::{IntoResponse, Response};

use crate::error::Error;
use crate::provider::Provider;
use crate::receiver::Outcome;
use crate::receiver::Receiver;
use crate::webhook::Webhook;

pub use crate::adapter::verified::Verified;
pub use crate::tower::{Endpoint, InTransaction};

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

/// Extracts the webhook from a receiver, for a state that is one.
impl<P: Provider, S> FromRef<Receiver<P, S>> for Webhook<P> {
    fn from_ref(receiver: &Receiver<P, S>) -> Self {
        receiver.webhook().clone()
    }
}

/// Extracts the webhook from a shared receiver, for a state that is one.
impl<P: Provider, S> FromRef<Arc<Receiver<P, S>>> for Webhook<P> {
    fn from_ref(receiver: &Arc<Receiver<P, S>>) -> Self {
        receiver.webhook().clone()
    }
}

/// Responds with the error's status and `{"error": code}`.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        self.to_response()
    }
}

/// Responds as [`Outcome::to_response`] says.
impl IntoResponse for Outcome {
    fn into_response(self) -> Response {
        self.to_response()
    }
}
