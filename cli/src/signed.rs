//! Signs a delivery as its provider does.

use bytes::Bytes;
use clap::Args;
use countersign::http::{HeaderName, HeaderValue, header};
use countersign::{Secret, Signature};
use serde::Deserialize;

use crate::failure::Failure;
use crate::json;
use crate::provider::ProviderName;
use crate::secrets::Keyring;

/// Headers in the order in which they are sent. A name may occur more than once.
pub(crate) type HeaderList = Vec<(HeaderName, HeaderValue)>;

/// A request to a receiver.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) headers: HeaderList,
    /// Cheap to clone for each sending.
    pub(crate) body: Bytes,
}

#[derive(Args, Debug)]
pub(crate) struct SigningArgs {
    /// Sign with the secret in …_PREVIOUS, as a provider may during a rotation
    #[arg(long)]
    previous_secret: bool,
    /// The signature header, if it is not the provider's own
    #[arg(long, value_name = "NAME")]
    signature_header: Option<HeaderName>,
}

/// Signs as one provider, with one secret.
pub(crate) struct Signer {
    pub(crate) provider: ProviderName,
    pub(crate) secret: Secret,
    pub(crate) signature_header: HeaderName,
}

impl Signer {
    pub(crate) fn new(
        provider: ProviderName,
        keyring: &Keyring,
        arguments: &SigningArgs,
    ) -> Result<Self, Failure> {
        let secret =
            if arguments.previous_secret { keyring.previous(provider)? } else { keyring.newest(provider)? };
        let signature_header =
            arguments.signature_header.clone().unwrap_or_else(|| provider.signature_header());
        Ok(Self { provider, secret, signature_header })
    }

    /// Signs a body. The event header, if the provider has one, repeats the body's event.
    pub(crate) fn sign(&self, body: Vec<u8>) -> Result<Request, Failure> {
        let event = match self.provider.event_header() {
            Some(name) => Some((name, event_of(&body)?)),
            None => None,
        };
        let mut headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        if let Some((name, event)) = event {
            let value = HeaderValue::from_bytes(event.as_bytes());
            let value = value.map_err(|_| Failure::usage("the body's `event` is not valid in a header"))?;
            headers.push((name, value));
        }
        headers.push((self.signature_header.clone(), signature(&self.secret, &body)));
        Ok(Request { headers, body: body.into() })
    }
}

/// The value of a signature header.
pub(crate) fn signature(secret: &Secret, body: &[u8]) -> HeaderValue {
    let text = Signature::sign(secret, body).to_string();
    HeaderValue::from_str(&text).expect("a signature is ASCII")
}

/// The event that a body names.
pub(crate) fn event_of(body: &[u8]) -> Result<String, Failure> {
    #[derive(Deserialize)]
    struct Named {
        event: String,
    }
    json::object(body).map(|Named { event }| event).map_err(|error| {
        Failure::usage(format!(
            "the body names no event: {error}\n  Give a JSON object with a string `event`, such as {{\"event\":\"quote.completed\",\"data\":{{}}}}.",
        ))
    })
}
