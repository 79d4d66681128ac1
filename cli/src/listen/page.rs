//! Serves the page and its API.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::entry::{Endpoint, Entry};
use super::intake::Arrival;
use super::redact::is_credential;
use super::{App, Served, random};
use crate::client::Target;
use crate::curl;
use crate::json;
use crate::layout;

/// The markup, with places for the style, the script, the settings and a nonce.
const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
/// One script. Each part uses those before it.
const SCRIPT: &str = concat!(
    "'use strict';\n",
    include_str!("page/text.js"),
    include_str!("page/answers.js"),
    include_str!("page/list.js"),
    include_str!("page/difference.js"),
    include_str!("page/payload.js"),
    include_str!("page/delivery.js"),
    include_str!("page/keys.js"),
    include_str!("page/frame.js"),
);
/// The longest part of a body that is shown, in bytes. A copied curl command has all of it.
const SHOWN: usize = 256 << 10;

pub(super) async fn page(State(app): State<Arc<App>>) -> Response {
    let Ok(nonce) = random() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let providers = app.intake.served.iter().map(|Served { provider, judge }| {
        json!({
            "slug": provider.slug(),
            "name": provider.to_string(),
            "secret": judge.is_ok(),
            "variable": provider.variable(),
        })
    });
    let settings = json!({
        "token": app.key,
        "forward": app.intake.forward.as_ref().map(Target::without_query),
        "providers": providers.collect::<Vec<_>>(),
    });
    // Inside a script element, only `<` could end it.
    let settings = json::line(&settings).replace('<', "\\u003c");
    let html = PAGE.replace("{{style}}", STYLE).replace("{{script}}", SCRIPT);
    let html = html.replace("{{nonce}}", &nonce).replace("{{settings}}", &settings);
    // Only this page's own script and style are used, and nothing is loaded from elsewhere.
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    );
    let Ok(policy) = HeaderValue::from_str(&policy) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(html)).into_response()
}

pub(super) async fn not_found() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "not found: deliveries go to /webhooks/NAME, such as /webhooks/stripe\n")
}

/// Returns everything about a delivery, except the values of headers that carry a credential.
pub(super) async fn detail(State(app): State<Arc<App>>, Path(number): Path<u64>) -> Response {
    let Some(entry) = app.intake.journal.get(number) else { return gone() };
    let headers: Vec<_> = entry
        .headers
        .iter()
        .map(|(name, value)| {
            let redacted = is_credential(name.as_str());
            let value = if redacted { Cow::Borrowed("") } else { String::from_utf8_lossy(value.as_bytes()) };
            json!({ "name": name.as_str(), "value": value, "redacted": redacted })
        })
        .collect();
    let mut detail = entry.summary();
    detail["headers"] = headers.into();
    detail["path"] = entry.path().into();
    detail["body"] = text_of(&entry.body);
    detail["signed"] = signed_body(&app, &entry).await.into();
    detail["judgement"] = serde_json::to_value(&entry.verdict).unwrap_or_default();
    if let Endpoint::Answered { body, cut, .. } = &entry.endpoint {
        detail["answer"] = text_of(body);
        if *cut {
            detail["answer"]["cut"] = true.into();
        }
    }
    ([(header::CONTENT_TYPE, "application/json")], json::line(&detail)).into_response()
}

/// The body that was signed, if the causes of the refusal tell it, and all of it is shown.
async fn signed_body(app: &App, entry: &Arc<Entry>) -> Option<String> {
    if entry.body.len() > SHOWN {
        return None;
    }
    let (intake, entry) = (Arc::clone(&app.intake), Arc::clone(entry));
    let signed = tokio::task::spawn_blocking(move || intake.signed_body(&entry)).await;
    signed.ok().flatten().filter(|signed| signed.len() <= SHOWN)
}

/// Bytes as they came, which are text or base64, and JSON laid out as well. What is long is cut.
fn text_of(bytes: &[u8]) -> Value {
    let Ok(text) = std::str::from_utf8(bytes) else {
        let shown = &bytes[..bytes.len().min(SHOWN)];
        return json!({ "form": "bytes", "base64": STANDARD.encode(shown), "cut": shown.len() < bytes.len() });
    };
    let beginning = |text: &str| {
        let end = (0..=SHOWN.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text[..end].to_owned()
    };
    let mut shown = json!({ "form": "text", "raw": beginning(text), "cut": text.len() > SHOWN });
    if let Some(json) = layout::json(bytes) {
        let laid_out = layout::pretty_up_to(json, SHOWN);
        shown["form"] = "json".into();
        shown["laid_out"] = beginning(&laid_out).into();
        shown["laid_out_cut"] = (laid_out.len() > SHOWN).into();
    }
    shown
}

/// Returns the delivery as a curl command, without any secret or header that carries a credential.
pub(super) async fn curl(State(app): State<Arc<App>>, Path(number): Path<u64>) -> Response {
    let Some(entry) = app.intake.journal.get(number) else { return gone() };
    // Headers that curl sets itself, and those of the first connection.
    let own =
        [header::HOST, header::CONTENT_LENGTH, header::CONNECTION, header::TRANSFER_ENCODING, header::EXPECT];
    let headers =
        entry.headers.iter().filter(|(name, _)| !own.contains(name) && !is_credential(name.as_str()));
    let url = format!("http://{}{}", super::near(app.address), entry.path());
    curl::command(&url, headers, &entry.body).into_response()
}

/// Handles the kept bytes and headers again, as a delivery of its own.
pub(super) async fn resend(State(app): State<Arc<App>>, Path(number): Path<u64>) -> Response {
    let Some(entry) = app.intake.journal.get(number) else { return gone() };
    let arrival = Arrival {
        provider: entry.provider.clone(),
        path_and_query: entry.path_and_query.clone(),
        headers: entry.headers.clone(),
        body: entry.body.clone(),
        resend_of: Some(number),
    };
    let Ok((number, response)) = app.intake.begin(arrival, None).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let said = json!({ "number": number, "answered": response.status().as_u16() });
    ([(header::CONTENT_TYPE, "application/json")], json::line(&said)).into_response()
}

/// Begins the diagnosis of a refusal, if that waits for a request.
pub(super) async fn diagnose(State(app): State<Arc<App>>, Path(number): Path<u64>) -> Response {
    if app.intake.journal.get(number).is_none() {
        return gone();
    }
    if app.intake.diagnose_on_request(number) {
        StatusCode::ACCEPTED.into_response()
    } else {
        (StatusCode::CONFLICT, "the reason is known, or is being looked for\n").into_response()
    }
}

fn gone() -> Response {
    (StatusCode::NOT_FOUND, "this delivery is not kept\n").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_beyond_what_is_shown() {
        for (len, is_cut) in [(SHOWN, false), (SHOWN + 1, true)] {
            let json = format!("\"{}\"", "x".repeat(len - 2));
            let shown = text_of(json.as_bytes());
            assert_eq!((&shown["cut"], &shown["laid_out_cut"]), (&json!(is_cut), &json!(is_cut)), "{len}");
            for part in ["raw", "laid_out"] {
                assert_eq!(shown[part], json[..SHOWN], "{len}");
            }
            let bytes = text_of(&vec![0xff; len]);
            assert_eq!(
                (&bytes["cut"], &bytes["base64"]),
                (&json!(is_cut), &json!(STANDARD.encode([0xff; SHOWN])))
            );
        }
    }
}
