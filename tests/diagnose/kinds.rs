//! The schemes that the diagnosis is tried with, written down once more, and deliveries signed by them without this
//! crate.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use countersign::diagnose::{Diagnoser, Diagnosis};
use countersign::provider::{
    DeclaredProvider, GitHub, Linear, Paddle, Shopify, Slack, Square, StandardWebhooks, Stripe, Zoom,
};
use countersign::{Provider, Secret};
use hmac::{Hmac, KeyInit, Mac};

/// The time of every delivery, as its scheme writes it, and in seconds.
pub(crate) const SECONDS: u64 = 1_614_265_330;
const BASE64: &str = "whsec_NjNiMzIxYWQ5MGM4NDVlM2JhZTk3Mzg4YTI4ZjM3ZWM=";
const HEX: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
pub(crate) const BODY: &str =
    r#"{"event":"a","type":"b","event_type":"c","id":"evt_1","event_id":"evt_1","data":{"price":12}}"#;

/// Stripe's scheme in two signature headers.
pub(crate) const TWO_HEADERS: &str = r#"{"name":"a","signed":"{timestamp}.{body}",
    "signature":{"header":["x-one","x-two"],"separator":",","field":"v1"},
    "timestamp":{"field":"t","tolerance_s":300}}"#;

pub(crate) type Headers = Vec<(String, String)>;

