//! Tells which headers' values are shown.

/// Parts of the names of headers that carry a credential.
const CREDENTIALS: [&str; 11] = [
    "auth",
    "cookie",
    "token",
    "secret",
    "password",
    "-key",
    "apikey",
    "credential",
    "jwt",
    "session",
    "assertion",
];

/// Whether a header's value is a credential, which only the sender and the endpoint may see.
pub(super) fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // An idempotency key is not a credential.
    !name.contains("idempotency-key") && CREDENTIALS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_carries_a_credential_is_known_by_its_name() {
        for name in [
            "Authorization",
            "proxy-authorization",
            "cookie",
            "X-Api-Key",
            "x-auth-token",
            "x-webhook-secret",
            "X-Amzn-Auth",
            "ocp-apim-subscription-key",
            "x-functions-key",
            "cf-access-jwt-assertion",
            "x-session-id",
            "x-goog-iap-jwt-assertion",
        ] {
            assert!(is_credential(name), "{name}");
        }
        for name in [
            "x-webhook-signature",
            "idempotency-key",
            "x-3qpr-signature",
            "x-webhook-event",
            "content-type",
            "user-agent",
        ] {
            assert!(!is_credential(name), "{name}");
        }
    }
}
