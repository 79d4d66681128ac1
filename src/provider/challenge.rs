//! A provider's test that an endpoint holds the secret, as data.

/// How a provider verifies an endpoint: it sends a token in a signed delivery, and the response must answer it.
/// [`Delivery::challenge_response`](crate::Delivery::challenge_response) is the answer.
#[derive(Debug, Clone, Copy)]
pub struct Challenge {
    /// The member that tells such a delivery from an event, and its value.
    pub(crate) mark: (&'static str, &'static str),
    /// The path of the token.
    pub(crate) token: &'static [&'static str],
    pub(crate) answer: Answer,
}

/// What answers a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// `{"challenge":token}`.
    Echo,
    /// `{"plainToken":token,"encryptedToken":…}`, with the hex MAC of the token.
    Mac,
}

impl Challenge {
    /// The token is returned. `mark` is the member that tells such a delivery from an event, with its value, and `token`
    /// is the path of the token.
    #[must_use]
    pub const fn echo(mark: (&'static str, &'static str), token: &'static [&'static str]) -> Self {
        Self { mark, token, answer: Answer::Echo }
    }

    /// The token is returned with its MAC, in hex.
    #[must_use]
    pub const fn mac(mark: (&'static str, &'static str), token: &'static [&'static str]) -> Self {
        Self { mark, token, answer: Answer::Mac }
    }
}
