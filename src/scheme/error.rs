//! Why a scheme or an envelope makes no sense.

use std::fmt;

/// Why a provider's [`Scheme`](crate::Scheme) or [`Envelope`](crate::Envelope) makes no sense.
///
/// The compiler reports it for the constants of a [`Provider`](crate::Provider). For a provider that is made at run
/// time, [`Webhook::for_provider`](crate::Webhook::for_provider) returns it.
///
/// ```
/// use countersign::{Scheme, TimeUnit};
///
/// let scheme = Scheme::new("x-signature").with_template("{timestamp}{header:x-id}{body}");
/// let scheme = scheme.with_time_header("x-time", TimeUnit::Seconds).with_opaque_body();
/// let error = scheme.check().unwrap_err();
/// assert_eq!(error.part(), "signed");
/// assert_eq!(error.to_string(), "`signed`: a header's value stands beside the body, and no literal separates them");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemeError {
    part: &'static str,
    problem: &'static str,
}

impl SchemeError {
    pub(crate) const fn new(part: &'static str, problem: &'static str) -> Self {
        Self { part, problem }
    }

    /// The part that is wrong, by the name of its member in a provider's JSON form, such as `signed` or
    /// `signature.header`.
    #[must_use]
    pub const fn part(&self) -> &'static str {
        self.part
    }

    /// What is wrong with it.
    pub(crate) const fn problem(&self) -> &'static str {
        self.problem
    }
}

impl fmt::Display for SchemeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.part, self.problem)
    }
}

impl std::error::Error for SchemeError {}
