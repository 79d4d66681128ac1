//! What a delivery leaves in the log with the feature `tracing`; without it, nothing at all.
//!
//! Of what the sender controls, only a verified delivery's names are logged, and never its payload.

#[cfg(feature = "tracing")]
pub(crate) use on::{Rotation, rejected, span};

#[cfg(not(feature = "tracing"))]
pub(crate) use off::{Rotation, rejected, span};

#[cfg(feature = "tracing")]
mod on {
    use std::future::Future;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use tracing::{Instrument, error, info, info_span, warn};

    use crate::delivery::Delivery;
    use crate::error::Error;
    use crate::key::IdempotencyKey;
    use crate::outcome::Outcome;
    use crate::provider::Provider;
    use crate::verifier::MatchedSecret;

    /// The one event of a delivery that was not verified.
    pub(crate) fn rejected<P: Provider>(error: &Error) {
        warn!(
            provider = P::NAME,
            outcome = error.code(),
            status = error.status(),
            "delivery refused: {error}"
        );
    }

    /// The span of a verified delivery.
    pub(crate) fn span<P: Provider>(delivery: &Delivery<'_, P>, key: &IdempotencyKey) -> Span {
        let secret = delivery.secret();
        Span(info_span!(
            "delivery",
            provider = P::NAME,
            tenant = delivery.tenant(),
            event = delivery.event_name(),
            id = delivery.id(),
            key = key.as_str(),
            secret = secret.label(),
            secret_position = secret.position(),
        ))
    }

    pub(crate) struct Span(tracing::Span);

    impl Span {
        /// Works in the span, and ends with the delivery's one event.
        pub(crate) async fn observe(self, work: impl Future<Output = Outcome>) -> Outcome {
            let span = self.0.clone();
            let mut abandoned = Abandoned(Some(self.0));
            let outcome = work.instrument(span.clone()).await;
            abandoned.0 = None;
            span.in_scope(|| ended(&outcome));
            outcome
        }
    }

    /// Dropped with its span, the work was: the client has hung up, say, or the server stops.
    struct Abandoned(Option<tracing::Span>);

    impl Drop for Abandoned {
        fn drop(&mut self) {
            if let Some(span) = &self.0 {
                span.in_scope(|| warn!(outcome = "abandoned", "handler dropped before it was done"));
            }
        }
    }

    fn ended(outcome: &Outcome) {
        let (code, status) = (outcome.code(), outcome.status());
        match outcome {
            Outcome::Handled | Outcome::Duplicate => info!(outcome = code, status, "delivery acknowledged"),
            Outcome::InFlight { .. } => info!(outcome = code, status, "delivery is being handled already"),
            Outcome::LeaseLost { .. } => warn!(outcome = code, status, "handler outlasted its lease"),
            Outcome::Rejected(error) => warn!(outcome = code, status, "delivery refused: {error}"),
            // Its sources may quote the payload.
            Outcome::Failed(error) => error!(outcome = code, status, "handler failed: {error}"),
            Outcome::Unavailable(error) => {
                let causes = std::iter::successors(error.source(), |error| error.source());
                let causes: String = causes.map(|cause| format!(": {cause}")).collect();
                error!(outcome = code, status, "store failed: {error}{causes}");
            }
        }
    }

    /// Counts the deliveries that are still signed with an older secret.
    #[derive(Clone, Default)]
    pub(crate) struct Rotation(Arc<AtomicU64>);

    impl Rotation {
        /// Tells the operator that an older secret must not be dropped yet: at the 1st delivery, the
        /// 2nd, the 4th and so on, so that the log is not flooded. Each delivery's span names its secret.
        pub(crate) fn matched<P: Provider>(&self, secret: &MatchedSecret) {
            if secret.is_newest() {
                return;
            }
            let deliveries = self.0.fetch_add(1, Ordering::Relaxed) + 1;
            if deliveries.is_power_of_two() {
                warn!(
                    provider = P::NAME,
                    secret = secret.label(),
                    secret_position = secret.position(),
                    deliveries,
                    "the provider still signs with an older secret"
                );
            }
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod off {
    use std::future::Future;

    use crate::delivery::Delivery;
    use crate::error::Error;
    use crate::key::IdempotencyKey;
    use crate::outcome::Outcome;
    use crate::verifier::MatchedSecret;

    #[inline(always)]
    pub(crate) fn rejected<P>(_: &Error) {}

    pub(crate) struct Span;

    #[inline(always)]
    pub(crate) fn span<P>(_: &Delivery<'_, P>, _: &IdempotencyKey) -> Span {
        Span
    }

    impl Span {
        #[inline(always)]
        pub(crate) fn observe<F: Future<Output = Outcome>>(self, work: F) -> F {
            work
        }
    }

    #[derive(Clone, Default)]
    pub(crate) struct Rotation(());

    impl Rotation {
        #[inline(always)]
        pub(crate) fn matched<P>(&self, _: &MatchedSecret) {}
    }
}
