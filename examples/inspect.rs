//! Verifies captured deliveries: one JSON object per line on standard input, one verdict per line on
//! standard output.
//!
//! ```text
//! $ cargo run --example inspect < deliveries.jsonl
//! {"provider":"quote3d","secrets":["…"],"headers":[["X-Webhook-Signature","sha256=…"]],"body":"…"}
//! {"verdict":"rejected","error":"signature_mismatch","status":401,"message":"…"}
//! ```
//!
//! `provider` is a built-in's name, or a provider as JSON (`DeclaredProvider` has its form). `url` is the notification URL
//! that Square signs. Without `secrets`, the secret is the value of `WEBHOOK_SECRET`. `body_base64` can replace `body`. `max_age_s` and `now` (RFC 3339) set a maximum age. Each character
//! of a header's value is one byte (Latin-1), so a value can contain any byte. A line that is not such an object, or has a
//! secret of less than 16 bytes or in another encoding than the provider's, is `unreadable`, and the next line is read.
//!
//! With `--features diagnose`, `"diagnose":true` adds to a refusal the `causes` and the `hints` of a diagnosis, each with
//! its `code` and its `message`, and a cause with its `cure`.

use std::error::Error as _;
use std::io::{self, BufRead, Write};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::provider::{
    DeclaredProvider, GitHub, Linear, NowToPrint, Paddle, Quote3d, Shopify, Slack, Square, StandardWebhooks,
    Stripe, ThreeQpr, Zoom,
};
use countersign::{Delivery, Error, Event, EventNameSource, Json, Provider, Secret, Secrets, Webhook};
use serde::{Deserialize, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

mod report;
use report::Report;

/// A captured delivery.
#[derive(Deserialize)]
struct Captured {
    /// A text with a name, or an object.
    provider: Json,
    url: Option<String>,
    /// Without them, the value of `WEBHOOK_SECRET`.
    secrets: Option<Vec<String>>,
    headers: Vec<(String, String)>,
    body: Option<String>,
    body_base64: Option<String>,
    max_age_s: Option<u64>,
    now: Option<String>,
    #[serde(default)]
    diagnose: bool,
}

#[derive(Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
enum Verdict {
    Accepted {
        event: Option<String>,
        variant: &'static str,
        id: Option<String>,
        idempotency_key: String,
        secret: usize,
        timestamp: Option<String>,
        #[serde(serialize_with = "on_one_line")]
        data: Json,
    },
    Rejected {
        error: &'static str,
        status: u16,
        message: String,
        #[serde(flatten)]
        reasons: Option<Reasons>,
    },
    Unreadable {
        message: String,
    },
}

/// What a diagnosis found.
#[derive(Serialize)]
struct Reasons {
    causes: Vec<Reason>,
    hints: Vec<Reason>,
}

#[derive(Serialize)]
struct Reason {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cure: Option<&'static str>,
}

/// Writes JSON without its newlines. They are only layout, because a newline in a string is an escape.
fn on_one_line<S: Serializer>(json: &Json, serializer: S) -> Result<S::Ok, S::Error> {
    let line = json.as_str().replace(['\n', '\r'], "");
    let json: Json = serde_json::from_str(&line).map_err(serde::ser::Error::custom)?;
    json.serialize(serializer)
}

/// Only the data of an event, as the event writes it.
struct Data<'a, E>(&'a E);

impl<E: Event> Serialize for Data<'_, E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize_data(serializer)
    }
}

fn main() -> Result<(), Report> {
    Ok(run(io::stdin().lock(), io::BufWriter::new(io::stdout().lock()))?)
}

/// Writes one verdict for each line.
pub(crate) fn run(mut input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        let verdict = inspect(&line).unwrap_or_else(|message| Verdict::Unreadable { message });
        serde_json::to_writer(&mut output, &verdict)?;
        output.write_all(b"\n")?;
        // A program may wait for each verdict before it sends the next line.
        output.flush()?;
        line.clear();
    }
    Ok(())
}

/// The verdict on a line, or what makes it unreadable.
fn inspect(line: &[u8]) -> Result<Verdict, String> {
    if !line.trim_ascii_start().starts_with(b"{") {
        return Err("not a JSON object".to_owned());
    }
    let captured: Captured = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    if captured.provider.as_str().starts_with('{') {
        let declared: DeclaredProvider = serde_json::from_str(captured.provider.as_str())
            .map_err(|error| format!("`provider`: {error}"))?;
        return verify(declared, captured);
    }
    let name: String =
        serde_json::from_str(captured.provider.as_str()).map_err(|error| format!("`provider`: {error}"))?;
    match &*name {
        Quote3d::NAME => verify(Quote3d::default(), captured),
        NowToPrint::NAME => verify(NowToPrint::default(), captured),
        ThreeQpr::NAME => verify(ThreeQpr::default(), captured),
        "standard-webhooks" => verify(<StandardWebhooks>::default(), captured),
        "stripe" => verify(<Stripe>::default(), captured),
        "github" => verify(<GitHub>::default(), captured),
        "shopify" => verify(<Shopify>::default(), captured),
        "slack" => verify(<Slack>::default(), captured),
        "zoom" => verify(<Zoom>::default(), captured),
        "paddle" => verify(<Paddle>::default(), captured),
        "linear" => verify(<Linear>::default(), captured),
        "square" => {
            let url = captured.url.as_deref().ok_or("square needs the `url` that it signs")?;
            verify(<Square>::new(url), captured)
        }
        other => Err(format!("no provider is called {other:?}")),
    }
}

