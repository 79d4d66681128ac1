//! The key that identifies an event, so that it is handled once.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::mac::{hex_digits, sha256};

/// The key that identifies an event. A store remembers it, so that the event is handled once, however often it is
/// delivered.
///
/// The key is made from what is signed: the provider's name, and the event's id, which its
/// [`Envelope`](crate::Envelope) finds in the body or in a signed header. An event without an id is identified by the
/// SHA-256 of its body. If the event's name is not signed, it is hashed with the body, because two events may have the
/// same one. Only a verified [`Delivery`](crate::Delivery) returns a key. To a store, it is opaque
/// text of at most [`MAX_LEN`](IdempotencyKey::MAX_LEN) printable ASCII characters, compared byte by byte.
///
/// If your handler calls a service that accepts an idempotency key, pass this one on.
///
/// Keys of providers with different names never collide. Keys of different tenants never collide either, if each webhook
/// has its tenant's name ([`with_tenant`](crate::Webhook::with_tenant)): whoever knows a secret can sign any `id`.
///
/// | the body | the key |
/// |---|---|
/// | has an `id` of 1 to 150 printable ASCII characters | `3qpr:evt_01HXYZ` |
/// | has any other `id` | `3qpr:id-sha256:` and the hex SHA-256 of the `id` |
/// | has no `id`, or one with only white space and control characters | `quote3d:sha256:` and the hex SHA-256 of the body |
/// | has none, and the event's name is unsigned | `github:sha256:` and the hex SHA-256 of the name, a zero byte and the body |
/// | any of these, with the tenant `acme` | `3qpr@acme:` and so on |
/// | any, with a tenant whose name is not 1 to 64 characters of `A-Z a-z 0-9 - _ .` | `3qpr@~`, the hex SHA-256 of the name, `:` and so on |
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdempotencyKey(Arc<str>);

impl IdempotencyKey {
    /// The greatest length of a key, in bytes.
    pub const MAX_LEN: usize = 255;

    /// The longest tenant's name that a key contains unhashed, in bytes.
    const MAX_TENANT_LEN: usize = 64;

    /// The key as text, as stores keep it and logs show it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The shared text, for a store in this process.
    pub(crate) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// Makes a key. The provider's name is at most 32 bytes, so the key fits.
    /// `unsigned_name` is the event's name, if it is not signed: two events may then have the same body.
    pub(crate) fn new(
        provider: &str,
        tenant: Option<&str>,
        id: Option<&str>,
        unsigned_name: Option<&str>,
        body: &[u8],
    ) -> Self {
        let mut key = String::with_capacity(Self::MAX_LEN);
        key.push_str(provider);
        // Neither a provider's name nor a tenant's contains `:` or `@`, so an `id` cannot imitate one.
        match tenant {
            None => {}
            Some(tenant) if Self::is_plain(tenant) => key.extend(["@", tenant]),
            Some(tenant) => push_digest(&mut key, "@~", &[tenant.as_bytes()]),
        }
        // A blank id would give every event the same key.
        match (id.filter(|id| !is_blank(id)), unsigned_name) {
            (None, None) => push_digest(&mut key, ":sha256:", &[body]),
            // No name has a zero byte.
            (None, Some(name)) => push_digest(&mut key, ":sha256:", &[name.as_bytes(), b"\0", body]),
            (Some(id), _) if Self::stands_as_it_is(id) => key.extend([":", id]),
            (Some(id), _) => push_digest(&mut key, ":id-sha256:", &[id.as_bytes()]),
        }
        Self(key.into())
    }

    fn is_plain(tenant: &str) -> bool {
        (1..=Self::MAX_TENANT_LEN).contains(&tenant.len())
            && tenant.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    }

    /// Whether a key contains the id unhashed: not if it could be mistaken for one of the other two forms.
    fn stands_as_it_is(id: &str) -> bool {
        is_short_and_plain(id) && !id.starts_with("sha256:") && !id.starts_with("id-sha256:")
    }
}

fn is_blank(id: &str) -> bool {
    id.chars().all(|character| character.is_whitespace() || character.is_control())
}

fn push_digest(key: &mut String, name: &str, of: &[&[u8]]) {
    key.push_str(name);
    key.extend(hex_digits(&sha256(of)));
}

/// Whether a text of the sender's is safe in a key and in a log: at most 150 printable ASCII characters.
pub(crate) fn is_short_and_plain(text: &str) -> bool {
    text.len() <= MAX_PLAIN_LEN && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The greatest length of a plain text, in bytes. A key has room for it beside a provider's name and a tenant's.
const MAX_PLAIN_LEN: usize = 150;

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdempotencyKey({:?})", &self.0)
    }
}

