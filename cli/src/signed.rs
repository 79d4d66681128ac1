//! Signs a delivery as its provider does.

use std::time::SystemTime;

use bytes::Bytes;
use clap::Args;
use countersign::http::{HeaderMap, HeaderName, HeaderValue, header};
use countersign::{Secrets, SigningOptions};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::failure::Failure;
use crate::json;
use crate::provider::{Kind, NamePlace, Notification, Provider, Settings, Sign};
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
    /// Sign with this time (RFC 3339) instead of now, if the provider signs a time
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<SystemTime>,
    /// The value of the signed header with the id, if the provider has one
    #[arg(long, value_name = "ID", value_parser = header_value)]
    id: Option<String>,
    #[command(flatten)]
    notification: Notification,
}

fn time(text: &str) -> Result<SystemTime, String> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map(SystemTime::from)
        .map_err(|error| format!("not an RFC 3339 time: {error}"))
}

fn header_value(text: &str) -> Result<String, String> {
    let is_value = !text.is_empty() && HeaderValue::from_str(text).is_ok();
    is_value.then(|| text.to_owned()).ok_or_else(|| "not a valid header value".to_owned())
}

/// Signs as one provider, with one secret.
pub(crate) struct Signer {
    pub(crate) provider: Provider,
    /// The notification URL that is signed, if one is.
    pub(crate) url: Option<String>,
    kind: Box<dyn Kind>,
    sign: Box<dyn Sign>,
    options: SigningOptions,
    /// The name that the signature header gets.
    pub(crate) signature_header: HeaderName,
}

impl Signer {
    pub(crate) fn new(
        provider: &Provider,
        keyring: &Keyring,
        arguments: &SigningArgs,
        event: Option<&str>,
        url: Option<&str>,
    ) -> Result<Self, Failure> {
        let settings = Settings {
            signature_header: None,
            notification: arguments.notification.with(url, || keyring.notification_url()),
        };
        let kind = provider.kind(&settings)?;
        let secret =
            if arguments.previous_secret { keyring.previous(provider)? } else { keyring.newest(provider)? };
        let sign = signer(&*kind, secret.into())?;
        let mut options = SigningOptions::new();
        if let Some(time) = arguments.at {
            options = options.with_time(time);
        }
        if let Some(id) = &arguments.id {
            options = options.with_id(id);
        }
        if provider.is_named_by_header() {
            options = options.with_event(event.unwrap_or_else(|| provider.default_event()));
        }
        let signature_header =
            arguments.signature_header.clone().unwrap_or_else(|| sign.signature_header().clone());
        let url = settings.notification.url_of(provider);
        Ok(Self { provider: provider.clone(), url, kind, sign, options, signature_header })
    }

    /// Signs a body.
    pub(crate) fn sign(&self, body: Vec<u8>) -> Result<Request, Failure> {
        if let NamePlace::Both(..) = self.provider.members().name {
            let event = event_of(&body)?;
            HeaderValue::from_bytes(event.as_bytes())
                .map_err(|_| Failure::usage("the body's `event` is not valid in a header"))?;
        }
        Ok(self.sign_with(&*self.sign, &self.options, body))
    }

    /// Signs a body at another time than now.
    pub(crate) fn sign_at(&self, time: SystemTime, body: Vec<u8>) -> Request {
        self.sign_with(&*self.sign, &self.options.clone().with_time(time), body)
    }

    /// Signs a body, whatever it is, with another secret.
    pub(crate) fn sign_by(&self, secrets: Secrets, body: Vec<u8>) -> Result<Request, Failure> {
        Ok(self.sign_with(&*signer(&*self.kind, secrets)?, &self.options, body))
    }

    /// Signs a body, whatever it is.
    pub(crate) fn sign_anything(&self, body: Vec<u8>) -> Request {
        self.sign_with(&*self.sign, &self.options, body)
    }

    /// Signs a captured delivery anew. Its id and the event that a header names stay.
    pub(crate) fn resign(&self, captured: &Request) -> Request {
        const MARK: &str = "countersign-looks-for-the-id";
        let body = captured.body.to_vec();
        let marked = self.sign_with(&*self.sign, &self.options.clone().with_id(MARK), body.clone());
        let value_of = |name: &HeaderName| {
            let (_, value) = captured.headers.iter().find(|(present, _)| present == name)?;
            value.to_str().ok()
        };
        let id = marked.headers.iter().find(|(_, value)| value == MARK).and_then(|(name, _)| value_of(name));
        let mut options = self.options.clone();
        if let Some(id) = id {
            options = options.with_id(id);
        }
        let event = self.provider.event_header();
        if let Some(event) = event.and_then(value_of) {
            options = options.with_event(event);
        }
        let mut signed = self.sign_with(&*self.sign, &options, body);
        // What did not come is not made up.
        signed.headers.retain(|(name, _)| {
            name != header::CONTENT_TYPE && (Some(name) != event || value_of(name).is_some())
        });
        with_others(signed, captured)
    }

    /// Signs another body, and keeps the headers that the signature does not make.
    pub(crate) fn sign_like(&self, request: &Request, body: Vec<u8>) -> Request {
        with_others(self.sign_anything(body), request)
    }

    fn sign_with(&self, sign: &dyn Sign, options: &SigningOptions, body: Vec<u8>) -> Request {
        let mut headers = in_order(&sign.headers(&body, options));
        for (name, _) in &mut headers {
            if name == sign.signature_header() {
                name.clone_from(&self.signature_header);
            }
        }
        Request { headers, body: body.into() }
    }
}

/// Adds the headers that only the other request has.
fn with_others(mut signed: Request, other: &Request) -> Request {
    let lacks = |(name, _): &&(HeaderName, HeaderValue)| !signed.headers.iter().any(|(own, _)| own == name);
    let others: Vec<_> = other.headers.iter().filter(lacks).cloned().collect();
    signed.headers.extend(others);
    signed
}

fn signer(kind: &dyn Kind, secrets: Secrets) -> Result<Box<dyn Sign>, Failure> {
    kind.signer(secrets).map_err(|error| Failure::usage(error.to_string()))
}

/// The headers with the content type, in alphabetical order.
pub(crate) fn in_order(headers: &HeaderMap) -> HeaderList {
    let mut list: HeaderList = headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    list.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
    list.insert(0, (header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
    list
}

/// The event that a body names in its member `event`.
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
