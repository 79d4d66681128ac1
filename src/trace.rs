//! What a delivery leaves in the log with the feature `tracing`; without it, nothing at all.
//!
//! Nothing of a payload: of what the sender controls, the log has a verified delivery's names, and those
//! only where they are short and plain. An error's sources, and a handler's error, may quote the payload.

#[cfg(feature = "tracing")]
pub(crate) use on::{Span, cause, refused, verified};

#[cfg(not(feature = "tracing"))]
pub(crate) use off::{Span, cause, refused, verified};

/// What the log says of a verified delivery.
#[cfg_attr(not(feature = "tracing"), allow(dead_code, reason = "there is no log"))]
pub(crate) struct Named<'a> {
    pub(crate) provider: &'static str,
    pub(crate) tenant: Option<&'a str>,
    pub(crate) event: &'a str,
    pub(crate) id: Option<&'a str>,
    pub(crate) secret: Option<&'a str>,
    pub(crate) secret_position: usize,
}

/// How a delivery ended.
#[cfg_attr(not(feature = "tracing"), allow(dead_code, reason = "there is no log"))]
pub(crate) struct Ended {
    pub(crate) severity: Severity,
    pub(crate) code: &'static str,
    pub(crate) status: u16,
}

pub(crate) enum Severity {
    Info,
    Warn,
    Error,
}

#[cfg(feature = "tracing")]
mod on {
    use std::error::Error;
    use std::future::Future;

    use tracing::field::Empty;
    use tracing::{Instrument, debug, error, info, info_span, warn};

    use super::{Ended, Named, Severity};
    use crate::store::is_short_and_plain;

    fn plain(text: Option<&str>) -> Option<&str> {
        text.filter(|text| is_short_and_plain(text))
    }

    fn causes(error: &(dyn Error + 'static)) -> String {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    }

    /// The one event of a delivery that was not verified. The causes are those of a broken connection or of a lookup of
    /// secrets; those of a signed body may quote it.
    pub(crate) fn refused(provider: &str, tenant: Option<&str>, error: &crate::error::Error) {
        use crate::error::Error::{IncompleteBody, SecretUnavailable};

        let (outcome, status, tenant) = (error.code(), error.status(), plain(tenant));
        if matches!(error, IncompleteBody { .. } | SecretUnavailable { .. }) {
            warn!(provider, tenant, outcome, status, "delivery refused: {}", causes(error));
        } else {
            warn!(provider, tenant, outcome, status, "delivery refused: {error}");
        }
    }

    /// That a delivery was verified, and a warning where an older secret must not be dropped yet.
    pub(crate) fn verified(delivery: &Named<'_>) {
        let &Named { provider, secret, secret_position, .. } = delivery;
        let tenant = plain(delivery.tenant);
        if secret_position == 0 {
            debug!(provider, tenant, secret, secret_position, "delivery verified");
        } else {
            let message = "the provider still signs with an older secret";
            warn!(provider, tenant, secret, secret_position, "{message}");
        }
    }

    /// Says in the delivery's span why the store failed, which knows nothing of it but the key.
    pub(crate) fn cause(error: &(dyn Error + 'static)) {
        tracing::Span::current().record("cause", causes(error));
    }

    /// The span of a verified delivery.
    pub(crate) struct Span(tracing::Span);

    impl Span {
        pub(crate) fn new(delivery: &Named<'_>, key: &str) -> Self {
            Self(info_span!(
                "delivery",
                provider = delivery.provider,
                tenant = plain(delivery.tenant),
                event = plain(Some(delivery.event)),
                id = plain(delivery.id),
                key,
                secret = delivery.secret,
                secret_position = delivery.secret_position,
                cause = Empty,
            ))
        }

        /// Works in the span, and ends with the delivery's one event.
        pub(crate) async fn observe<T>(self, work: impl Future<Output = T>, ended: fn(&T) -> Ended) -> T {
            let span = self.0.clone();
            let mut abandoned = Abandoned(Some(self.0));
            let result = work.instrument(span.clone()).await;
            abandoned.0 = None;
            let Ended { severity, code, status } = ended(&result);
            span.in_scope(|| match severity {
                Severity::Info => info!(outcome = code, status, "delivery done"),
                Severity::Warn => warn!(outcome = code, status, "delivery done"),
                Severity::Error => error!(outcome = code, status, "delivery failed"),
            });
            result
        }
    }

    /// Dropped with its span, the work was: the client has hung up, say, or the server stops.
    struct Abandoned(Option<tracing::Span>);

    impl Drop for Abandoned {
        fn drop(&mut self) {
            if let Some(span) = &self.0 {
                span.in_scope(|| warn!(outcome = "abandoned", "delivery dropped before it was done"));
            }
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod off {
    use std::error::Error;
    use std::future::Future;

    use super::{Ended, Named};

    #[inline(always)]
    pub(crate) fn refused(_: &str, _: Option<&str>, _: &crate::error::Error) {}

    #[inline(always)]
    pub(crate) fn verified(_: &Named<'_>) {}

    #[inline(always)]
    pub(crate) fn cause(_: &(dyn Error + 'static)) {}

    pub(crate) struct Span;

    impl Span {
        #[inline(always)]
        pub(crate) fn new(_: &Named<'_>, _: &str) -> Self {
            Self
        }

        #[inline(always)]
        pub(crate) fn observe<T, F: Future<Output = T>>(self, work: F, _: fn(&T) -> Ended) -> F {
            work
        }
    }
}
