//! A provider that a configuration declares as JSON.

mod declaration;

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _};

use crate::event::{Envelope, Event, Name, Place, UnknownEvent};
use crate::mac::{Algorithm, KeyEncoding, TagEncoding};
use crate::provider::{Provider, check, scheme_with};
use crate::scheme::{Scheme, SchemeError, TimeUnit};
use declaration::{Declaration, Encoding, EventPart, Hash, SecretEncoding, Source, Unit, object};

/// A provider that a configuration declares, for a gateway whose providers are rows. Read it with serde.
///
/// Its name is the row's name, and stands in its idempotency keys: give no two rows the same name, nor that of a
/// built-in provider, and do not rename one later.
///
/// ```
/// use countersign::{Secret, Webhook, provider::DeclaredProvider};
///
/// let row = r#"{
///     "name": "acme",
///     "signature": {"header": "x-acme-signature", "separator": ",", "field": "v1"},
///     "signed": "{timestamp}.{body}",
///     "timestamp": {"field": "t", "unit": "s", "tolerance_s": 300},
///     "event": {"name": "type", "data": null}
/// }"#;
/// let provider: DeclaredProvider = serde_json::from_str(row)?;
/// let webhook = Webhook::for_provider(provider, Secret::new("a-secret-for-the-tests")?)?;
/// let body = br#"{"type":"door.opened","id":"evt_1"}"#;
/// let delivery = webhook.verify(&webhook.signed_headers(body), body)?;
/// assert_eq!(delivery.idempotency_key().as_str(), "acme:evt_1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// | member | value | if left out |
/// |---|---|---|
/// | `name` | as [`Provider::NAME`] | an error |
/// | `algorithm` | `hmac-sha256`, `hmac-sha1` or `hmac-sha512` | `hmac-sha256` |
/// | `secret` | `text`, `hex` or `base64`: how the secret spells its key | `text` |
/// | `signature.header` | a header's name, or a list of names of which at least one occurs | an error |
/// | `signature.encoding` | `hex`, `base64` or `base64url` | `hex` |
/// | `signature.prefix` | what stands before the only tag | no prefix |
/// | `signature.separator` with `each` | what separates several tags, and what stands before each, such as `v1,` | one tag |
/// | `signature.separator` with `field` | what separates items `key=value`, and the key of the tags | one tag |
/// | `signed` | the template of the signed bytes, as in [`Scheme::with_template`] | `{body}` |
/// | `timestamp` | `header` or `field`; `unit`, which is `s`, `ms` or `rfc3339`; `tolerance_s` in seconds | no time |
/// | `timestamp.unit`, `timestamp.tolerance_s` | | `s`, and no tolerance |
/// | `event` | an object with the four below, or null for an opaque body | the four as they are |
/// | `event.name` | a member's name, `{"header": NAME}`, or null for none | `event` |
/// | `event.id` | a member's name, `{"header": NAME}` of a signed header, or null for none | `id` |
/// | `event.timestamp` | a member's name, or null for none | `timestamp` |
/// | `event.data` | a member's name, or null for the whole body | `data` |
///
/// The event's time may be a number of seconds or milliseconds as well as a text. An unknown member, a template that is
/// not injective, or a header in no valid form is an error that names the member.
#[derive(Clone)]
pub struct DeclaredProvider<E = UnknownEvent> {
    declaration: Declaration,
    events: PhantomData<fn() -> E>,
}

impl<E: Event> Provider for DeclaredProvider<E> {
    type Event = E;

    /// The name is the row's: see [`name`](Provider::name).
    const NAME: &'static str = "declared";

    /// The scheme is the row's: see [`scheme`](Provider::scheme).
    const SCHEME: Scheme<'static> = Scheme::new("x-signature");

    fn name(&self) -> &str {
        &self.declaration.name
    }

    fn scheme(&self) -> Scheme<'_> {
        scheme(&self.declaration)
    }

    fn envelope(&self) -> Envelope<'_> {
        envelope(&self.declaration)
    }
}

impl<'de, E: Event> Deserialize<'de> for DeclaredProvider<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut declaration: Declaration = object(deserializer)?;
        declaration.lower_case();
        match checked(&declaration) {
            Ok(()) => Ok(Self { declaration, events: PhantomData }),
            Err(error) => Err(D::Error::custom(error)),
        }
    }
}

