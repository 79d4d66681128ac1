//! What of a delivery's headers is shown.

/// What stands in a header's name that carries a credential.
const CREDENTIALS: [&str; 8] =
    ["authorization", "cookie", "token", "secret", "password", "api-key", "apikey", "credential"];

/// Whether a header's value is nobody's business but the sender's and the endpoint's.
pub(super) fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    CREDENTIALS.iter().any(|word| name.contains(word))
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
        ] {
            assert!(is_credential(name), "{name}");
        }
        for name in
            ["x-webhook-signature", "x-3qpr-signature", "x-webhook-event", "content-type", "user-agent"]
        {
            assert!(!is_credential(name), "{name}");
        }
    }
}
