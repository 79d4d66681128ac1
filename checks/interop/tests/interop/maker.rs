//! Deliveries as no provider's sender makes them: each provider's form, written down once more and apart from the crate.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue};

use crate::deliveries::{event, secrets};
use crate::ours::{URL, now};
use crate::sdks::parsed;

/// A provider's form, written down once more and apart from the crate.
pub struct Form {
    pub signature: &'static str,
    pub time: Option<&'static str>,
    pub is_base64: bool,
    /// What stands before a tag, and what between two items if there may be several.
    pub before: &'static str,
    pub separator: Option<&'static str>,
    pub foreign: &'static str,
}

pub fn form(provider: &str) -> Form {
    let (signature, time, is_base64, before, separator, foreign) = match provider {
        "github" => ("x-hub-signature-256", None, false, "sha256=", None, "sha1="),
        "linear" => ("linear-signature", None, false, "", None, "v1="),
        "paddle" => ("paddle-signature", None, false, "h1=", Some(";"), "h2="),
        "shopify" => ("x-shopify-hmac-sha256", None, true, "", None, "v1="),
        "slack" => ("x-slack-signature", Some("x-slack-request-timestamp"), false, "v0=", None, "v1="),
        "square" => ("x-square-hmacsha256-signature", None, true, "", None, "v1="),
        "standard-webhooks" => {
            ("webhook-signature", Some("webhook-timestamp"), true, "v1,", Some(" "), "v1a,")
        }
        "stripe" => ("stripe-signature", None, false, "v1=", Some(","), "v0="),
        "zoom" => ("x-zm-signature", Some("x-zm-request-timestamp"), false, "v0=", None, "v1="),
        other => panic!("no form for {other}"),
    };
    Form { signature, time, is_base64, before, separator, foreign }
}

impl Form {
    /// What a signature header's items begin with, up to the tags.
    pub fn field(&self) -> &'static str {
        match self.signature {
            "stripe-signature" => "t=",
            "paddle-signature" => "ts=",
            _ => "",
        }
    }

    /// The header with this time and these items.
    pub fn header(&self, time: &str, items: &[String]) -> String {
        let separator = self.separator.unwrap_or("|");
        let time = (!self.field().is_empty()).then(|| format!("{}{time}", self.field()));
        time.into_iter().chain(items.iter().cloned()).collect::<Vec<_>>().join(separator)
    }
}

/// The tag of a body at a time that is written like this.
pub fn tag(provider: &str, secret: &str, time: &str, body: &str) -> Vec<u8> {
    let key = match provider {
        "standard-webhooks" => STANDARD.decode(secret.trim_start_matches("whsec_")).unwrap(),
        _ => secret.as_bytes().to_vec(),
    };
    let signed = match provider {
        "paddle" => format!("{time}:{body}"),
        "slack" | "zoom" => format!("v0:{time}:{body}"),
        "square" => format!("{URL}{body}"),
        "standard-webhooks" => format!("msg_1.{time}.{body}"),
        "stripe" => format!("{time}.{body}"),
        _ => body.to_owned(),
    };
    let mac = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap().chain_update(signed);
    mac.finalize().into_bytes().to_vec()
}

/// One delivery of a case.
pub struct Sent {
    pub body: String,
    pub headers: HeaderMap,
}

/// Makes the deliveries of a provider.
pub struct Maker {
    pub provider: &'static str,
    pub secret: String,
    pub form: Form,
    pub now: u64,
    pub body: String,
}

impl Maker {
    pub fn new(provider: &'static str) -> Self {
        let form = form(provider);
        let (secret, now) = (secrets(provider)[0].clone(), now());
        // A base64 tag with characters that another alphabet writes in another way.
        let body = (0..).map(|count| event(provider, &format!(r#"{{"count":{count}}}"#))).find(|body| {
            let text = STANDARD.encode(tag(provider, &secret, &now.to_string(), body));
            !form.is_base64 || text.contains('+') && text.contains('/')
        });
        Self { provider, secret, form, now, body: body.unwrap() }
    }

    pub fn text(&self, tag: &[u8]) -> String {
        if self.form.is_base64 { STANDARD.encode(tag) } else { hex::encode(tag) }
    }

    pub fn tag(&self) -> String {
        self.text(&tag(self.provider, &self.secret, &self.now.to_string(), &self.body))
    }

    /// The delivery, with a tag that is written like this.
    pub fn with_tag(&self, tag: &str) -> Option<Sent> {
        self.with_items(&[format!("{}{tag}", self.form.before)])
    }

    pub fn with_items(&self, items: &[String]) -> Option<Sent> {
        let time = self.now.to_string();
        Some(self.with(&time, &self.form.header(&time, items), self.body.clone()))
    }

    /// The delivery with other items around the right one, if there may be several.
    pub fn among(&self, before: &[String], after: &[String]) -> Option<Sent> {
        self.form.separator?;
        let right = [format!("{}{}", self.form.before, self.tag())];
        self.with_items(&[before, &right, after].concat())
    }

    /// An item with a tag that is not the right one.
    pub fn wrong(&self, version: &str) -> String {
        format!("{version}{}", self.text(&[7; 32]))
    }

    /// The delivery at a time that is written like this, signed at a time that is written like that.
    pub fn at(&self, written: &str, signed: &str) -> Option<Sent> {
        if self.form.time.is_none() && self.form.field().is_empty() {
            return None;
        }
        let tag = self.text(&tag(self.provider, &self.secret, signed, &self.body));
        let items = [format!("{}{tag}", self.form.before)];
        Some(self.with(written, &self.form.header(written, &items), self.body.clone()))
    }

    pub fn with(&self, time: &str, signature: &str, body: String) -> Sent {
        let mut headers = HeaderMap::new();
        let value = |text: &str| HeaderValue::from_str(text).unwrap();
        headers.insert(parsed(self.form.signature), value(signature));
        if let Some(name) = self.form.time {
            headers.insert(parsed(name), value(time));
        }
        if self.provider == "standard-webhooks" {
            headers.insert("webhook-id", value("msg_1"));
        }
        Sent { body, headers }
    }

    pub fn signature(&self, sent: &Sent) -> HeaderValue {
        sent.headers[self.form.signature].clone()
    }
}
