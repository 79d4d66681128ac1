//! Serves the page and its API.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Response};
use countersign::http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::entry::Endpoint;
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
    include_str!("page/list.js"),
    include_str!("page/delivery.js"),
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
    detail["path"] = entry.path_and_query.split('?').next().into();
    detail["body"] = text_of(&entry.body);
    detail["judgement"] = serde_json::to_value(&entry.verdict).unwrap_or_default();
    if let Endpoint::Answered { body, cut, .. } = &entry.endpoint {
        detail["answer"] = text_of(body);
        if *cut {
            detail["answer"]["cut"] = true.into();
        }
    }
    ([(header::CONTENT_TYPE, "application/json")], json::line(&detail)).into_response()
}

/// Bytes as readable text: JSON is laid out, and a long text is cut.
fn text_of(bytes: &[u8]) -> Value {
    let (form, text) = match layout::json(bytes) {
        Some(json) => ("json", Cow::Owned(layout::pretty_up_to(json, SHOWN))),
        None => match std::str::from_utf8(bytes) {
            Ok(text) => ("text", Cow::Borrowed(text)),
            Err(_) => ("binary", String::from_utf8_lossy(bytes)),
        },
    };
    let end = (0..=SHOWN.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    json!({ "form": form, "text": text[..end], "cut": end < text.len() })
}

/// Returns the delivery as a curl command, without any secret or header that carries a credential.
pub(super) async fn curl(State(app): State<Arc<App>>, Path(number): Path<u64>) -> Response {
    let Some(entry) = app.intake.journal.get(number) else { return gone() };
    // Headers that curl sets itself, and those of the first connection.
    let own =
        [header::HOST, header::CONTENT_LENGTH, header::CONNECTION, header::TRANSFER_ENCODING, header::EXPECT];
    let headers =
        entry.headers.iter().filter(|(name, _)| !own.contains(name) && !is_credential(name.as_str()));
    // A query may contain a credential. The detail does not show it either.
    let path = entry.path_and_query.split('?').next().unwrap_or_default();
    let url = format!("http://{}{path}", super::near(app.address));
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