/// Writes the text, for a queue.
impl Serialize for IdempotencyKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: Option<&str>, body: &str) -> String {
        IdempotencyKey::new("3qpr", None, id, None, body.as_bytes()).as_str().to_owned()
    }

    #[test]
    fn a_plain_id_stands_in_the_key() {
        assert_eq!(key(Some("evt_01HXYZ"), "{}"), "3qpr:evt_01HXYZ");
        assert_eq!(key(Some("a:b/c"), "{}"), "3qpr:a:b/c");
        assert_eq!(key(Some(&"x".repeat(150)), "{}"), format!("3qpr:{}", "x".repeat(150)));
    }

    #[test]
    fn a_key_is_written_as_its_text() {
        let key = IdempotencyKey::new("3qpr", None, Some("evt_1"), None, b"{}");
        assert_eq!((key.as_str(), &*key.to_string()), ("3qpr:evt_1", "3qpr:evt_1"));
        assert_eq!(serde_json::to_string(&key).unwrap(), r#""3qpr:evt_1""#);
    }

    #[test]
    fn without_an_id_the_body_is_the_key() {
        // `printf '{}' | sha256sum`
        let body = "3qpr:sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        assert_eq!(key(None, "{}"), body);
        for blank in
            ["", " ", "   ", "\n", "\t\r\n", "\0", "\u{85}\u{a0}\u{2003}\u{3000}", "\u{7f}\u{9f} \u{1}"]
        {
            assert_eq!(key(Some(blank), "{}"), body, "{blank:?}");
            assert_ne!(key(Some(blank), "{ }"), body, "{blank:?}");
        }
    }

    #[test]
    fn any_other_id_is_hashed_and_collides_with_nothing() {
        let of_a_body = key(None, "{}");
        let mimic = of_a_body.strip_prefix("3qpr:").unwrap();
        let ids = [
            "a b",
            "\u{e9}",
            " a",
            "a\n",
            "\0a",
            "\u{200b}",
            &"x".repeat(151),
            mimic,
            "id-sha256:",
            "sha256:",
        ];
        for id in ids {
            let key = key(Some(id), "{}");
            assert!(key.starts_with("3qpr:id-sha256:"), "{key}");
            assert_ne!(key, of_a_body);
        }
        assert_ne!(key(Some("a b"), ""), key(Some("a  b"), ""));
        let hashed = key(Some("a b"), "");
        let mimic = hashed.strip_prefix("3qpr:").unwrap();
        assert_ne!(key(Some(mimic), ""), hashed);
    }

    #[test]
    #[cfg_attr(miri, ignore = "it hashes much")]
    fn a_tenants_keys_are_its_own() {
        let key = |tenant, id| IdempotencyKey::new("3qpr", tenant, id, None, b"{}").as_str().to_owned();
        assert_eq!(key(Some("acme"), Some("evt_1")), "3qpr@acme:evt_1");
        // `printf 'a b' | sha256sum`
        let hashed = "3qpr@~c8687a08aa5d6ed2044328fa6a697ab8e96dc34291e8c2034ae8c38e6fcc6d65:evt_1";
        assert_eq!(key(Some("a b"), Some("evt_1")), hashed);

        let long = "t".repeat(65);
        let tenants =
            ["acme", "Acme", "a:b", "a@b", "@acme", "", " acme", "~acme", "é", &long, &hashed[5..70]];
        let tenants = tenants.into_iter().map(Some).chain([None]);
        let ids = [None, Some("evt_1"), Some("acme:evt_1"), Some("@acme:evt_1"), Some("b:evt_1"), Some("é")];
        let keys: Vec<_> = tenants.flat_map(|tenant| ids.map(|id| key(tenant, id))).collect();
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len(), "{keys:?}");
    }

    #[test]
    fn a_key_is_bounded_printable_ascii() {
        let name = "n".repeat(32);
        let long = if cfg!(miri) { 200 } else { 100_000 };
        for tenant in [None, Some(&*"t".repeat(64)), Some("\n"), Some(&*"t".repeat(long))] {
            for id in [None, Some("\u{1f980}"), Some(&*"x".repeat(150)), Some(&*"x".repeat(long))] {
                let key = IdempotencyKey::new(&name, tenant, id, None, b"");
                assert!(key.as_str().len() <= IdempotencyKey::MAX_LEN);
                assert!(key.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
    }
}
