//! The event that a refused delivery claims. Nothing has proven it, so it is only shown.

use countersign::http::{HeaderMap, HeaderName};
use serde::Deserialize;

use super::entry::LONGEST_NAME;
use crate::json;
use crate::terminal;

/// The members by which providers name an event.
#[derive(Deserialize)]
struct Names {
    event: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    event_type: Option<String>,
}

/// The name in the provider's event header, or else in the body, up to the length that is listed.
pub(super) fn claimed_event(header: Option<&HeaderName>, headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let of_header = header.and_then(|name| headers.get(name)?.to_str().ok().map(str::to_owned));
    let of_body = || {
        let names: Names = json::object(body).ok()?;
        names.event.or(names.kind).or(names.event_type)
    };
    of_header.or_else(of_body).filter(|name| !name.is_empty()).map(|name| terminal::cut(&name, LONGEST_NAME))
}

#[cfg(test)]
mod tests {
    use countersign::http::HeaderValue;

    use super::*;

    #[test]
    fn a_claim_is_the_header_s_or_else_the_body_s() {
        let header = HeaderName::from_static("x-event");
        let with = HeaderMap::from_iter([(header.clone(), HeaderValue::from_static("told"))]);
        for (headers, body, claim) in [
            (&with, r#"{"event":"a"}"#, Some("told")),
            (&HeaderMap::new(), r#"{"event":"a","type":"b"}"#, Some("a")),
            (&HeaderMap::new(), r#"{"type":"b"}"#, Some("b")),
            (&HeaderMap::new(), r#"{"event_type":"c","data":[{}]}"#, Some("c")),
            (&HeaderMap::new(), r#"{"event":""}"#, None),
            (&HeaderMap::new(), r#"{"event":1}"#, None),
            (&HeaderMap::new(), r#"["event"]"#, None),
            (&HeaderMap::new(), "event=a", None),
        ] {
            assert_eq!(claimed_event(Some(&header), headers, body.as_bytes()).as_deref(), claim, "{body}");
        }
        let long = format!(r#"{{"event":"{}"}}"#, "x".repeat(1_000));
        assert!(
            claimed_event(None, &with, long.as_bytes())
                .is_some_and(|claim| claim.starts_with("xxx") && claim.len() < 240)
        );
    }
}