/// Checks what the form of the JSON does not show.
fn checked(declaration: &Declaration) -> Result<(), SchemeError> {
    let signature = &declaration.signature;
    let has_key = signature.each.is_some() || signature.field.is_some();
    if signature.separator.is_some() && signature.prefix.is_some() {
        return Err(SchemeError::new("signature.prefix", "there is a separator as well"));
    }
    if signature.each.is_some() && signature.field.is_some() {
        return Err(SchemeError::new("signature.field", "there is an `each` as well"));
    }
    if signature.separator.is_some() != has_key {
        return Err(SchemeError::new(
            "signature.separator",
            "it goes with `each` or `field`, and they with it",
        ));
    }
    if let Some(time) = &declaration.timestamp
        && time.header.is_some() == time.field.is_some()
    {
        return Err(SchemeError::new("timestamp", "one of `header` and `field` is needed"));
    }
    if let Some(event) = &declaration.event {
        for (part, name) in [(&event.timestamp, "event.timestamp"), (&event.data, "event.data")] {
            if matches!(part, Some(EventPart::Header(_))) {
                return Err(SchemeError::new(name, "only the event's name and id may stand in a header"));
            }
        }
    }
    let (scheme, envelope) = (scheme(declaration), envelope(declaration));
    check(&declaration.name, &scheme_with(&scheme, &envelope), &envelope)
}

fn scheme(declaration: &Declaration) -> Scheme<'_> {
    let signature = &declaration.signature;
    let mut scheme = Scheme::new("")
        .with_owned_headers(&signature.header)
        .with_algorithm(match declaration.algorithm {
            Hash::Sha256 => Algorithm::HmacSha256,
            Hash::Sha1 => Algorithm::HmacSha1,
            Hash::Sha512 => Algorithm::HmacSha512,
        })
        .with_key_encoding(match declaration.secret {
            SecretEncoding::Text => KeyEncoding::Text,
            SecretEncoding::Hex => KeyEncoding::Hex,
            SecretEncoding::Base64 => KeyEncoding::Base64,
        })
        .with_tag_encoding(match signature.encoding {
            Encoding::Hex => TagEncoding::Hex,
            Encoding::Base64 => TagEncoding::Base64,
            Encoding::Base64Url => TagEncoding::Base64Url,
        })
        .with_template(&declaration.signed);
    scheme = match (signature.separator, &signature.each, &signature.field) {
        (Some(separator), Some(each), _) => scheme.with_items(separator, each),
        (Some(separator), None, Some(field)) => scheme.with_fields(separator, field),
        _ => scheme.with_prefix(signature.prefix.as_deref().unwrap_or_default()),
    };
    let Some(time) = &declaration.timestamp else { return scheme };
    let unit = match time.unit {
        Unit::Seconds => TimeUnit::Seconds,
        Unit::Milliseconds => TimeUnit::Milliseconds,
        Unit::Rfc3339 => TimeUnit::Rfc3339,
    };
    scheme = match time.source() {
        Source::Header(name) => scheme.with_time_header(name, unit),
        Source::Field(name) => scheme.with_time_field(name, unit),
    };
    match time.tolerance_s {
        Some(seconds) => scheme.with_tolerance(Duration::from_secs(seconds)),
        None => scheme,
    }
}

fn envelope(declaration: &Declaration) -> Envelope<'_> {
    let Some(event) = &declaration.event else { return Envelope::opaque() };
    Envelope {
        name: match &event.name {
            Some(EventPart::Member(name)) => Name::Member(name),
            Some(EventPart::Header(name)) => Name::Header(name),
            None => Name::Nowhere,
        },
        confirming: None,
        id: event.id.as_ref().map(|part| match part {
            EventPart::Member(name) => Place::Member(name),
            EventPart::Header(name) => Place::Header(name),
        }),
        time: event.timestamp.as_ref().map(EventPart::name),
        is_time_numeric: true,
        data: event.data.as_ref().map(EventPart::name),
        is_opaque: false,
    }
}

/// Shows the name only.
impl<E> fmt::Debug for DeclaredProvider<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeclaredProvider").field("name", &self.declaration.name).finish_non_exhaustive()
    }
}
