//! The check of a provider's declaration: its name, its scheme and its envelope together.

use crate::event::{Envelope, Name, Place};
use crate::scheme::{Scheme, SchemeError, has_header, is_header_name};

/// Checks a provider's parts. It is constant, so that the compiler can report an error.
pub(crate) const fn check(
    name: &str,
    scheme: &Scheme<'_>,
    envelope: &Envelope<'_>,
) -> Result<(), SchemeError> {
    if !is_name(name) {
        return Err(SchemeError::new("name", "this is not 1 to 32 of a-z, 0-9, '-', '_' and '.'"));
    }
    match scheme_with(scheme, envelope).check() {
        Ok(()) => check_envelope(scheme, envelope),
        Err(error) => Err(error),
    }
}

/// The scheme, with what the envelope says of the body.
pub(crate) const fn scheme_with<'a>(scheme: &Scheme<'a>, envelope: &Envelope<'_>) -> Scheme<'a> {
    if envelope.is_opaque { scheme.with_opaque_body() } else { *scheme }
}

const fn check_envelope(scheme: &Scheme<'_>, envelope: &Envelope<'_>) -> Result<(), SchemeError> {
    let name = match envelope.name {
        Name::Nowhere => None,
        Name::Member(name) | Name::OptionalMember(name) => Some(name),
        Name::Header(_) => None,
    };
    if envelope.confirming.is_some() && name.is_none() {
        return Err(SchemeError::new("event.name", "a confirming header needs a member that it confirms"));
    }
    if let Some(header) = envelope.header()
        && !is_header_name(header.as_bytes())
    {
        return Err(SchemeError::new("event.name", "this is no header's name in lower case"));
    }
    if let Some(header) = envelope.header()
        && scheme.is_own_header(header)
    {
        return Err(SchemeError::new("event.name", "this is the header of the signature or of its time"));
    }
    let id = match envelope.id {
        Some(Place::Header(header)) if !has_header(scheme.signed, header.as_bytes()) => {
            return Err(SchemeError::new(
                "event.id",
                "the header is not signed: it does not stand in the template",
            ));
        }
        Some(Place::Member(name)) => Some(name),
        _ => None,
    };
    if envelope.is_opaque
        && (name.is_some() || id.is_some() || envelope.time.is_some() || envelope.data.is_some())
    {
        return Err(SchemeError::new("event", "an opaque body has no members"));
    }
    if is_same(name, id) || is_same(envelope.time, id) || is_same(envelope.data, id) {
        return Err(SchemeError::new("event.id", "this member is the event's name, time or data"));
    }
    if is_same(name, envelope.time) || is_same(name, envelope.data) {
        return Err(SchemeError::new("event.name", "this member is the event's time or data"));
    }
    if is_same(envelope.time, envelope.data) {
        return Err(SchemeError::new("event.timestamp", "this member is the event's data"));
    }
    Ok(())
}

const fn is_same(one: Option<&str>, other: Option<&str>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => crate::scheme::is_equal(one.as_bytes(), other.as_bytes()),
        _ => false,
    }
}

/// Whether this is a provider's name: nothing in it separates anything in a key.
const fn is_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !matches!(bytes[at], b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.') {
            return false;
        }
        at += 1;
    }
    !bytes.is_empty() && bytes.len() <= 32
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn a_providers_name_is_1_to_32_characters_that_separate_nothing_in_a_key() {
        let longest = "n".repeat(32);
        for name in ["a", "3qpr", "a-b_c.d", "az09-_.", &longest] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "Acme", "a:b", "a@b", "a b", "a/b", "a~", "é", "a\0", "a:", &format!("{longest}n")]
        {
            assert!(!is_name(name), "{name}");
        }
    }
}
