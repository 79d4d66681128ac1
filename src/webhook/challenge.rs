//! The answer to a provider that verifies an endpoint.

use serde_json::Value;

use crate::mac::hex_digits;
use crate::provider::{Answer, Challenge, Provider};
use crate::webhook::{Delivery, Webhook};

/// The greatest length of a token that is answered, in bytes.
const MAX_TOKEN_LEN: usize = 128;

impl<P: Provider> Webhook<P> {
    /// Returns the body to answer with, as JSON, if the delivery is the provider's verification of the endpoint: Slack's
    /// `url_verification` and Zoom's `endpoint.url_validation`. For every other delivery, it returns `None`.
    ///
    /// A [`Receiver`](crate::Receiver) and the adapters' endpoints do this themselves
    /// ([`Outcome::Challenge`](crate::Outcome::Challenge)). Without them, answer with status 200, and handle nothing.
    ///
    /// It takes a delivery, so nothing is answered before its signature has matched. A token is answered only if it is 1
    /// to 128 letters, digits, `-` and `_`. Everything that a provider signs contains other characters, so that the MAC
    /// of a token is never the signature of a delivery. (A provider of your own with opaque bodies gets no MAC.) Pass the
    /// delivery to the webhook that has verified it.
    ///
    /// ```
    /// use countersign::{Secret, Webhook, provider::Slack};
    ///
    /// let webhook = Webhook::<Slack>::new(Secret::new("8f742231b10e8888abcd99yyyzzz85a5")?)?;
    /// let body = br#"{"token":"t","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY","type":"url_verification"}"#;
    /// let delivery = webhook.verify(&webhook.signed_headers(body), body)?;
    /// let answer = webhook.challenge_response(&delivery);
    /// assert_eq!(answer.as_deref(), Some(r#"{"challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY"}"#));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn challenge_response(&self, delivery: &Delivery<'_, P>) -> Option<String> {
        let challenge = P::CHALLENGE?;
        let token = token(&challenge, delivery.body())?;
        Some(match challenge.answer {
            Answer::Echo => format!(r#"{{"challenge":"{token}"}}"#),
            // The MAC of a token could be the signature of an opaque body that is the token.
            Answer::Mac if self.provider().envelope().is_opaque => return None,
            Answer::Mac => {
                // With the secret that the provider signed with, which may be the older one during a rotation.
                let position = delivery.matched_secret().position();
                let tag = self.keys.sign_with(position, &[token.as_bytes()])?;
                let mac: String = hex_digits(tag.bytes(self.plan.reader.algorithm().tag_len())).collect();
                format!(r#"{{"plainToken":"{token}","encryptedToken":"{mac}"}}"#)
            }
        })
    }
}

fn token(challenge: &Challenge, body: &[u8]) -> Option<String> {
    let (member, value) = challenge.mark;
    // Nearly every delivery is an event, which need not be parsed for this.
    memchr::memmem::find(body, value.as_bytes())?;
    let body: Value = serde_json::from_slice(body).ok()?;
    if body.get(member)?.as_str()? != value {
        return None;
    }
    let token = challenge.token.iter().try_fold(&body, |value, member| value.get(member))?.as_str()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_token = (1..=MAX_TOKEN_LEN).contains(&token.len()) && token.bytes().all(is_plain);
    is_token.then(|| token.to_owned())
}
