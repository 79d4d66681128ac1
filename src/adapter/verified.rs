//! What every adapter hands on.

use std::fmt;

use crate::provider::Provider;
use crate::webhook::Delivery;

/// A verified delivery that owns its body, as the adapters hand it to your code: an extractor in
/// `axum` and in `actix_web`, the body of the requests that `tower::VerifyLayer` lets pass, and the
/// argument of an endpoint's handler.
///
/// Take it apart where it comes in, as in `async fn scan(Verified(delivery): Verified<ThreeQpr>)`.
///
/// **In axum**, the state is the [`Webhook<P>`], or the [`Receiver`] (in an `Arc` or not), or a type of
/// yours for which `Webhook<P>` is `FromRef`; without that, axum says that the handler is none. Such a type
/// is `Clone` and has its `Arc`s inside: Rust lets no crate but ours implement it for an `Arc` around it. With
/// several providers, give each route its own state: `post(handler).with_state(receiver)`. axum's
/// `DefaultBodyLimit` does not apply.
///
/// **In actix-web**, it needs the [`Webhook<P>`] in the application's data, as `web::Data`; for a
/// receiver, `Data::new(receiver.webhook().clone())` beside it. Without one it answers 503, since nothing
/// can be verified. actix-web's `PayloadConfig` does not apply.
///
/// In both, to log a refusal or to answer it otherwise, extract a `Result<Verified<P>, Error>`. Where the
/// secret depends on the request, as with tenants, take the request instead, and call `verify_request`
/// with the webhook that you have found.
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
/// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?);
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
/// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?);
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
