//! One delivery, as every candidate gets it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::provider::Quote3d;
use countersign::{Secret, Secrets, Signature, Webhook};
use http::{HeaderMap, HeaderValue};

/// Quote3D's documented payload.
pub const DOCUMENTED: &[u8] = include_bytes!("../../../tests/data/quote3d_quote_completed.json");

/// A delivery of Quote3D's: its body, the secrets that are valid, newest first, and its signature.
pub struct Case {
    pub body: Vec<u8>,
    pub secrets: Vec<String>,
    pub signature: String,
    pub is_accepted: bool,
}

/// A valid envelope of this length: the documented payload, or one like it. Longer ones have a further
/// field in their data, an array of small objects; a shorter one is a `quote.failed`. No event of
/// Quote3D's knows the field, so that this crate's keep it as text, which is less work than a `Value`.
pub fn body_of(length: usize) -> Vec<u8> {
    if length == DOCUMENTED.len() {
        return DOCUMENTED.to_vec();
    }
    let (head, tail) = if length < DOCUMENTED.len() {
        let head = r#"{"event":"quote.failed","timestamp":"2026-03-10T14:30:00.000Z","data":{"jobId":"job_01HXYZ123456789","quoteId":"job_01HXYZ123456789","status":"failed","layers":["#;
        (head.to_owned(), "]}}")
    } else {
        let text = std::str::from_utf8(DOCUMENTED).unwrap();
        let (head, _) = text.rsplit_once("\"error\": null").unwrap();
        (format!("{head}\"layers\": ["), "],\n    \"error\": null\n  }\n}\n")
    };
    let mut body = head;
    let mut layer = 0;
    loop {
        let object =
            format!(r#"{{"layer":{layer},"height":0.2,"material":"PLA","seconds":{}}},"#, layer * 7 % 90);
        // Room for the last one, whose text makes the length exact.
        if body.len() + object.len() + r#"{"note":""}"#.len() + tail.len() > length {
            break;
        }
        body += &object;
        layer += 1;
    }
    let note = length - body.len() - r#"{"note":""}"#.len() - tail.len();
    body += &format!(r#"{{"note":"{}"}}"#, "x".repeat(note));
    body += tail;
    assert_eq!(body.len(), length);
    body.into_bytes()
}

impl Case {
    /// A delivery with a body of this length, with so many secrets valid. An accepted one is signed with
    /// the oldest, which is tried last; a forged one is the signature of another body.
    pub fn new(length: usize, secrets: usize, is_accepted: bool) -> Self {
        let secrets: Vec<_> = (0..secrets).map(|n| format!("whsec_0123456789abcdef{n}")).collect();
        let body = body_of(length);
        let signed = if is_accepted { &body } else { &b"another body"[..] };
        let signature = Signature::sign(&Secret::new(secrets.last().unwrap().as_str()).unwrap(), signed);
        Self { signature: signature.to_string(), secrets, body, is_accepted }
    }

    pub fn webhook(&self) -> Webhook<Quote3d> {
        Webhook::new(self.countersign_secrets()).unwrap()
    }

    pub fn countersign_secrets(&self) -> Secrets {
        let secrets: Vec<_> = self.secrets.iter().map(|text| Secret::new(text.as_str()).unwrap()).collect();
        secrets.try_into().unwrap()
    }

    /// As a server would have them, with the headers that every request brings.
    pub fn headers(&self) -> HeaderMap {
        let event = if self.body.len() < DOCUMENTED.len() { "quote.failed" } else { "quote.completed" };
        let pairs = [
            ("host", "hooks.example.org"),
            ("user-agent", "Quote3D-Webhooks/1.0"),
            ("accept", "*/*"),
            ("content-type", "application/json"),
            ("content-length", &self.body.len().to_string()),
            ("x-webhook-event", event),
            ("x-webhook-signature", &self.signature),
            // The same, for those that know it by GitHub's name.
            ("x-hub-signature-256", &self.signature),
        ];
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(http::HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
        }
        headers
    }

    /// One JSON object in a line, for a program that does the same.
    pub fn to_line(&self) -> String {
        let line = serde_json::json!({
            "body_base64": STANDARD.encode(&self.body),
            "secrets": self.secrets,
            "signature": self.signature,
            "is_accepted": self.is_accepted,
        });
        format!("{line}\n")
    }
}
