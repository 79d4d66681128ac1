//! The log of a delivery. It needs the feature `tracing`.
//!
//! The log contains nothing of a payload. It contains a verified delivery's names, if they are short and plain. It
//! leaves out the sources of most errors and a handler's error, because they may quote the payload.

#[cfg(feature = "tracing")]
pub(crate) use on::{Span, cause, refused, verified};

#[cfg(not(feature = "tracing"))]
pub(crate) use off::{Span, cause, refused, verified};

/// What the log says about a verified delivery.
#[cfg_attr(not(feature = "tracing"), allow(dead_code, reason = "there is no log"))]
pub(crate) struct Named<'a> {
    pub(crate) provider: &'a str,
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

    /// Logs the one event of a delivery that was not verified. It adds the causes of a broken connection and of a
    /// failed lookup of secrets. The causes of other errors may quote a signed body.
    pub(crate) fn refused(provider: &str, tenant: Option<&str>, error: &crate::error::Error) {
        use crate::error::Error::{IncompleteBody, SecretUnavailable};

        let (outcome, status, tenant) = (error.code(), error.status(), plain(tenant));
        if matches!(error, IncompleteBody { .. } | SecretUnavailable { .. }) {
            warn!(provider, tenant, outcome, status, "delivery refused: {}", causes(error));
        } else {
            warn!(provider, tenant, outcome, status, "delivery refused: {error}");
        }
    }

    /// Logs that a delivery was verified, as a warning if it matched an older secret.
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

    /// Records in the delivery's span why the store failed. The store knows only the key, so its error
    /// cannot quote the payload, unless a deferred constraint of the user's own table does so at the commit.
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

        /// Runs the work in the span, and logs the delivery's one event at its end.
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

    /// Logs that the work was dropped before its end, for example because the client hung up.
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
