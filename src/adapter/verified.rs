//! The delivery that each adapter passes to your code.

use std::fmt;

use crate::provider::Provider;
use crate::webhook::Delivery;

/// A verified delivery that owns its body, as the adapters pass it to your code. It is an extractor in
/// `axum` and in `actix_web`, the body of the requests that `tower::VerifyLayer` lets through, and the
/// argument of an endpoint's handler.
///
/// Destructure it in the argument list, as in `async fn scan(Verified(delivery): Verified<ThreeQpr>)`.
///
/// **In axum**, the state is the [`Webhook<P>`], or the [`Receiver`] (in an `Arc` or not), or your own
/// type for which `Webhook<P>` implements `FromRef`. Without one of these, axum reports that the function is not a
/// `Handler`. Your own type must be `Clone` and have its `Arc`s inside, because Rust's orphan rule forbids you to
/// implement `FromRef` for an `Arc` around it. With several providers, give each route its own state:
/// `post(handler).with_state(receiver)`. axum's `DefaultBodyLimit` does not apply.
///
/// **In actix-web**, the application's data must contain the [`Webhook<P>`], as `web::Data`. For a receiver, add
/// `Data::new(receiver.webhook().clone())`. Without a webhook, every request is answered 503, because nothing
/// can be verified. actix-web's `PayloadConfig` does not apply.
///
/// In both, extract a `Result<Verified<P>, Error>` to log a refusal or to answer it differently. If the
/// secrets depend on the request, as with tenants, extract the request and call
/// `verify_request_with`, which looks them up only for a request with a well-formed signature.
///
/// ```
/// # #[cfg(feature = "axum")]
/// # fn axum() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::{Router, routing::post};
/// use countersign::{Secret, Webhook, axum::Verified, provider::ThreeQpr};
///
/// async fn scan(Verified(delivery): Verified<ThreeQpr>) -> Result<(), countersign::Error> {
///     println!("{:?}", delivery.event()?);
///     Ok(())
/// }
///
/// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?)?;
/// let app: Router = Router::new().route("/webhooks/3qpr", post(scan)).with_state(webhook);
/// # Ok(())
/// # }
/// ```
/// ```
/// # #[cfg(feature = "actix-web")]
/// # fn actix_web() -> Result<(), Box<dyn std::error::Error>> {
/// use actix_web::{App, web};
/// use countersign::{Secret, Webhook, actix_web::Verified, provider::ThreeQpr};
///
/// async fn scan(Verified(delivery): Verified<ThreeQpr>) -> Result<&'static str, countersign::Error> {
///     println!("{:?}", delivery.event()?);
///     Ok("")
/// }
///
/// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?)?;
/// let app = App::new().app_data(web::Data::new(webhook)).route("/webhooks/3qpr", web::post().to(scan));
/// # Ok(())
/// # }
/// ```
///
/// [`Webhook<P>`]: crate::Webhook
/// [`Receiver`]: crate::Receiver
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