fn verify<P: Provider + Clone>(provider: P, captured: Captured) -> Result<Verdict, String> {
    let secrets = secrets(captured.secrets)?;
    let webhook = Webhook::for_provider(provider.clone(), secrets.clone());
    let mut webhook = webhook.map_err(|error| error.to_string())?;
    let max_age = captured.max_age_s.map(Duration::from_secs);
    if let Some(max_age) = max_age {
        webhook = webhook.with_max_age(max_age);
    }
    let now: SystemTime = match captured.now {
        Some(text) => OffsetDateTime::parse(&text, &Rfc3339)
            .map_err(|error| format!("`now` is not RFC 3339: {error}"))?
            .into(),
        None => SystemTime::now(),
    };
    webhook = webhook.with_clock(move || now);
    let body = match (captured.body, captured.body_base64) {
        (Some(body), None) => body.into_bytes(),
        (None, Some(body)) => STANDARD.decode(body).map_err(|error| format!("`body_base64`: {error}"))?,
        _ => return Err("one of `body` and `body_base64` is needed".to_owned()),
    };
    let mut headers = Vec::new();
    for (name, value) in captured.headers {
        let value: Result<Vec<u8>, _> = value.chars().map(u8::try_from).collect();
        let value = value.map_err(|_| format!("the value of {name:?} has a character beyond Latin-1"))?;
        headers.push((name, value));
    }

    match webhook.verify(&headers, &body).and_then(|delivery| accepted(&delivery)) {
        Ok(accepted) => Ok(accepted),
        Err(error) => Ok(Verdict::Rejected {
            error: error.code(),
            status: error.status(),
            message: match error.source() {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            },
            reasons: match captured.diagnose {
                true => Some(reasons(provider, secrets, max_age, now, &headers, &body)?),
                false => None,
            },
        }),
    }
}

#[cfg(feature = "diagnose")]
fn reasons<P: Provider>(
    provider: P,
    secrets: Secrets,
    max_age: Option<Duration>,
    now: SystemTime,
    headers: &[(String, Vec<u8>)],
    body: &[u8],
) -> Result<Reasons, String> {
    let diagnoser = countersign::diagnose::Diagnoser::for_provider(provider, secrets);
    let mut diagnoser = diagnoser.map_err(|error| error.to_string())?.with_clock(move || now);
    if let Some(max_age) = max_age {
        diagnoser = diagnoser.with_max_age(max_age);
    }
    let diagnosis = diagnoser.diagnose(headers.iter().map(|(name, value)| (name, &**value)), body);
    let causes = diagnosis.causes().iter().map(|cause| Reason {
        code: cause.code(),
        message: cause.to_string(),
        cure: Some(cause.cure()),
    });
    let hints = diagnosis.hints().iter().map(|hint| Reason {
        code: hint.code(),
        message: hint.to_string(),
        cure: None,
    });
    Ok(Reasons { causes: causes.collect(), hints: hints.collect() })
}

#[cfg(not(feature = "diagnose"))]
fn reasons<P: Provider>(
    _: P,
    _: Secrets,
    _: Option<Duration>,
    _: SystemTime,
    _: &[(String, Vec<u8>)],
    _: &[u8],
) -> Result<Reasons, String> {
    Err("`diagnose` needs the feature `diagnose`".to_owned())
}

/// The secrets of a line, newest first.
fn secrets(secrets: Option<Vec<String>>) -> Result<Secrets, String> {
    let Some(secrets) = secrets else {
        return Secret::from_env("WEBHOOK_SECRET").map(Secrets::new).map_err(|error| error.to_string());
    };
    let secrets: Result<Vec<_>, _> = secrets.into_iter().map(Secret::new).collect();
    secrets.and_then(Secrets::try_from).map_err(|error| error.to_string())
}

fn accepted<P: Provider>(delivery: &Delivery<'_, P>) -> Result<Verdict, Error> {
    let event = delivery.event()?;
    let data = serde_json::to_string(&Data(&event)).and_then(|text| serde_json::from_str(&text));
    let has_name = delivery.event_name_source() != EventNameSource::Absent;
    Ok(Verdict::Accepted {
        event: has_name.then(|| event.name().to_owned()),
        variant: event.variant(),
        id: delivery.id().map(str::to_owned),
        idempotency_key: delivery.idempotency_key().to_string(),
        secret: delivery.matched_secret().position(),
        timestamp: delivery.timestamp_text().map(str::to_owned),
        data: data.expect("an event is written as JSON"),
    })
}
