//! The answer as an HTTP response.

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use crate::error::Error;
use crate::receiver::Outcome;

impl Error {
    /// Makes the response: the [`status`](Error::status), and the body `{"error": code}` with the
    /// [`code`](Error::code). The body has any type that a `String` converts into.
    ///
    /// ```
    /// use countersign::Error;
    ///
    /// let response: http::Response<String> = Error::SignatureMismatch.to_response();
    /// assert_eq!(response.status(), 401);
    /// assert_eq!(response.body(), r#"{"error":"signature_mismatch"}"#);
    /// ```
    #[must_use]
    pub fn to_response<B: From<String>>(&self) -> Response<B> {
        response(self.status(), Some(error_body(self.code())))
    }
}

impl Outcome {
    /// Makes the response: the [`status`](Outcome::status), Retry-After if the outcome has one, and a body. The body
    /// is empty if the event was handled, the answer to a [`Challenge`](Outcome::Challenge), and `{"error": code}` with the
    /// [`code`](Outcome::code) otherwise. It has any type that a `String` converts into.
    ///
    /// ```
    /// use countersign::Outcome;
    ///
    /// let response: http::Response<Vec<u8>> = Outcome::Handled.to_response();
    /// assert!(response.status() == 200 && response.body().is_empty());
    /// ```
    #[must_use]
    pub fn to_response<B: From<String>>(&self) -> Response<B> {
        let body = match self {
            Self::Handled | Self::Duplicate => None,
            Self::Challenge(answer) => Some(answer.clone()),
            _ => Some(error_body(self.code())),
        };
        let mut response = response(self.status(), body);
        if let Some(seconds) = self.retry_after_secs() {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// A code consists of letters and underscores, so it needs no escapes.
fn error_body(code: &str) -> String {
    format!(r#"{{"error":"{code}"}}"#)
}

/// With the body, which is JSON, or without one.
fn response<B: From<String>>(status: u16, body: Option<String>) -> Response<B> {
    let is_json = body.is_some();
    let mut response = Response::new(body.unwrap_or_default().into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if is_json {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_answer_is_a_status_a_body_and_when_to_retry() {
        let retry_after = Duration::from_millis(1_500);
        let cases = [
            (Outcome::Handled, 200, None, ""),
            (Outcome::Duplicate, 200, None, ""),
            (Outcome::Challenge("{}".into()), 200, None, "{}"),
            (Outcome::InFlight { retry_after }, 409, Some("2"), r#"{"error":"in_flight"}"#),
            (Outcome::LeaseLost { retry_after }, 409, Some("2"), r#"{"error":"lease_lost"}"#),
            (Outcome::Rejected(Error::Stale), 400, None, r#"{"error":"stale"}"#),
            (Outcome::Failed("no disk".into()), 500, None, r#"{"error":"handler_failed"}"#),
            (Outcome::Unavailable("no store".into()), 503, None, r#"{"error":"store_unavailable"}"#),
        ];
        for (outcome, status, retry_after, body) in cases {
            let response: Response<String> = outcome.to_response();
            let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap());
            let content_type = (!body.is_empty()).then_some("application/json");
            assert_eq!((response.status().as_u16(), &**response.body()), (status, body));
            assert_eq!((header(CONTENT_TYPE), header(RETRY_AFTER)), (content_type, retry_after), "{body}");
        }
        let response: Response<String> = Error::SignatureMismatch.to_response();
        assert_eq!(
            (response.status().as_u16(), &**response.body()),
            (401, r#"{"error":"signature_mismatch"}"#)
        );
    }
}
