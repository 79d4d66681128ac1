//! What to answer, as an HTTP response.

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use crate::error::Error;
use crate::outcome::Outcome;

impl Error {
    /// The answer: the [`status`](Error::status), and `{"error": code}` with the [`code`](Error::code).
    /// The body is of any type that a `String` becomes.
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
        response(self.status(), Some(self.code()))
    }
}

impl Outcome {
    /// The answer: the [`status`](Outcome::status), Retry-After where there is one, and an empty body
    /// if the delivery is acknowledged, else `{"error": code}` with the [`code`](Outcome::code). The
    /// body is of any type that a `String` becomes.
    ///
    /// ```
    /// use countersign::Outcome;
    ///
    /// let response: http::Response<Vec<u8>> = Outcome::Handled.to_response();
    /// assert!(response.status() == 200 && response.body().is_empty());
    /// ```
    #[must_use]
    pub fn to_response<B: From<String>>(&self) -> Response<B> {
        let mut response = response(self.status(), (!self.is_acknowledged()).then(|| self.code()));
        if let Some(seconds) = self.retry_after() {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

fn response<B: From<String>>(status: u16, code: Option<&str>) -> Response<B> {
    // A code is letters and underscores: nothing in it needs an escape.
    let body = code.map_or_else(String::new, |code| format!(r#"{{"error":"{code}"}}"#));
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if code.is_some() {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response
}
