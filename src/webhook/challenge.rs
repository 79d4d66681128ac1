//! The answer to a provider that verifies an endpoint.

use serde_json::Value;

use crate::mac::{MatchedSecret, hex_digits};
use crate::provider::{Answer, Challenge, Provider};
use crate::webhook::Webhook;

/// The greatest length of a token that is answered, in bytes.
const MAX_TOKEN_LEN: usize = 128;

impl<P: Provider> Webhook<P> {
    /// What answers this body, if it is the provider's verification of the endpoint. Its signature has matched.
    pub(super) fn challenge_response(&self, body: &[u8], matched: &MatchedSecret) -> Option<String> {
        let challenge = P::CHALLENGE?;
        let token = token(&challenge, body)?;
        Some(match challenge.answer {
            Answer::Echo => format!(r#"{{"challenge":"{token}"}}"#),
            // The MAC of a token could be the signature of an opaque body that is the token.
            Answer::Mac if self.provider().envelope().is_opaque => return None,
            Answer::Mac => {
                // With the secret that the provider signed with, which may be the older one during a rotation.
                let tag = self.keys.sign_with(matched.position(), &[token.as_bytes()])?;
                let mac: String = hex_digits(tag.bytes(self.plan.reader.algorithm().tag_len())).collect();
                format!(r#"{{"plainToken":"{token}","encryptedToken":"{mac}"}}"#)
            }
        })
    }
}

fn token(challenge: &Challenge, body: &[u8]) -> Option<String> {
    let (member, value) = challenge.mark;
    // Nearly every delivery is an event, which need not be parsed for this. (A value may be written with escapes.)
    if memchr::memmem::find(body, value.as_bytes()).is_none() && !body.contains(&b'\\') {
        return None;
    }
    let body: Value = serde_json::from_slice(body).ok()?;
    if body.get(member)?.as_str()? != value {
        return None;
    }
    let token = challenge.token.iter().try_fold(&body, |value, member| value.get(member))?.as_str()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_token = (1..=MAX_TOKEN_LEN).contains(&token.len()) && token.bytes().all(is_plain);
    is_token.then(|| token.to_owned())
}
