//! A captured delivery as a line of JSON, in the form of the library's example `inspect`. `listen --journal` and `sign
//! --json` write it; `verify --lines`, `send --replay` and `types` read it.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::{Json, Secret, Secrets};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::json;
use crate::provider::{Provider, of_json};
use crate::verdict::Captured;

/// A delivery that was captured.
#[derive(Clone)]
pub(crate) struct Capture {
    pub(crate) provider: Provider,
    /// The notification URL that Square signs.
    pub(crate) url: Option<String>,
    /// The path that it came to.
    pub(crate) path: Option<String>,
    pub(crate) headers: Captured,
    pub(crate) body: Vec<u8>,
    /// When it came.
    pub(crate) now: Option<SystemTime>,
    pub(crate) max_age: Option<Duration>,
    /// The secrets to verify it with. This program reads them, and never writes any.
    pub(crate) secrets: Option<Secrets>,
}

#[derive(Deserialize)]
struct Line {
    /// A name, or a declaration.
    provider: Json,
    url: Option<String>,
    path: Option<String>,
    /// Any JSON, so an error about its type does not quote it.
    secrets: Option<Value>,
    headers: Vec<(String, String)>,
    body: Option<String>,
    body_base64: Option<String>,
    max_age_s: Option<u64>,
    now: Option<String>,
}

impl Capture {
    /// Reads a line. The error says what is wrong with it, and quotes no secret.
    pub(crate) fn read(line: &[u8]) -> Result<Self, String> {
        let line: Line = json::object(line)?;
        let provider = provider(&line.provider).map_err(|error| format!("`provider`: {error}"))?;
        let now = line.now.map(|text| OffsetDateTime::parse(&text, &Rfc3339)).transpose();
        let now = now.map_err(|error| format!("`now` is not RFC 3339: {error}"))?;
        let body = match (line.body, line.body_base64) {
            (Some(body), None) => body.into_bytes(),
            (None, Some(body)) => STANDARD.decode(body).map_err(|error| format!("`body_base64`: {error}"))?,
            _ => return Err("one of `body` and `body_base64` is needed".to_owned()),
        };
        let mut headers = Captured::new();
        for (name, value) in line.headers {
            let value: Result<Vec<u8>, _> = value.chars().map(u8::try_from).collect();
            let value = value.map_err(|_| format!("the value of {name:?} has a character beyond Latin-1"))?;
            headers.push((name, value));
        }
        Ok(Self {
            provider,
            url: line.url,
            path: line.path,
            headers,
            body,
            now: now.map(SystemTime::from),
            max_age: line.max_age_s.map(Duration::from_secs),
            secrets: line.secrets.map(secrets).transpose()?,
        })
    }

    /// Writes a line without the secrets.
    pub(crate) fn to_line(&self) -> String {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (name, value.iter().copied().map(char::from).collect::<String>()))
            .collect();
        let mut line = json!({ "provider": self.provider.to_json(), "headers": headers });
        match std::str::from_utf8(&self.body) {
            Ok(body) => line["body"] = body.into(),
            Err(_) => line["body_base64"] = STANDARD.encode(&self.body).into(),
        }
        let now = self.now.map(OffsetDateTime::from).and_then(|now| now.format(&Rfc3339).ok());
        for (name, value) in [("url", &self.url), ("path", &self.path), ("now", &now)] {
            if let Some(value) = value {
                line[name] = value.as_str().into();
            }
        }
        json::line(&line)
    }
}

fn provider(json: &Json) -> Result<Provider, String> {
    if json.as_str().starts_with('{') {
        return of_json(json.as_str());
    }
    let name: String = serde_json::from_str(json.as_str()).map_err(|error| error.to_string())?;
    Provider::of_slug(&name).ok_or_else(|| format!("unknown provider {name:?}"))
}

fn secrets(json: Value) -> Result<Secrets, String> {
    let secrets = serde_json::from_value::<Vec<String>>(json)
        .map_err(|_| "`secrets` is not an array of strings".to_owned())?;
    let secrets: Result<Vec<_>, _> = secrets.into_iter().map(Secret::new).collect();
    secrets.and_then(Secrets::try_from).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_as_it_was_written() {
        for body in [&b"{}"[..], b"", b"\0\xff", "\u{202e}é\n".as_bytes()] {
            let capture = Capture {
                provider: Provider::of_slug("stripe").unwrap(),
                url: Some("https://example.org/?a".to_owned()),
                path: None,
                headers: vec![("x-a".to_owned(), b"\xe9\x80 b".to_vec()), ("x-a".to_owned(), Vec::new())],
                body: body.to_vec(),
                now: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_614_265_330_123)),
                max_age: None,
                secrets: None,
            };
            let line = capture.to_line();
            assert!(!line.contains('\n'));
            let read = Capture::read(line.as_bytes()).unwrap();
            assert_eq!((&read.headers, &read.body, read.now), (&capture.headers, &capture.body, capture.now));
            assert_eq!((&read.provider, &read.url, &read.path), (&capture.provider, &capture.url, &None));
        }
    }
}