/// A scheme as its provider documents it.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    diagnose: fn(&Sent, &Headers) -> Diagnosis,
    pub(crate) header: &'static str,
    pub(crate) time: Time,
    pub(crate) template: &'static str,
    pub(crate) label: &'static str,
    /// What separates items, if there may be several.
    pub(crate) separator: Option<char>,
    pub(crate) spelling: Spelling,
    pub(crate) hash: Hash,
    pub(crate) secret: &'static str,
    pub(crate) key: fn(&str) -> Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Time {
    None,
    Header(&'static str),
    Field(&'static str),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hash {
    Sha1,
    Sha256,
    Sha512,
    /// SHA-256, without the key.
    Plain,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Spelling {
    Hex,
    Upper,
    Base64,
    Url,
    UrlBare,
}

/// A delivery and the secret that its receiver has. Each part can be spoiled.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) secret: String,
    pub(crate) others: Vec<(String, String)>,
    pub(crate) key: Vec<u8>,
    pub(crate) hash: Hash,
    pub(crate) template: String,
    pub(crate) signed_body: Vec<u8>,
    pub(crate) signed_time: String,
    pub(crate) time: String,
    pub(crate) spelling: Spelling,
    pub(crate) label: String,
    pub(crate) now: u64,
    pub(crate) body: Vec<u8>,
    /// The tag, if it is not to be that of the message.
    pub(crate) tag: Option<Vec<u8>>,
}

pub(crate) fn spelled(tag: &[u8], spelling: Spelling) -> String {
    match spelling {
        Spelling::Hex => hex::encode(tag),
        Spelling::Upper => hex::encode_upper(tag),
        Spelling::Base64 => STANDARD.encode(tag),
        Spelling::Url => URL_SAFE.encode(tag),
        Spelling::UrlBare => URL_SAFE_NO_PAD.encode(tag),
    }
}

fn mac(hash: Hash, key: &[u8], message: &[u8]) -> Vec<u8> {
    fn keyed<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Vec<u8> {
        let mac = <M as KeyInit>::new_from_slice(key).unwrap();
        mac.chain_update(message).finalize().into_bytes().to_vec()
    }
    match hash {
        Hash::Sha1 => keyed::<Hmac<sha1::Sha1>>(key, message),
        Hash::Sha256 => keyed::<Hmac<sha2::Sha256>>(key, message),
        Hash::Sha512 => keyed::<Hmac<sha2::Sha512>>(key, message),
        Hash::Plain => <sha2::Sha256 as sha2::Digest>::digest(message).to_vec(),
    }
}

impl Kind {
    /// A delivery that its scheme accepts.
    pub(crate) fn sent(&self) -> Sent {
        let time = match self.name {
            "milliseconds" => format!("{SECONDS}000"),
            "rfc3339" => "2021-02-25T15:02:10Z".to_owned(),
            _ => SECONDS.to_string(),
        };
        Sent {
            secret: self.secret.to_owned(),
            others: Vec::new(),
            key: (self.key)(self.secret),
            hash: self.hash,
            template: self.template.to_owned(),
            signed_body: BODY.into(),
            signed_time: time.clone(),
            time,
            spelling: self.spelling,
            label: self.label.to_owned(),
            now: SECONDS,
            body: BODY.into(),
            tag: None,
        }
    }

    pub(crate) fn headers(&self, sent: &Sent) -> Headers {
        let (before, after) = sent.template.split_once("{body}").unwrap();
        let filled = |text: &str| {
            text.replace("{timestamp}", &sent.signed_time).replace("{header:webhook-id}", "msg_1")
        };
        let message = [filled(before).as_bytes(), &sent.signed_body, filled(after).as_bytes()].concat();
        let tag = sent.tag.clone().unwrap_or_else(|| mac(sent.hash, &sent.key, &message));
        let item = sent.label.clone() + &spelled(&tag, sent.spelling);
        let mut headers = vec![("Host".to_owned(), "example.org".to_owned())];
        let value = match (self.time, self.separator) {
            (Time::Field(key), Some(separator)) => format!("{key}={}{separator}{item}", sent.time),
            _ => item,
        };
        headers.push((self.header.to_owned(), value));
        if let Time::Header(name) = self.time {
            headers.push((name.to_owned(), sent.time.clone()));
        }
        if self.has_id() {
            headers.push(("webhook-id".to_owned(), "msg_1".to_owned()));
        }
        headers
    }

    pub(crate) fn has_id(&self) -> bool {
        self.template.contains("{header:")
    }

    pub(crate) fn has_time(&self) -> bool {
        self.time != Time::None
    }

    pub(crate) fn is_text(&self) -> bool {
        (self.key)(self.secret) == self.secret.as_bytes()
    }

    pub(crate) fn diagnosis(&self, sent: &Sent) -> Diagnosis {
        self.diagnosis_of(sent, &self.headers(sent))
    }

    pub(crate) fn diagnosis_of(&self, sent: &Sent, headers: &Headers) -> Diagnosis {
        let diagnosis = (self.diagnose)(sent, headers);
        let shown = format!("{diagnosis:?} {diagnosis}");
        let mut hidden =
            vec![sent.secret.clone(), hex::encode(&sent.key), STANDARD.encode(&sent.key), "evt_1".into()];
        for spelling in [Spelling::Hex, Spelling::Base64, Spelling::Url] {
            let headers = self.headers(&Sent { spelling, label: String::new(), ..sent.clone() });
            let item = headers[1].1.rsplit(self.separator.unwrap_or(' ')).next().unwrap().to_owned();
            hidden.push(item);
        }
        for hidden in hidden {
            assert!(!shown.contains(&hidden), "{hidden} in {shown}");
        }
        diagnosis
    }
}

fn secret(text: &str) -> Secret {
    Secret::dangerously_allow_short(text).unwrap()
}

fn diagnosed<P: Provider>(provider: P, sent: &Sent, headers: &Headers) -> Diagnosis {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(sent.now);
    let mut diagnoser =
        Diagnoser::for_provider(provider, secret(&sent.secret)).unwrap().with_clock(move || now);
    for (name, other) in &sent.others {
        diagnoser = diagnoser.with_other(name.clone(), secret(other));
    }
    diagnoser.diagnose(headers.iter().map(|(name, value)| (name, value.as_bytes())), &sent.body)
}

fn builtin<P: Provider + Default>(sent: &Sent, headers: &Headers) -> Diagnosis {
    diagnosed(P::default(), sent, headers)
}

pub(crate) fn declared(row: &str, sent: &Sent, headers: &Headers) -> Diagnosis {
    diagnosed(serde_json::from_str::<DeclaredProvider>(row).unwrap(), sent, headers)
}

fn text(secret: &str) -> Vec<u8> {
    secret.into()
}

fn base64(secret: &str) -> Vec<u8> {
    STANDARD.decode(&secret[6..]).unwrap()
}

fn hex_key(secret: &str) -> Vec<u8> {
    hex::decode(secret).unwrap()
}

const GITHUB: Kind = Kind {
    name: "github",
    diagnose: builtin::<GitHub>,
    header: "x-hub-signature-256",
    time: Time::None,
    template: "{body}",
    label: "sha256=",
    separator: None,
    spelling: Spelling::Hex,
    hash: Hash::Sha256,
    secret: BASE64,
    key: text,
};

/// The built-in providers beside the three with typed events, and declared ones of the other forms.
pub(crate) fn kinds() -> [Kind; 13] {
    let time = "x-time";
    [
        GITHUB,
        Kind { name: "linear", diagnose: builtin::<Linear>, header: "linear-signature", label: "", ..GITHUB },
        Kind {
            name: "shopify",
            diagnose: builtin::<Shopify>,
            header: "x-shopify-hmac-sha256",
            label: "",
            spelling: Spelling::Base64,
            ..GITHUB
        },
        Kind {
            name: "square",
            diagnose: |sent, headers| diagnosed(<Square>::new("https://example.org/in"), sent, headers),
            header: "x-square-hmacsha256-signature",
            template: "https://example.org/in{body}",
            label: "",
            spelling: Spelling::Base64,
            ..GITHUB
        },
        Kind {
            name: "standard-webhooks",
            diagnose: builtin::<StandardWebhooks>,
            header: "webhook-signature",
            time: Time::Header("webhook-timestamp"),
            template: "{header:webhook-id}.{timestamp}.{body}",
            label: "v1,",
            separator: Some(' '),
            spelling: Spelling::Base64,
            key: base64,
            ..GITHUB
        },
        Kind {
            name: "stripe",
            diagnose: builtin::<Stripe>,
            header: "stripe-signature",
            time: Time::Field("t"),
            template: "{timestamp}.{body}",
            label: "v1=",
            separator: Some(','),
            ..GITHUB
        },
        Kind {
            name: "paddle",
            diagnose: builtin::<Paddle>,
            header: "paddle-signature",
            time: Time::Field("ts"),
            template: "{timestamp}:{body}",
            label: "h1=",
            separator: Some(';'),
            ..GITHUB
        },
        Kind {
            name: "slack",
            diagnose: builtin::<Slack>,
            header: "x-slack-signature",
            time: Time::Header("x-slack-request-timestamp"),
            template: "v0:{timestamp}:{body}",
            label: "v0=",
            ..GITHUB
        },
        Kind {
            name: "zoom",
            diagnose: builtin::<Zoom>,
            header: "x-zm-signature",
            time: Time::Header("x-zm-request-timestamp"),
            template: "v0:{timestamp}:{body}",
            label: "v0=",
            ..GITHUB
        },
        Kind {
            name: "milliseconds",
            diagnose: |sent, headers| {
                let row = r#"{"name":"a","algorithm":"hmac-sha512","secret":"hex","signed":"{timestamp}{body}",
                    "signature":{"header":"x-signature","encoding":"base64url"},
                    "timestamp":{"header":"x-time","unit":"ms","tolerance_s":300}}"#;
                declared(row, sent, headers)
            },
            header: "x-signature",
            time: Time::Header(time),
            template: "{timestamp}{body}",
            label: "",
            spelling: Spelling::Url,
            hash: Hash::Sha512,
            secret: HEX,
            key: hex_key,
            ..GITHUB
        },
        Kind {
            name: "rfc3339",
            diagnose: |sent, headers| {
                let row = r#"{"name":"a","algorithm":"hmac-sha1","signed":"{body}|{timestamp}",
                    "signature":{"header":"x-signature","prefix":"Signature "},
                    "timestamp":{"header":"x-time","unit":"rfc3339","tolerance_s":300}}"#;
                declared(row, sent, headers)
            },
            header: "x-signature",
            time: Time::Header(time),
            template: "{body}|{timestamp}",
            label: "Signature ",
            hash: Hash::Sha1,
            ..GITHUB
        },
        Kind {
            name: "one family",
            diagnose: |sent, headers| {
                let row = r#"{"name":"a","secret":"base64","signed":"{header:webhook-id}.{timestamp}.{body}",
                    "signature":{"header":"webhook-signature","encoding":"base64","separator":" ","each":"v1,"},
                    "timestamp":{"header":"webhook-timestamp","tolerance_s":300}}"#;
                declared(row, sent, headers)
            },
            header: "webhook-signature",
            time: Time::Header("webhook-timestamp"),
            template: "{header:webhook-id}.{timestamp}.{body}",
            label: "v1,",
            separator: Some(' '),
            spelling: Spelling::Base64,
            key: base64,
            ..GITHUB
        },
        Kind {
            name: "opaque",
            diagnose: |sent, headers| {
                let row =
                    r#"{"name":"a","signature":{"header":"x-signature","prefix":"sha256="},"event":null}"#;
                declared(row, sent, headers)
            },
            header: "x-signature",
            ..GITHUB
        },
    ]
}
